"""How much a database does for a call: counted, not timed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from .hosts import disposing

Work = Callable[[Callable[[], Awaitable[Any]]], Awaitable[int]]
"""Runs a call and returns how much was done for it: virtual machine steps, or rows that were visited."""

_STEPS = 10
_VISITED = text(
    "SELECT (SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_user_tables)"
    " + (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes)"
)


@asynccontextmanager
async def measured(url: str) -> AsyncIterator[tuple[AsyncEngine, Work]]:
    """Give an engine of one connection, and what measures the work that is done on it."""
    async with disposing(create_async_engine(url, pool_size=1, max_overflow=0)) as engine:
        yield engine, (_steps(engine) if engine.dialect.name == "sqlite" else _rows_visited(engine))


def _steps(engine: AsyncEngine) -> Work:
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += _STEPS

    @event.listens_for(engine.sync_engine, "connect")
    def watch(connection: Any, _record: Any) -> None:
        connection.run_async(lambda raw: raw.set_progress_handler(count, _STEPS))

    async def work(call: Callable[[], Awaitable[Any]]) -> int:
        before = taken
        await call()
        return taken - before

    return work


def _rows_visited(engine: AsyncEngine) -> Work:
    async def visited() -> int:
        async with engine.connect() as connection:  # the one that did the work, and has its counts
            await connection.execute(text("SELECT pg_stat_force_next_flush()"))
            await connection.commit()
            return int(await connection.scalar(_VISITED) or 0)

    async def work(call: Callable[[], Awaitable[Any]]) -> int:
        before = await visited()
        await call()
        return await visited() - before

    return work
