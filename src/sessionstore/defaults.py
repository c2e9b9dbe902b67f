"""The database that is meant where none is named: the command line's, and that of adapters which need no set-up."""

import os

DATABASE_VARIABLE = "SESSIONSTORE_DATABASE_URL"
"""The environment variable that names it."""

DATABASE_URL = "sqlite+aiosqlite:///sessions.db"
"""What it is otherwise: a file in the working directory."""


def database_url() -> str:
    """Return its URL."""
    return os.environ.get(DATABASE_VARIABLE) or DATABASE_URL
