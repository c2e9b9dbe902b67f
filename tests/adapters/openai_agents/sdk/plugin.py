"""Puts our session in the place of the SDK's own, in a pytest run of the SDK's session tests.

Where `SESSIONSTORE_TEST_URL` names a PostgreSQL database, each SQLite database of theirs becomes a schema there.
"""

import hashlib
import itertools
import os
from pathlib import Path
from typing import Any

import agents
import agents.memory
from agents.extensions import memory as extensions
from agents.extensions.memory import encrypt_session, sqlalchemy_session
from agents.memory import sqlite_session
from sqlalchemy.pool import NullPool

from sessionstore import SQLSessionStore
from sessionstore.adapters.openai_agents import SQLSession

_POSTGRES = os.environ.get("SESSIONSTORE_TEST_URL")
_numbers = itertools.count()


def _store_of(url: str) -> SQLSessionStore:
    """Return a store on the test's database, or on the schema that stands for it; each in memory is another one."""
    if _POSTGRES is None:
        return SQLSessionStore.from_url(url)
    name = f"{url}{next(_numbers)}{os.getpid()}" if ":memory:" in url else url
    schema = "s" + hashlib.sha256(name.encode()).hexdigest()[:24]
    # `run_sync` goes on in another event loop, where asyncpg's connections of the first one are of no use.
    return SQLSessionStore.from_url(_POSTGRES, schema=schema, engine_kwargs={"poolclass": NullPool})


class OurSession(SQLSession):
    """`SQLAlchemySession`, as its tests use it."""

    @classmethod
    def from_url(cls, session_id: str, *, url: Any, **options: Any) -> Any:
        """Return a session on the test's database."""
        options.pop("engine_kwargs", None)
        return cls(session_id, store=_store_of(str(url)), **options)


class OurSQLiteSession(SQLSession):
    """`SQLiteSession`, as its tests use it: it makes its tables, and `close` is no coroutine."""

    def __init__(self, session_id: str, db_path: str | Path = ":memory:", **options: Any) -> None:
        store = _store_of(f"sqlite+aiosqlite:///{db_path}")
        super().__init__(session_id, store=store, create_tables=True, **options)

    def close(self) -> None:  # type: ignore[override]
        """Leave the engine to the end of the process."""


assert encrypt_session  # imported by now, it knows theirs: it treats that one in a way of its own

for module in (sqlalchemy_session, extensions):
    module.SQLAlchemySession = OurSession  # type: ignore[attr-defined]
for module in (agents, agents.memory, sqlite_session):
    module.SQLiteSession = OurSQLiteSession  # type: ignore[attr-defined]
