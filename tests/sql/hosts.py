"""Engines with the settings that hosts give them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import NullPool, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

T = TypeVar("T")


async def at_once(*calls: Awaitable[T]) -> list[T]:
    """Return what came of calls that run at once; if any failed, raise that when all have ended."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


@asynccontextmanager
async def disposing(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Dispose of an engine in the end, however that comes."""
    try:
        yield engine
    finally:
        await engine.dispose()


def _begins(engine: AsyncEngine, begin: str) -> AsyncEngine:
    """Have transactions begin as SQLAlchemy's documentation of SQLite tells people to."""

    @event.listens_for(engine.sync_engine, "connect")
    def do_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def do_begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


_ANY: dict[str, Callable[[str], AsyncEngine]] = {
    "plain": create_async_engine,
    "autocommit": lambda url: create_async_engine(url, isolation_level="AUTOCOMMIT"),
    "autocommit option": lambda url: create_async_engine(url).execution_options(isolation_level="AUTOCOMMIT"),
    "one connection": lambda url: create_async_engine(url, pool_size=1, max_overflow=0),
    "no pool": lambda url: create_async_engine(url, poolclass=NullPool),
}
SETTINGS = {
    "sqlite": _ANY
    | {
        "begin": lambda url: _begins(create_async_engine(url), "BEGIN"),
        "begin immediate": lambda url: _begins(create_async_engine(url), "BEGIN IMMEDIATE"),
    },
    "postgresql": _ANY
    | {
        "serializable": lambda url: create_async_engine(url, isolation_level="SERIALIZABLE"),
        "repeatable read": lambda url: create_async_engine(url, isolation_level="REPEATABLE READ"),
        "no reset": lambda url: create_async_engine(url, pool_reset_on_return=None),
        "psycopg": lambda url: create_async_engine(url.replace("+asyncpg", "+psycopg")),
    },
}
"""Functions from a URL to an engine, by database and by what the host set."""

HOSTS = [(database, setting) for database, settings in SETTINGS.items() for setting in settings]
