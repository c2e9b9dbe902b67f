"""Connections: taken and given back whatever happens, and brought into transactions."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, cast
from weakref import WeakKeyDictionary

from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import Pool, StaticPool

from sessionstore.sql.shielding import completed, taken

_turns: WeakKeyDictionary[Pool, asyncio.Lock] = WeakKeyDictionary()


def turn_of(engine: AsyncEngine) -> AbstractAsyncContextManager[None]:
    """Return what calls wait for on an engine whose pool hands one connection to all at once.

    SQLAlchemy's default for SQLite in memory is such a pool; two calls would share a transaction.
    """
    pool = engine.sync_engine.pool
    return _turns.setdefault(pool, asyncio.Lock()) if isinstance(pool, StaticPool) else nullcontext()


_PREPARING = ("begin", "engine_connect")
_WATCHING = (
    "before_execute",
    "after_execute",
    "before_cursor_execute",
    "after_cursor_execute",
    "commit",
    "rollback",
)
_WATCHING_THE_DIALECT = ("do_execute", "do_executemany", "do_execute_no_params", "handle_error")


def prepared_by_listeners(engine: AsyncEngine) -> bool:
    """Whether somebody's listeners may prepare a connection (SET ROLE, search_path) for the transaction to come."""
    sync_engine: Any = engine.sync_engine
    return bool(sync_engine.pool.dispatch.checkout) or any(getattr(sync_engine.dispatch, name) for name in _PREPARING)


def watched(engine: AsyncEngine) -> bool:
    """Whether somebody listens to an engine's statements, has them logged, or prepares its connections."""
    sync_engine: Any = engine.sync_engine
    if sync_engine.echo or sync_engine.pool.dispatch.checkout:
        return True
    # SQLAlchemy's own quick look: false until somebody has ever listened.
    if not (getattr(sync_engine, "_has_events", True) or getattr(sync_engine.dialect, "_has_events", True)):
        return False
    return (
        prepared_by_listeners(engine)
        or any(getattr(sync_engine.dispatch, name) for name in _WATCHING)
        or any(getattr(sync_engine.dialect.dispatch, name) for name in _WATCHING_THE_DIALECT)
    )


async def in_autocommit(connection: AsyncConnection) -> bool:
    """Whether the driver commits each statement by itself."""
    raw = await connection.get_raw_connection()
    return connection.dialect.detect_autocommit_setting(cast("DBAPIConnection", raw.dbapi_connection))


async def begin_immediate(connection: AsyncConnection, *, anew: bool = False) -> None:
    """Begin a write transaction on SQLite by hand, unless the driver or a listener of the host's has begun one.

    `anew` ends that one first, in which nothing has been done: it may not hold the write lock.
    """
    if not connection.in_transaction():
        await connection.begin()
    raw = await connection.get_raw_connection()
    begun = cast("Any", raw.driver_connection).in_transaction
    if begun and anew:
        await connection.exec_driver_sql("COMMIT")
    if anew or not begun:
        await connection.exec_driver_sql("BEGIN IMMEDIATE")


async def roll_back(connection: AsyncConnection) -> None:
    """Roll back at the driver, or else throw the connection away.

    When a COMMIT fails and leaves the transaction open, as SQLite's does while somebody reads, SQLAlchemy takes it
    for ended: the next to take the connection would commit it.
    """
    if connection.invalidated:
        return
    try:
        await connection.run_sync(lambda sync_connection: sync_connection.connection.rollback())
    except Exception:  # noqa: BLE001 - the error that led here is the one to raise
        await connection.invalidate()


@asynccontextmanager
async def connected(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection]:
    """Take a connection and give it back, although the caller is cancelled while it is taken or given back."""
    connection = await taken(_started(engine.connect()), AsyncConnection.close)
    try:
        yield connection
    finally:
        await completed(connection.close())


async def _started(connection: AsyncConnection) -> AsyncConnection:
    return await connection.start()
