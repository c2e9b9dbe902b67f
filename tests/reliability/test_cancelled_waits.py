"""The laws of waiting while cancelled: for what has begun, and for nothing else; and every cancellation counts."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import Event, SessionInfo, SQLSessionStore
from sessionstore.sql.shielding import Call, completed
from sessionstore.testing.build import ids, user
from tests.sql.hosts import disposing

from .drivers import count_round_trips
from .faults import KINDS

PROMPT = 2.0
"""Seconds that are far fewer than the pool's timeout (30) and the time for retries (15)."""


@pytest.fixture
async def narrow(database_url: str) -> AsyncIterator[SQLSessionStore]:
    """A store on an engine with one connection, and a session."""
    async with disposing(create_async_engine(database_url, pool_size=1, max_overflow=0)) as engine:
        store = SQLSessionStore(engine)
        await store.create_session(SessionInfo(id="s"))
        yield store


async def _cancelled(task: "asyncio.Task[object]") -> float:
    """Cancel a call and return how long it took to end."""
    start = time.monotonic()
    task.cancel()
    await asyncio.wait({task}, timeout=10)
    assert task.cancelled()
    return time.monotonic() - start


async def _nobody_else() -> None:
    """Wait until what was given up has ended."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait_for(asyncio.gather(*rest, return_exceptions=True), PROMPT)


async def test_waiting_for_the_pool(narrow: SQLSessionStore) -> None:
    """Calls that wait for a connection are given up soon; nothing is written later, and the pool is whole."""
    async with narrow.engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        calls = [asyncio.create_task(narrow.save_message(user("s"))), asyncio.create_task(narrow.get_messages("s"))]
        await asyncio.sleep(0.05)
        assert max(await asyncio.gather(*map(_cancelled, calls))) < PROMPT
    assert (await narrow.save_message(user("s", id="next"))).seq == 1
    assert ids(await narrow.get_messages("s")) == ["next"]
    await _nobody_else()
    assert getattr(narrow.engine.sync_engine.pool, "checkedout")() == 0  # noqa: B009


async def test_waiting_to_try_again(store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that only waits to try again is given up soon, and isn't done later."""
    if store.engine.dialect.name == "sqlite":
        return  # retries nothing: the driver waits for locks
    trips = count_round_trips(monkeypatch)
    await store.create_session(SessionInfo(id="s"))
    await store.engine.dispose()
    trips.arm(KINDS["gone"].fault, 1, lasting=True)
    task = asyncio.create_task(store.save_message(user("s")))
    await asyncio.sleep(0.3)
    assert await _cancelled(task) < PROMPT
    trips.disarm()
    await _nobody_else()
    assert await store.get_messages("s") == []


async def test_slow_handlers(store: SQLSessionStore) -> None:
    """A cancelled caller doesn't wait for handlers, and they are not lost."""
    heard: list[str] = []
    begun, gate, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(event: Event) -> None:
        begun.set()
        await gate.wait()
        heard.append(event.type)
        done.set()

    store.events.subscribe(slow)
    task = asyncio.create_task(store.create_session(SessionInfo(id="s")))
    await begun.wait()
    assert await _cancelled(task) < PROMPT
    assert await store.get_session("s") is not None
    assert heard == []
    gate.set()
    await asyncio.wait_for(done.wait(), PROMPT)
    assert heard == ["session.created"]


async def _saved_within(store: SQLSessionStore, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await store.save_message(user("s", id="ours"))


async def test_timeouts(store: SQLSessionStore) -> None:
    """asyncio.timeout around a write that has begun raises TimeoutError when it is done, and it is whole."""
    await store.create_session(SessionInfo(id="s"))
    async with store.engine.connect() as other:
        await store.bind(other).save_message(user("s", id="theirs"))
        waiting = asyncio.create_task(_saved_within(store, 0.05))
        await asyncio.sleep(0.4)
        assert not waiting.done()
        await other.commit()
    with pytest.raises(TimeoutError):
        await waiting
    assert waiting.cancelling() == 0
    assert ids(await store.get_messages("s")) == ["theirs", "ours"]


async def test_every_cancellation_counts() -> None:
    """Of several cancellations the first is raised, with its message, and all of them count for uncancel()."""

    async def call() -> tuple[int, object]:
        task = asyncio.current_task()
        assert task is not None
        try:
            await completed(asyncio.sleep(0.05))
        except asyncio.CancelledError as error:
            return task.cancelling(), error.args
        return 0, None

    task = asyncio.create_task(call())
    for message in ("first", "second", None):
        await asyncio.sleep(0)
        task.cancel(message)
    assert await task == (3, ("first",))


async def test_cancelled_again_and_again() -> None:
    """Who is cancelled at each turn of the event loop, as anyio does, isn't woken each time."""
    loop = asyncio.get_running_loop()
    wakes = 0

    class Counted(Call):
        def wake(self, work: "asyncio.Future[object] | None" = None) -> None:
            nonlocal wakes
            wakes += not self.done()
            super().wake(work)

    task = asyncio.create_task(completed(asyncio.sleep(0.1, "done"), Counted(begun=True)))
    turns = 0

    def deliver() -> None:
        nonlocal turns
        if not task.done():
            turns += 1
            task.cancel("Cancelled by cancel scope")
            loop.call_soon(deliver)

    loop.call_soon(deliver)
    with pytest.raises(asyncio.CancelledError, match="cancel scope"):
        await task
    assert turns > 10
    assert wakes == 1
