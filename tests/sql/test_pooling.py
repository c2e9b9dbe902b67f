"""The law of the line: who waits for a connection gets it in turn, whoever is cancelled or late, and none is lost."""

import asyncio
import gc
import random
import threading
import time
from collections.abc import Coroutine
from typing import Any

import pytest
from sqlalchemy import event, text

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.errors import StoreUnavailable
from sessionstore.sql.pooling import ConnectionPool
from sessionstore.sql.shielding import GRACE_SECONDS
from sessionstore.testing.build import ids, user

from .invariants import broken

ONE = {"pool_size": 1, "max_overflow": 0}


async def _opened(url: str, **options: Any) -> SQLSessionStore:
    store = SQLSessionStore.from_url(url, engine_kwargs={**ONE, **options})
    await store.create_session(SessionInfo(id="s"))
    return store


def _pool(store: SQLSessionStore) -> ConnectionPool:
    pool = store.engine.sync_engine.pool
    assert isinstance(pool, ConnectionPool)
    return pool


async def _settled() -> None:
    await asyncio.sleep(0.02)


async def test_in_turn(database_url: str) -> None:
    """Calls and the application's own use of the engine stand in one line."""
    done: list[str] = []

    async def own(name: str) -> None:
        async with store.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            done.append(name)

    async def call(name: str, work: Coroutine[Any, Any, object]) -> None:
        await work
        done.append(name)

    async with await _opened(database_url) as store:
        async with store.engine.connect():
            waiting: list[asyncio.Task[None]] = []
            for work in (own("1"), call("2", store.get_messages("s")), own("3"), call("4", store.get_session("s"))):
                waiting.append(asyncio.create_task(work))
                await _settled()
        await asyncio.gather(*waiting)
        assert done == ["1", "2", "3", "4"]
        assert _pool(store).checkedout() == 0


async def test_nobody_pushes_in(postgresql_url: str) -> None:
    """A connection that comes back while somebody waits isn't there for who asks between that and the waiter's turn."""
    async with await _opened(postgresql_url) as store:
        held = await store.engine.connect()
        first = asyncio.create_task(store.save_message(user("s", id="first")))
        await _settled()
        await held.close()
        later = asyncio.create_task(store.save_message(user("s", id="later")))
        await asyncio.gather(first, later)
        assert ids(await store.get_messages("s")) == ["first", "later"]


async def test_waiting_takes_no_other_task(postgresql_url: str) -> None:
    """Calls that wait for a connection do so in their callers' tasks."""
    made: list[object] = []

    def factory(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        made.append(work)
        return asyncio.Task(work, loop=loop, **options)

    async with await _opened(postgresql_url) as store:
        await store.save_message(user("s"))  # what a connection learns on its first call
        await store.get_messages("s", limit=20)
        loop = asyncio.get_running_loop()
        works = [store.save_message(user("s")) for _ in range(5)], [store.get_messages("s", limit=20) for _ in range(5)]
        callers = [asyncio.create_task(work) for kind in works for work in kind]
        loop.set_task_factory(factory)
        try:
            await asyncio.wait(callers)
        finally:
            loop.set_task_factory(None)
        assert made == []
        assert len(await store.get_messages("s")) == 6


async def test_cancelled_between_arrival_and_turn(database_url: str) -> None:
    """A connection that came for a caller who is cancelled in that moment goes to the next one."""
    async with await _opened(database_url) as store:
        for turns in range(6):
            held = await store.engine.connect()
            gone = asyncio.create_task(store.get_messages("s"))
            await _settled()
            next_one = asyncio.create_task(store.get_session("s"))
            await _settled()
            await held.close()
            for _ in range(turns):
                await asyncio.sleep(0)
            gone.cancel()
            assert await asyncio.wait_for(next_one, 5) is not None
            await asyncio.wait({gone})
            assert _pool(store).checkedout() == 0


@pytest.mark.parametrize("name", ["read", "write"])
async def test_cancelled_while_waiting(database_url: str, name: str) -> None:
    """A caller who is cancelled while there is no connection is gone soon, and nothing is written for it."""
    async with await _opened(database_url) as store:
        held = await store.engine.connect()
        work = store.save_message(user("s", id="m1")) if name == "write" else store.get_messages("s")
        caller = asyncio.create_task(work)
        await _settled()
        caller.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await asyncio.wait_for(caller, GRACE_SECONDS + 1)
        await held.close()
        await _settled()
        assert await store.get_messages("s") == []
        assert _pool(store).checkedout() == 0


@pytest.mark.parametrize("name", ["read", "write"])
async def test_no_connection_in_time(database_url: str, name: str) -> None:
    """It is said once the pool's own timeout is over, and the next call works."""
    async with await _opened(database_url, pool_timeout=0.2) as store:
        async with store.engine.connect():
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="pool"):
                await (store.save_message(user("s")) if name == "write" else store.get_messages("s"))
            assert 0.2 <= time.monotonic() - began < 0.4
        assert (await store.save_message(user("s"))).seq == 1
        assert _pool(store).checkedout() == 0


async def test_a_connection_that_was_thrown_away(database_url: str) -> None:
    """Who waits for one that is lost meanwhile gets a new one, and so do those behind."""
    async with await _opened(database_url) as store:
        held = await store.engine.connect()
        callers = [asyncio.create_task(store.save_message(user("s"))) for _ in range(3)]
        callers.append(asyncio.create_task(store.save_messages([user("s"), user("s")])))  # pyright: ignore[reportArgumentType]
        await _settled()
        await held.invalidate()
        await held.close()
        await asyncio.wait_for(asyncio.gather(*callers), 10)
        assert len(await store.get_messages("s")) == 5
        assert _pool(store).checkedout() == 0


async def test_a_lost_server_connection(postgresql_url: str) -> None:
    """So it is when the server ends the only connection amid a write, while others wait for it."""
    async with await _opened(postgresql_url) as store, SQLSessionStore.from_url(postgresql_url) as other:
        async with other.engine.connect() as locking:
            await other.bind(locking).save_message(user("s"))
            callers = [asyncio.create_task(store.save_message(user("s"))) for _ in range(5)]
            waiting = text(
                "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            async with other.engine.connect() as killer:
                while (backend := await killer.scalar(waiting)) is None:
                    await _settled()
                await killer.execute(text("SELECT pg_terminate_backend(:backend)"), {"backend": backend})
            await _settled()
        await asyncio.wait_for(asyncio.gather(*callers), 20)
        assert len(await store.get_messages("s")) == 5
        assert _pool(store).checkedout() == 0


async def test_a_crowd_with_cancellations(database_url: str) -> None:
    """Whoever is cancelled whenever: all others are served, what is stored is whole, and the pool is as before."""
    chance = random.Random(7)  # noqa: S311 - guards nothing
    async with await _opened(database_url, pool_size=2, max_overflow=1) as store:

        async def caller(number: int) -> None:
            for n in range(4):
                await store.save_message(user("s", id=f"{number}-{n}"))
                await store.get_messages("s", limit=3)

        callers = [asyncio.create_task(caller(number)) for number in range(40)]
        unlucky = callers[::3]
        for one in unlucky:
            await asyncio.sleep(chance.random() * 0.02)
            one.cancel()
        await asyncio.wait(callers, timeout=60)
        lucky = [one for one in callers if one not in unlucky]
        assert [one.exception() for one in lucky] == [None] * len(lucky)
        stored = {*ids(await store.get_messages("s"))}
        assert {f"{number}-{n}" for number in range(40) if number % 3 for n in range(4)} <= stored
        await _settled()
        assert _pool(store).checkedout() == 0
        assert await broken(store.engine) == []


async def test_disposing_keeps_the_kind(database_url: str) -> None:
    """The pool after `dispose` is one like it."""
    async with await _opened(database_url, pool_timeout=7) as store:
        before = _pool(store)
        await store.engine.dispose()
        assert _pool(store) is not before
        assert (_pool(store).size(), _pool(store).timeout()) == (1, 7)
        assert (await store.save_message(user("s"))).seq == 1


async def test_room_for_those_who_wait(database_url: str) -> None:
    """Whoever waits for a connection makes one as soon as there is room for it, and doesn't fail for want of one."""
    async with await _opened(database_url, pool_timeout=1) as store:
        held = await store.engine.connect()
        callers = [asyncio.create_task(store.get_session("s")) for _ in range(3)]
        await _settled()
        await store.engine.dispose()
        assert None not in await asyncio.wait_for(asyncio.gather(*callers), 0.8)
        await held.invalidate()
        await held.close()


async def test_room_after_disposing_is_the_new_pools(sqlite_url: str) -> None:
    """Whoever waited while the engine was disposed of gives its connection back to the pool that it came from."""
    async with await _opened(sqlite_url, max_overflow=3) as store:
        held = [await store.engine.connect() for _ in range(4)]
        callers = [asyncio.create_task(store.get_session("s")) for _ in range(4)]
        await _settled()
        await store.engine.dispose()
        assert None not in await asyncio.wait_for(asyncio.gather(*callers), 5)
        await asyncio.sleep(0.1)
        aiosqlite_threads = [thread for thread in threading.enumerate() if "_connection_worker" in thread.name]
        assert len(aiosqlite_threads) <= 4 + 1
        for connection in held:
            await connection.invalidate()
            await connection.close()


async def test_a_place_that_cannot_be_made_anew(postgresql_url: str) -> None:
    """Whoever has to make a connection anew, and is cancelled amid that, leaves the place to others."""
    async with await _opened(postgresql_url) as store:
        for turns in range(12):
            held = await store.engine.connect()
            caller = asyncio.create_task(store.get_session("s"))
            await _settled()
            await held.invalidate()
            await held.close()
            for _ in range(turns):
                await asyncio.sleep(0)
            caller.cancel()
            await asyncio.wait({caller})
            assert await asyncio.wait_for(store.get_session("s"), 5) is not None
            assert _pool(store).checkedout() == 0


async def test_room_when_a_connection_fails(database_url: str) -> None:
    """So it is when the one who was making a connection doesn't get it."""
    async with await _opened(database_url, pool_timeout=1) as store:
        failing = asyncio.Event()

        async def fail(connection: Any) -> None:
            await failing.wait()
            await connection.close()
            raise OSError("no connection")

        await store.engine.dispose()
        event.listen(store.engine.sync_engine, "connect", lambda raw, _: raw.run_async(fail), once=True)
        maker = asyncio.create_task(store.engine.connect().start())
        await _settled()
        callers = [asyncio.create_task(store.get_session("s")), asyncio.create_task(store.save_message(user("s")))]
        await _settled()
        failing.set()
        with pytest.raises(OSError, match="no connection"):
            await maker
        assert None not in await asyncio.wait_for(asyncio.gather(*callers), 0.8)
        assert _pool(store).checkedout() == 0


async def test_a_thrown_away_connection_keeps_the_turn(database_url: str) -> None:
    """Who gets a place whose connection was thrown away makes it anew, and isn't behind those who came later."""
    done: list[str] = []

    async def own(name: str) -> None:
        async with store.engine.connect() as connection:
            await _settled()
            await connection.invalidate()
            done.append(name)

    async def save() -> None:
        await store.save_message(user("s"))
        done.append("save")

    async with await _opened(database_url) as store:
        waiting: list[asyncio.Task[None]] = []
        for work in (own("1"), save(), own("2"), own("3")):
            waiting.append(asyncio.create_task(work))
            await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(*waiting), 10)
        assert done == ["1", "save", "2", "3"]


async def test_one_turn_for_a_whole_write(database_url: str) -> None:
    """A write that needs more than its first statement does that on the connection that it has."""
    async with await _opened(database_url) as store:
        saved = await store.save_message(user("s", id="m1"))
        held = await store.engine.connect()
        again = asyncio.create_task(store.save_message(saved))
        await _settled()
        behind = asyncio.create_task(store.engine.connect().start())
        await _settled()
        await held.close()
        assert (await asyncio.wait_for(again, 5)).seq == 1
        await (await behind).close()


async def test_a_pool_of_the_applications_own(database_url: str) -> None:
    """`engine_kwargs` may bring a whole pool."""
    async with SQLSessionStore.from_url(database_url) as first:
        pool = first.engine.sync_engine.pool
        async with SQLSessionStore.from_url(database_url, engine_kwargs={"pool": pool}) as store:
            await store.create_session(SessionInfo(id="s"))
            assert (await store.save_message(user("s"))).seq == 1


async def test_a_caller_that_nobody_runs_any_more(postgresql_url: str) -> None:
    """A coroutine that is closed while it waits leaves the line, and nothing behind."""
    async with await _opened(postgresql_url, pool_timeout=0.2) as store:
        held = await store.engine.connect()
        steps = store.save_message(user("s")).__await__()
        steps.send(None)
        steps.close()
        await asyncio.sleep(0.4)
        await held.close()
        assert (await store.save_message(user("s"))).seq == 1
        assert _pool(store).checkedout() == 0


@pytest.mark.filterwarnings("ignore:The garbage collector:sqlalchemy.exc.SAWarning")
async def test_dropped_connections_are_given_back(postgresql_url: str) -> None:
    """Who waits gets the place of a connection that was dropped and collected."""
    async with await _opened(postgresql_url) as store:
        held: Any = await store.engine.raw_connection()
        caller = asyncio.create_task(store.save_message(user("s")))
        await _settled()
        del held
        gc.collect()
        await asyncio.wait_for(caller, 10)
        assert len(await store.get_messages("s")) == 1
