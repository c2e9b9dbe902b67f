"""The engine of `from_url`, for people who bring none: set as a careful person would."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from sqlalchemy import event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore.errors import InvalidValue
from sessionstore.sql.direct import adopt
from sessionstore.sql.drivers import WorkingConnection
from sessionstore.sql.pooling import ConnectionPool

logger = logging.getLogger("sessionstore")

BUSY_SECONDS = 30
"""How long a connection waits for another one's write lock on SQLite."""

_ASYNC_DRIVERS = {
    "sqlite": ("sqlite+aiosqlite",),
    "postgresql": ("postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg_async"),
    "postgres": ("postgresql+asyncpg",),
}
_NO_PREPARED_STATEMENTS = {
    "asyncpg": {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": str,  # "": before 0.31 asyncpg has to be told to use no name
    },
    "psycopg": {"prepare_threshold": None},
    "psycopg_async": {"prepare_threshold": None},
}
_NOT_OF_STATEMENTS = {
    "connect_args",
    "hide_parameters",
    "max_overflow",
    "pool_pre_ping",
    "pool_recycle",
    "pool_size",
    "pool_timeout",
    "pool_use_lifo",
    "poolclass",
}
"""Options that don't change how statements run, so that they may go to the driver directly."""


def make_engine(
    url: str | URL, *, pgbouncer: bool = False, engine_kwargs: Mapping[str, Any] | None = None
) -> AsyncEngine:
    """Return an engine for a URL with an async driver; `engine_kwargs` win over what is set here.

    Parameters don't show in errors and logs. SQLite gets WAL, a busy timeout of
    `BUSY_SECONDS`, foreign keys, and one connection that all share for a database in memory.
    `pgbouncer` turns prepared statements off, which a pooler in transaction mode mixes up.
    Raises `InvalidValue` for a URL without an async driver; no message repeats the URL.
    """
    parsed = parse(url)
    options: dict[str, Any] = {"hide_parameters": True, **(engine_kwargs or {})}
    given_args = dict(options.get("connect_args") or {})
    plain = not pgbouncer and options.keys() <= _NOT_OF_STATEMENTS and "factory" not in given_args
    connect_args: dict[str, Any] = {}
    embedded = parsed.get_backend_name() == "sqlite"
    if embedded:
        connect_args |= {"timeout": BUSY_SECONDS, "factory": WorkingConnection}
        options = _embedded(parsed, options)
    elif pgbouncer:
        connect_args |= _NO_PREPARED_STATEMENTS[parsed.get_driver_name()]
    options["connect_args"] = connect_args | given_args
    if "pool" not in options:
        options.setdefault("poolclass", ConnectionPool)
    try:
        engine = create_async_engine(parsed, **options)
    except ModuleNotFoundError as error:
        raise InvalidValue(f"url: the driver isn't installed: pip install {error.name}") from error
    if embedded:
        event.listen(engine.sync_engine, "connect", partial(_prepare_connection, parsed.database or ""))
    # In sqlite3's autocommit mode commit() does nothing, and a write would be torn.
    if options["connect_args"].get("autocommit") is True:
        raise InvalidValue(
            "engine_kwargs: connect_args has autocommit=True, which leaves no transactions; leave it out"
        )
    if plain:
        given = {*options, *options["connect_args"], *parsed.query}
        adopt(engine, checked=not given.isdisjoint(("pool_pre_ping", "pool_recycle", "command_timeout")))
    return engine


def file_url(path: str) -> URL:
    """Return the URL of a file of SQLite's."""
    return URL.create(_ASYNC_DRIVERS["sqlite"][0], database=path)


def file_of(url: URL) -> str | None:
    """Return the path of the file that a URL names; `None` for one that isn't SQLite's, and a database in memory."""
    database = url.database
    is_file = url.get_backend_name() == "sqlite" and not _in_memory(url)
    return database if is_file and database is not None and not database.startswith("file:") else None


def parse(url: str | URL) -> URL:
    """Return a URL with an async driver. Raises `InvalidValue` for any other; no message repeats it."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise InvalidValue("url: can't be parsed; it looks like postgresql+asyncpg://user:password@host/db") from None
    drivers = _ASYNC_DRIVERS.get(parsed.get_backend_name())
    if drivers is None:
        raise InvalidValue(f"url: {parsed.drivername!r} isn't supported; use sqlite+aiosqlite or postgresql+asyncpg")
    if parsed.drivername not in drivers:
        raise InvalidValue(f"url: {parsed.drivername!r} isn't an async driver; write {drivers[0]}:// instead")
    return _with_ssl(parsed)


def _with_ssl(url: URL) -> URL:
    """Say `ssl` for `sslmode`, as URLs of hosted databases have it and asyncpg doesn't."""
    if url.drivername != "postgresql+asyncpg" or "sslmode" not in url.query:
        return url
    return url.difference_update_query(["sslmode"]).update_query_dict({"ssl": url.query["sslmode"]})


def _embedded(url: URL, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of an engine for SQLite."""
    # A connection comes back settled, and rolling back once more is a hop to its thread.
    ours: dict[str, Any] = {} if "pool" in options else {"pool_reset_on_return": None}
    if _in_memory(url):
        if options.get("poolclass") is NullPool:
            raise InvalidValue("url: a database in memory would be gone with each call's connection; name a file")
        if options.keys().isdisjoint(("pool", "poolclass")):
            # One connection at a time, and always the same: the database is gone with its connection.
            ours |= {"pool_size": 1, "max_overflow": 0}
    return ours | options


def _in_memory(url: URL) -> bool:
    database = url.database or ":memory:"
    return ":memory:" in database or url.query.get("mode") == "memory" or "mode=memory" in database


def _prepare_connection(database: str, connection: Any, _record: Any) -> None:
    _warn_of_version()
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    mode = _set_wal(connection, cursor)
    cursor.close()
    if mode not in ("wal", "memory"):
        _warn_of_mode(database, mode)


@cache
def _warn_of_mode(database: str, mode: str) -> None:
    """Say once of each database that WAL isn't to be had."""
    logger.warning(
        "SQLite could not use WAL for %s (it is in %s mode), as on a network or shared-folder mount: "
        "readers and writers wait for each other",
        database,
        mode,
    )


@cache
def _warn_of_version() -> None:
    """Say once that this SQLite has the WAL-reset bug: https://sqlite.org/wal.html#walresetbug."""
    version = sqlite3.sqlite_version_info
    if version < (3, 51, 3) and version not in ((3, 44, 6), (3, 50, 7)):
        logger.warning(
            "SQLite %s can lose acknowledged writes when two connections write and checkpoint at once; "
            "upgrade to 3.51.3, or see 'SQLite' in docs/deployment.md for a safe mode",
            sqlite3.sqlite_version,
        )


def _set_wal(connection: Any, cursor: Any) -> str:
    """Ask for WAL until nobody else holds the file: the busy timeout doesn't cover this switch."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return cursor.fetchone()[0]
        except Exception as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            connection.run_async(_pause)  # a plain sleep would stop the event loop


async def _pause(_driver_connection: Any) -> None:
    await asyncio.sleep(0.01)
