"""Jepsen's list-append check: whatever several clients do to a session at once, some order explains all they saw."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore import SessionInfo, SQLSessionStore
from tests.sql.hosts import SETTINGS
from tests.sql.invariants import broken

from . import children
from .clients import Client
from .history import Call
from .linear import unexplained

CLIENTS = 5


@asynccontextmanager
async def stores(count: int, make: Callable[[], AsyncEngine | str]) -> AsyncIterator[list[SQLSessionStore]]:
    """Open stores with engines of their own."""
    async with AsyncExitStack() as stack:
        opened: list[SQLSessionStore] = []
        for _ in range(count):
            made = make()
            if isinstance(made, str):
                opened.append(await stack.enter_async_context(SQLSessionStore.from_url(made)))
            else:
                stack.push_async_callback(made.dispose)
                opened.append(SQLSessionStore(made))
        yield opened


async def check(calls: list[Call], store: SQLSessionStore) -> None:
    """Check a history, with what is read at its end, and the tables."""
    reader = Client(store, "s", 999, 0)
    await reader.read_all()
    assert unexplained(calls + reader.calls) is None
    assert await broken(store.engine) == []


async def act(opened: list[SQLSessionStore], seed: int, calls: int) -> list[Call]:
    """Be one client on each store, of the same session."""
    await opened[0].create_session(SessionInfo(id="s"))
    clients = [Client(store, "s", name, seed) for name, store in enumerate(opened)]
    noted = await asyncio.gather(*(client.work(calls) for client in clients))
    return [call for calls in noted for call in calls]


async def test_tasks(database_url: str, seed: int) -> None:
    """Tasks that append, pop, delete, replace, compact and read at random: one order explains what they saw."""
    async with stores(CLIENTS, lambda: database_url) as opened:
        calls = await act(opened, seed, 30)
        assert len({call.client for call in calls}) == CLIENTS
        await check(calls, opened[0])


@pytest.mark.slow
@pytest.mark.parametrize("round", range(4))
async def test_tasks_for_long(database_url: str, seed: int, round: int) -> None:
    """The same, for longer and several times."""
    async with stores(CLIENTS, lambda: database_url) as opened:
        await check(await act(opened, seed, 80), opened[0])


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["plain", "begin", "begin immediate", "autocommit"])
async def test_tasks_on_a_hosts_sqlite(journal_url: str, seed: int, setting: str) -> None:
    """The same on engines of a host's, without WAL."""
    async with stores(CLIENTS, lambda: SETTINGS["sqlite"][setting](journal_url)) as opened:
        await check(await act(opened, seed, 40), opened[0])


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["plain", "autocommit", "repeatable read", "serializable", "psycopg"])
async def test_tasks_on_a_hosts_postgres(postgresql_url: str, seed: int, setting: str) -> None:
    """The same on engines of a host's, at every isolation level."""
    async with stores(CLIENTS, lambda: SETTINGS["postgresql"][setting](postgresql_url)) as opened:
        await check(await act(opened, seed, 40), opened[0])


@pytest.mark.slow
async def test_processes(database_url: str, seed: int) -> None:
    """The same from four processes of two clients each."""
    loop, begin = asyncio.get_running_loop(), children.soon()
    async with SQLSessionStore.from_url(database_url) as store:
        await store.create_session(SessionInfo(id="s"))
        with children.pool(4) as pool:
            noted = await asyncio.gather(
                *(
                    loop.run_in_executor(pool, children.act_at_random, database_url, "s", name, seed, 2, 40, begin)
                    for name in range(4)
                )
            )
        await check([call for calls in noted for call in calls], store)
