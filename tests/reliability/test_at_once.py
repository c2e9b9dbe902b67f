"""The laws of many at once, in one process and in several: nothing is missed, nothing is given twice, nobody fails."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from sessionstore import Message, Session, SessionInfo, SQLSessionStore
from sessionstore.errors import MessageConflict, SessionExists
from tests.sql.invariants import broken

from . import children
from .clients import entry_of, message_of
from .history import Entry
from .test_histories import stores

WRITERS, BATCHES, FOLLOWERS = 30, 3, 3
MESSAGES = WRITERS * BATCHES * 2
TASKS = 25
PROCESSES = 4


async def _follow(store: SQLSessionStore, session_id: str, count: int, limit: int | None = None) -> list[Entry]:
    """Read what comes behind the highest `seq` seen until there are so many."""
    seen: list[Entry] = []
    async with asyncio.timeout(120):
        while len(seen) < count:
            new = await store.get_messages_after(session_id, seen[-1].seq if seen else 0, limit=limit)
            seen += map(entry_of, new)
            await asyncio.sleep(0.002)
    return seen


async def _batch(store: SQLSessionStore, session_id: str, name: str) -> None:
    """Append two messages in one call, and check that they are neighbours."""
    saved = await store.save_messages([message_of(session_id, f"{name}.{half}") for half in "ab"])
    assert (saved[1].seq or 0) - (saved[0].seq or 0) == 1


def _check_order(seen: list[Entry]) -> None:
    """Check that nothing is missing, twice or half, and that batches weren't torn."""
    assert [entry.seq for entry in seen] == list(range(1, len(seen) + 1))
    assert len({entry.id for entry in seen}) == len(seen)
    assert {entry.version for entry in seen} == {0}
    assert all(second.id == f"{first.id[:-1]}b" for first, second in pairwise(seen) if first.id.endswith("a"))


async def test_readers_that_follow(database_url: str) -> None:
    """Readers that follow thirty writers by `seq`, in pages or not, see all messages in order, and none twice."""
    async with stores(2, lambda: database_url) as (store, other):
        await store.create_session(SessionInfo(id="s"))

        async def write(name: int) -> None:
            for number in range(BATCHES):
                await _batch(store, "s", f"{name}.{number}")

        followers = [_follow(other, "s", MESSAGES, limit) for limit in (None, 1, 7)]
        results = await asyncio.gather(*followers, *(write(name) for name in range(WRITERS)))
        for seen in results[:FOLLOWERS]:
            assert seen is not None
            _check_order(seen)
        assert results[0] == results[1] == results[2] == [entry_of(m) for m in await store.get_messages("s")]
        assert await broken(store.engine) == []


@pytest.mark.slow
async def test_processes(database_url: str) -> None:
    """Four processes of several tasks write one session and several: a reader that follows misses nothing."""
    loop, begin = asyncio.get_running_loop(), children.soon()
    sessions = ["all", "odd", "even"]
    async with SQLSessionStore.from_url(database_url) as store:
        for session_id in sessions:
            await store.create_session(SessionInfo(id=session_id))
        with children.pool(PROCESSES) as pool:
            work = [
                loop.run_in_executor(
                    pool, children.append_batches, database_url, ["all", sessions[1 + name % 2]], name, 4, 10, begin
                )
                for name in range(PROCESSES)
            ]
            followed = [_follow(store, "all", 320), _follow(store, "odd", 160), _follow(store, "even", 160)]
            results = await asyncio.gather(*followed, *work)
        for seen in results[:3]:
            assert seen is not None
            _check_order(seen)
        assert await broken(store.engine) == []


async def _outcomes(calls: list[Awaitable[object]]) -> list[type[BaseException] | None]:
    results = await asyncio.gather(*calls, return_exceptions=True)
    return [type(result) if isinstance(result, BaseException) else None for result in results]


async def test_first_creation(database_url: str) -> None:
    """Of 25 tasks on several engines that create one session at once exactly one does, and 24 are told."""
    async with stores(5, lambda: database_url) as opened:
        infos = [SessionInfo(id="s", title=str(number)) for number in range(TASKS)]
        outcomes = await _outcomes([opened[n % 5].create_session(info) for n, info in enumerate(infos)])
        assert outcomes.count(SessionExists) == TASKS - 1
        created = await opened[0].get_session("s")
        assert created is not None
        assert created.title == str(outcomes.index(None))


async def test_first_upsert(database_url: str) -> None:
    """Of 25 tasks on several engines that save one whole session at once all succeed, and one is stored whole."""
    async with stores(5, lambda: database_url) as opened:
        wholes = [
            Session(info=SessionInfo(id="s", title=str(n)), messages=[message_of("s", f"{n}.{i}") for i in range(3)])
            for n in range(TASKS)
        ]
        assert set(await _outcomes([opened[n % 5].save_session(whole) for n, whole in enumerate(wholes)])) == {None}
        info, messages = await opened[0].get_session("s"), await opened[0].get_messages("s")
        assert info is not None
        assert [message.id for message in messages] == [f"{info.title}.{i}" for i in range(3)]
        assert await broken(opened[0].engine) == []


async def test_pops(database_url: str) -> None:
    """Of 25 pops at once on several engines each gets another message, and they were the last ones."""
    async with stores(5, lambda: database_url) as opened:
        await opened[0].create_session(SessionInfo(id="s"))
        await opened[0].save_messages([message_of("s", str(number)) for number in range(TASKS + 3)])
        popped = await asyncio.gather(*(opened[number % 5].pop_message("s") for number in range(TASKS)))
        entries = sorted(entry_of(message) for message in popped if message is not None)
        assert [entry.seq for entry in entries] == list(range(4, TASKS + 4))
        assert [message.seq for message in await opened[0].get_messages("s")] == [1, 2, 3]
        assert await broken(opened[0].engine) == []


async def test_one_id(database_url: str) -> None:
    """25 appends of one message at once store it once, and all get it; of 25 with other contents one is stored."""
    async with stores(5, lambda: database_url) as opened:
        await opened[0].create_session(SessionInfo(id="s"))
        append: Callable[[int, Message], Awaitable[Message]] = lambda n, m: opened[n % 5].save_message(m)  # noqa: E731
        saved = await asyncio.gather(*(append(number, message_of("s", "same")) for number in range(TASKS)))
        assert {entry_of(message) for message in saved} == {Entry(1, "same")}
        outcomes = await _outcomes([append(number, message_of("s", "other", number)) for number in range(TASKS)])
        assert outcomes.count(MessageConflict) == TASKS - 1
        stored = [entry_of(message) for message in await opened[0].get_messages("s")]
        assert stored == [Entry(1, "same"), Entry(2, "other", outcomes.index(None))]
