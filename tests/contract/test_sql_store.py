"""`SQLSessionStore` keeps the laws of `SessionStore`, on every database."""

from sessionstore.testing import SessionStoreLaws


class TestSQLSessionStore(SessionStoreLaws):
    """The fixture `store` is in conftest.py, a parameter a database."""
