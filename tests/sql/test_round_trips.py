"""The laws of cost on an engine of our own: exactly so many round trips, or statements in SQLite's thread, a call."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiosqlite
import pytest

from sessionstore import Conversation, SessionInfo, SQLSessionStore
from sessionstore.sql.operations import Operations
from sessionstore.testing.build import LONG_AGO, assistant, tool_call, user
from tests.reliability.drivers import RoundTrips, count_round_trips

from .round_trips import counted, given_back

Call = Callable[[Operations], Awaitable[Any]]

EXACTLY: dict[str, tuple[Call, int, int]] = {
    "append 1": (lambda s: s.save_message(tool_call("s")), 1, 4),
    "append 100": (lambda s: s.save_messages([user("s") for _ in range(100)]), 1, 4),
    "append, or make the session": (lambda s: s.save_messages_anyway([user("s"), user("s")]), 1, 4),
    "append at given times": (lambda s: s.save_messages([user("s", created_at=LONG_AGO) for _ in range(3)]), 1, 4),
    "append again": (lambda s: s.save_message(user("s", id="known")), 5, 4),
    "last 20": (lambda s: s.get_messages("s", limit=20), 1, 1),
    "all": (lambda s: s.get_messages("s"), 1, 1),
    "behind a seq": (lambda s: s.get_messages_after("s", 3, limit=20), 1, 1),
    "behind a message": (lambda s: s.get_messages_after("s", "known", limit=20), 1, 1),
    "context": (lambda s: Conversation(s, "s").context(), 1, 1),
    "context, last 20": (lambda s: Conversation(s, "s").context(limit=20), 1, 1),
    "contents": (lambda s: Conversation(s, "s").contents(), 1, 1),
    "contents, last 20": (lambda s: Conversation(s, "s").contents(limit=20), 1, 1),
    "list": (lambda s: s.list_sessions(limit=20, archived=False), 1, 1),
    "info": (lambda s: s.get_session("s"), 1, 1),
}
"""Calls, and their round trips on PostgreSQL and statements on SQLite."""


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> RoundTrips:
    return count_round_trips(monkeypatch)


@pytest.mark.parametrize("length", [0, 300])
async def test_exactly_so_many(store: SQLSessionStore, trips: RoundTrips, length: int) -> None:
    """Each call makes its number of round trips, however long the session is."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_messages([assistant("s") for _ in range(length)])
    await store.save_message(user("s", id="known"))
    column = 1 if store.engine.dialect.name == "sqlite" else 0
    back = await given_back(trips, store)
    for call, *_ in EXACTLY.values():
        await call(store)  # a statement is prepared at its first time on a connection
    found = {name: await counted(trips, call(store)) for name, (call, *_) in EXACTLY.items()}
    assert found == {name: numbers[column] + back for name, (_, *numbers) in EXACTLY.items()}


@pytest.mark.parametrize("name", EXACTLY)
async def test_one_hop(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A call is one hop to SQLite's thread, its transaction and what is made of the rows."""
    hops: list[Any] = []
    execute = aiosqlite.Connection._execute

    async def counted_hop(connection: aiosqlite.Connection, *args: Any) -> Any:
        hops.append(args)
        return await execute(connection, *args)

    async with SQLSessionStore.from_url(sqlite_url) as store:
        await store.create_session(SessionInfo(id="s"))
        await store.save_message(user("s", id="known"))
        monkeypatch.setattr(aiosqlite.Connection, "_execute", counted_hop)
        await EXACTLY[name][0](store)
        assert len(hops) == 1
        monkeypatch.undo()


@pytest.mark.parametrize(("size", "statements"), [(1, 1), (100, 2)])
async def test_in_the_callers_transaction(postgresql_url: str, trips: RoundTrips, size: int, statements: int) -> None:
    """In the caller's transaction one message takes one statement, and several two: the first one locks."""
    async with SQLSessionStore.from_url(postgresql_url) as store:
        await store.create_session(SessionInfo(id="s"))
        async with store.engine.begin() as connection:
            bound = store.bind(connection)
            await bound.save_messages([user("s") for _ in range(size)])
            assert await counted(trips, bound.save_messages([user("s") for _ in range(size)])) == statements
