"""The law of the caller's task: a call with a connection at hand needs no other, and cancelling it stays harmless."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import AsyncAdaptedQueuePool

from sessionstore import Event, SessionInfo, SQLSessionStore
from sessionstore.errors import SessionNotFound
from sessionstore.sql.direct import pool_of
from sessionstore.sql.shielding import Call, Kept
from sessionstore.testing.build import ids, user

from .invariants import broken

CALLS: dict[str, Callable[[SQLSessionStore], Awaitable[object]]] = {
    "append 1": lambda s: s.save_message(user("s")),
    "append 100": lambda s: s.save_messages([user("s") for _ in range(100)]),
    "again": lambda s: s.save_message(user("s", id="m1")),
    "last 20": lambda s: s.get_messages("s", limit=20),
    "list 50": lambda s: s.list_sessions(limit=50),
    "pop": lambda s: s.pop_message("s"),
    "context": lambda s: s.conversation("s").context(),
}


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SQLSessionStore]:
    """A store with a session of one message, and an idle connection."""
    async with SQLSessionStore.from_url(database_url) as store:
        await store.create_session(SessionInfo(id="s"))
        await store.save_message(user("s", id="m1"))
        yield store


async def _held(url: str) -> Callable[[], Awaitable[None]]:
    """Lock the session's row, so that a write waits; return what lets it go."""
    other = SQLSessionStore.from_url(url)
    connection = await other.engine.connect()
    await other.bind(connection).save_message(user("s"))

    async def let_go() -> None:
        await connection.rollback()
        await connection.close()
        await other.close()

    return let_go


async def _later(let_go: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(0.3)
    await let_go()


def _at_hand(store: SQLSessionStore) -> bool:
    pool = pool_of(store.engine)
    return pool is not None and pool.at_hand(store.engine)


def _checked_out(store: SQLSessionStore) -> int:
    pool: Any = store.engine.sync_engine.pool
    return pool.checkedout()


@pytest.mark.parametrize("name", CALLS)
async def test_no_other_task(store: SQLSessionStore, name: str) -> None:
    """A call neither makes a task nor leaves a connection checked out."""
    made: list[Coroutine[Any, Any, Any]] = []

    def factory(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        made.append(work)
        return asyncio.Task(work, loop=loop, **options)

    loop = asyncio.get_running_loop()
    await CALLS[name](store)  # what a connection learns on its first call
    loop.set_task_factory(factory)
    try:
        await CALLS[name](store)
    finally:
        loop.set_task_factory(None)
    assert made == []
    assert _checked_out(store) == 0


@pytest.mark.parametrize("again", [1, 50])
async def test_cancelled_while_it_waits(store: SQLSessionStore, database_url: str, again: int) -> None:
    """A caller that is cancelled in a write, however often, waits for it and raises that cancellation."""
    let_go = await _held(database_url)
    caller = asyncio.create_task(store.save_message(user("s", id="m2")))
    await asyncio.sleep(0.1)
    for _ in range(again):
        caller.cancel("enough")
        await asyncio.sleep(0)
    await asyncio.sleep(0.4)  # longer than a call is given to begin
    assert not caller.done()
    await let_go()
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await caller
    assert ids(await store.get_messages("s")) == ["m1", "m2"]
    assert _checked_out(store) == 0
    assert await broken(store.engine) == []


async def test_timeouts(store: SQLSessionStore, database_url: str) -> None:
    """asyncio's and anyio's timeouts end as they do elsewhere, when what had begun is done."""
    let_go = await _held(database_url)
    release = asyncio.create_task(_later(let_go))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await store.save_message(user("s", id="m2"))
    await release
    let_go = await _held(database_url)
    release = asyncio.create_task(_later(let_go))
    with anyio.move_on_after(0.1) as scope:
        await store.save_message(user("s", id="m3"))
    assert scope.cancelled_caught
    await release
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0
    assert ids(await store.get_messages("s")) == ["m1", "m2", "m3"]


async def test_cancelled_before_it_waits(store: SQLSessionStore) -> None:
    """A task that cancels itself, and then writes, has written whole or nothing."""

    async def caller() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await store.save_message(user("s", id="m2"))

    task = asyncio.create_task(caller())
    await asyncio.wait({task})
    assert task.cancelled()
    assert ids(await store.get_messages("s")) in (["m1"], ["m1", "m2"])
    assert _checked_out(store) == 0
    assert await broken(store.engine) == []


async def test_events_of_a_cancelled_write(store: SQLSessionStore, database_url: str) -> None:
    """The handlers hear of what was committed, and the caller who is gone doesn't wait for them."""
    heard: list[str] = []
    finish = asyncio.Event()

    async def handler(event: Event) -> None:
        await finish.wait()
        heard.append(event.type)

    store.events.subscribe(handler)
    let_go = await _held(database_url)
    caller = asyncio.create_task(store.save_message(user("s", id="m2")))
    await asyncio.sleep(0.1)
    caller.cancel()
    await asyncio.sleep(0)
    await let_go()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(caller, 5)
    assert heard == []
    finish.set()
    async with asyncio.timeout(5):
        while not heard:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert heard == ["message.saved"]


async def test_an_error_in_it(store: SQLSessionStore) -> None:
    """What is refused is raised as ever, and the connection goes back."""
    with pytest.raises(SessionNotFound, match="no-such-session"):
        await store.save_message(user("no-such-session"))
    assert _checked_out(store) == 0
    await store.save_message(user("s"))


UNCOMMON: list[dict[str, Any]] = [
    {"poolclass": AsyncAdaptedQueuePool, "pool_size": 1, "max_overflow": 0},
    {"pool_pre_ping": True},
    {"pool_recycle": 0},
    {"connect_args": {"command_timeout": 60}},  # asyncpg sets timeouts for the task that waits then
]


@pytest.mark.parametrize("options", UNCOMMON, ids=["another", "checked", "recycled", "timed"])
async def test_with_an_uncommon_pool(database_url: str, options: dict[str, Any]) -> None:
    """A pool that isn't ours, or has more to do than to give a connection out, makes calls take a task."""
    if "connect_args" in options and database_url.startswith("sqlite"):
        options = UNCOMMON[0]
    async with SQLSessionStore.from_url(database_url, engine_kwargs=options) as store:
        await store.create_session(SessionInfo(id="s"))
        await asyncio.gather(*(store.save_message(user("s")) for _ in range(20)))
        assert len(await store.get_messages("s")) == 20
        assert not _at_hand(store)
        assert _checked_out(store) == 0


async def test_connections_that_were_thrown_away(store: SQLSessionStore) -> None:
    """Nothing is at hand while a place in the pool waits for a new connection, whoever is cancelled meanwhile."""
    for turns in range(12):
        assert _at_hand(store)
        async with store.engine.connect() as connection:
            await connection.invalidate()
        assert not _at_hand(store)
        caller = asyncio.create_task(store.save_message(user("s", id=f"n{turns}")))
        for _ in range(turns):
            await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait({caller})
        await store.get_messages("s")
        assert _checked_out(store) == 0
    assert await broken(store.engine) == []


async def test_what_belongs_to_another_event_loop() -> None:
    """Waiting for it is refused, as tasks refuse it, instead of going on for ever."""
    other = asyncio.new_event_loop()
    awaited = other.create_future()

    async def work() -> None:
        await awaited

    with pytest.raises(RuntimeError, match="different loop"):
        await asyncio.wait_for(Kept(work(), Call(), interruptible=True), 5)
    other.close()


async def test_a_caller_that_nobody_runs_any_more(store: SQLSessionStore) -> None:
    """A coroutine that is closed in a write, as when its event loop is left, leaves it whole, and the pool too."""
    steps = store.save_message(user("s", id="m2")).__await__()
    steps.send(None)
    steps.close()
    async with asyncio.timeout(5):
        while _checked_out(store):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert ids(await store.get_messages("s")) == ["m1", "m2"]


async def test_a_loss_that_core_found(postgresql_url: str) -> None:
    """Once SQLAlchemy has seen a connection lost it makes the others anew as well: until then none is at hand."""
    async with SQLSessionStore.from_url(postgresql_url) as store:
        await store.create_session(SessionInfo(id="s"))
        async with store.engine.connect() as connection:
            backend = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            async with store.engine.connect() as other:
                await other.execute(text("SELECT pg_terminate_backend(:backend)"), {"backend": backend})
            with pytest.raises(DBAPIError):
                await connection.execute(text("SELECT 1"))
        assert not _at_hand(store)
        await asyncio.gather(*(store.save_message(user("s")) for _ in range(4)))
        assert _at_hand(store)
        assert len(await store.get_messages("s")) == 4
        assert _checked_out(store) == 0
