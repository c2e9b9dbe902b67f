"""The law of shared transactions: writes that wait for each other on SQLite share a commit, and nothing else."""

import asyncio
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from contextvars import ContextVar
from typing import Any

import pytest
from sqlalchemy import text

from sessionstore import Event, Message, SessionInfo, SQLSessionStore
from sessionstore.errors import MessageConflict, SessionNotFound, StoreUnavailable
from sessionstore.sql import attempts
from sessionstore.sql.drivers import DRIVERS
from sessionstore.sql.shielding import GRACE_SECONDS
from sessionstore.sql.transaction import Transaction
from sessionstore.testing.build import ids, seqs, user

from .invariants import broken

_BUSY_SECONDS = 0.5
_driver: Any = DRIVERS["aiosqlite"]


CONNECT_ARGUMENTS: list[dict[str, Any]] = [
    {"isolation_level": None},
    {"isolation_level": "EXCLUSIVE"},
    *([{"autocommit": False}] if sys.version_info >= (3, 12) else []),
]


@pytest.mark.parametrize("arguments", CONNECT_ARGUMENTS)
async def test_however_transactions_begin(sqlite_url: str, arguments: dict[str, Any]) -> None:
    """It holds however sqlite3 is told to begin transactions."""
    async with SQLSessionStore.from_url(sqlite_url, engine_kwargs={"connect_args": arguments}) as store:
        await store.create_session(SessionInfo(id="s"))
        found = await _all(*(store.save_message(user(of, id=f"m{n}")) for n, of in enumerate("sssxs")))
        assert [type(one) for one in found] == [Message, Message, Message, SessionNotFound, Message]
        saved = await asyncio.gather(*(store.save_message(user("s")) for _ in range(5)))
        assert seqs(saved) == [5, 6, 7, 8, 9]
        assert await broken(store.engine) == []


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[SQLSessionStore]:
    """A store with a session and an idle connection, which doesn't wait for long."""
    options = {"connect_args": {"timeout": _BUSY_SECONDS}}
    async with SQLSessionStore.from_url(sqlite_url, engine_kwargs=options) as store:
        await store.create_session(SessionInfo(id="s"))
        yield store


class Commits:
    """Counts the commits; the next ones raise `failing`, where that isn't `None`, and when they are done if `late`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.late = False
        self.failing: list[Exception | None] = []
        commit: Callable[[Any], Awaitable[None]] = _driver.commit

        async def counted(driver: Any) -> None:
            self.count += 1
            error = self.failing.pop(0) if self.failing else None
            if error is None or self.late:
                await commit(driver)
            if error is not None:
                raise error

        monkeypatch.setattr(_driver, "commit", counted)


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Commits:
    return Commits(monkeypatch)


async def _all(*writes: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*writes, return_exceptions=True)


def _other(url: str) -> closing[sqlite3.Connection]:
    """Return a connection of another program's."""
    path = url.partition("///")[2]
    return closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False))


@pytest.mark.parametrize("pool", [{}, {"pool_size": 1, "max_overflow": 0}, {"pool_pre_ping": True}])
async def test_a_crowd_shares_commits(sqlite_url: str, commits: Commits, pool: dict[str, Any]) -> None:
    """Of many writes at once all but the first are one transaction, in the order in which they came."""
    async with SQLSessionStore.from_url(sqlite_url, engine_kwargs=pool) as store:
        await store.create_session(SessionInfo(id="s"))
        commits.count = 0
        saved = await asyncio.gather(*(store.save_message(user("s", id=f"m{n}")) for n in range(50)))
        assert commits.count <= 2
        assert ids(saved) == [f"m{n}" for n in range(50)]
        assert seqs(saved) == [*range(1, 51)]
        assert await store.get_messages("s") == saved
        assert await broken(store.engine) == []


async def test_who_writes_again(store: SQLSessionStore, commits: Commits) -> None:
    """Those who write one message after the other stay together."""

    async def some(name: str) -> None:
        for number in range(10):
            await store.save_message(user("s", id=f"{name}{number}"))

    commits.count = 0
    await asyncio.gather(*(some(name) for name in "abcdefgh"))
    assert commits.count <= 12
    assert len(await store.get_messages("s")) == 80


async def test_one_that_fails(store: SQLSessionStore) -> None:
    """A write that can't be done raises its error, and the others are done and announced, once each."""
    heard: list[Event] = []
    await store.save_message(user("s", "first", id="m0"))
    store.events.subscribe(heard.append)
    found = await _all(
        store.save_message(user("s", id="m1")),
        store.save_message(user("s", id="m2")),
        store.save_message(user("nobody's")),
        store.save_message(user("s", "another", id="m0")),
        store.save_message(user("s", id="m3")),
        store.create_session(SessionInfo(id="s2")),
    )
    assert [type(one) for one in found] == [Message, Message, SessionNotFound, MessageConflict, Message, SessionInfo]
    assert ids(await store.get_messages("s")) == ["m0", "m1", "m2", "m3"]
    announced = sorted(event.data.get("message_id", event.data["session_id"]) for event in heard)
    assert announced == ["m1", "m2", "m3", "s2"]
    assert await broken(store.engine) == []


class Odd(BaseException):
    """Neither an error nor an end."""


@pytest.mark.parametrize("error", [SessionNotFound("s"), sqlite3.IntegrityError("x"), ValueError("x"), Odd()])
async def test_what_a_failing_one_wrote(store: SQLSessionStore, error: BaseException) -> None:
    """Nothing stays of a write that failed, whatever it was that it raised, and all of the others'."""

    async def operation(t: Transaction) -> None:
        await t.run(text("UPDATE sessionstore_sessions SET title = 'torn'"))
        raise error

    await asyncio.wait({asyncio.create_task(store.save_message(user("s"))) for _ in range(2)})
    found = await _all(
        store.save_message(user("s", id="m1")),
        store.save_message(user("s", id="m2")),
        _caught(store.runner.write(operation)),
        store.save_message(user("s", id="m3")),
    )
    assert ids([found[0], found[1], found[3]]) == ["m1", "m2", "m3"]
    assert isinstance(found[2], BaseException)
    info = await store.get_session("s")
    assert info is not None
    assert (info.title, info.message_count) == ("New Session", 5)


async def _caught(write: Awaitable[Any]) -> BaseException | None:
    try:
        await write
    except BaseException as error:  # noqa: BLE001 - asyncio would end with it
        return error
    return None


async def test_cancelled_before_it_begins(store: SQLSessionStore, sqlite_url: str) -> None:
    """Who is cancelled while another one waits for the lock is gone soon, and has written nothing."""
    with _other(sqlite_url) as other:
        other.execute("BEGIN IMMEDIATE")
        first, second, third = (asyncio.create_task(store.save_message(user("s", id=f"m{n}"))) for n in (1, 2, 3))
        await asyncio.sleep(0.05)
        second.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await asyncio.wait_for(second, GRACE_SECONDS + 0.1)
        other.execute("ROLLBACK")
        await asyncio.gather(first, third)
    assert ids(await store.get_messages("s")) == ["m1", "m3"]


async def test_a_lock_when_one_has_failed(store: SQLSessionStore, sqlite_url: str, commits: Commits) -> None:
    """When one fails each tries by itself, and waits for a lock no longer than its own busy timeout."""
    loop = asyncio.get_running_loop()
    with _other(sqlite_url) as other:
        first = asyncio.create_task(store.save_message(user("s", id="m0")))
        tasks = [asyncio.create_task(store.save_message(user(of, id=f"m{n}"))) for n, of in enumerate("xss", 1)]
        await asyncio.wait({first})
        while commits.count < 2 and not tasks[0].done():  # noqa: ASYNC110 - until the one by itself
            await asyncio.sleep(0)
        other.execute("BEGIN IMMEDIATE")
        began = loop.time()
        done, _ = await asyncio.wait(tasks, timeout=3 * _BUSY_SECONDS)
        assert len(done) == 3
        assert loop.time() - began < 2 * _BUSY_SECONDS
        other.execute("ROLLBACK")
    assert isinstance(tasks[0].exception(), (SessionNotFound, StoreUnavailable))
    stored = ids(await store.get_messages("s"))
    acknowledged = [task.result().id for task in tasks[1:] if task.exception() is None]
    assert stored == ["m0", *acknowledged]


async def test_gone_when_one_has_failed(sqlite_url: str) -> None:
    """When one fails nothing of the others has begun: who is cancelled in line for a connection then is gone soon."""
    async with SQLSessionStore.from_url(sqlite_url, engine_kwargs={"pool_size": 1, "max_overflow": 0}) as store:
        await store.create_session(SessionInfo(id="s"))
        first, failing, other = (asyncio.create_task(store.save_message(user(of))) for of in "sxs")
        pool: Any = store.engine.sync_engine.pool
        await first
        while not pool.checkedout():  # noqa: ASYNC110 - until both others have begun
            await asyncio.sleep(0)
        connection = await store.engine.connect()  # before either tries by itself
        await asyncio.sleep(0.05)
        assert not failing.done()
        other.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await asyncio.wait_for(other, GRACE_SECONDS + 0.2)
        await connection.close()
        with pytest.raises(SessionNotFound):
            await failing
        assert ids(await store.get_messages("s")) == [(await first).id]


async def test_nobody_is_left_in_a_batch(sqlite_url: str) -> None:
    """When all callers are gone before their writes have begun nothing stands in line for a connection any more."""
    async with SQLSessionStore.from_url(sqlite_url, engine_kwargs={"pool_size": 1, "max_overflow": 0}) as store:
        await store.create_session(SessionInfo(id="s"))
        connection = await store.engine.connect()
        writes = [asyncio.create_task(store.save_message(user("s"))) for _ in range(2)]
        pool: Any = store.engine.sync_engine.pool
        while not pool._line._waiting:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for write in writes:
            write.cancel()
        await asyncio.wait(writes)
        await asyncio.sleep(0.02)
        assert not pool._line._waiting
        await connection.close()
        assert (await store.save_message(user("s"))).seq == 1


async def test_announced_though_its_caller_has_gone(
    store: SQLSessionStore, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit whose outcome isn't known keeps a cancelled caller, until it is known, and announced."""
    heard: list[Event] = []
    store.events.subscribe(heard.append)
    monkeypatch.setattr(attempts, "_FIRST_PAUSE", 2 * GRACE_SECONDS)
    commits.late = True
    commits.failing += [None, ConnectionResetError()]
    writes = [asyncio.create_task(store.save_message(user("s", id=f"m{n}"))) for n in (1, 2)]
    while commits.count < 2:  # noqa: ASYNC110 - until the second one's is lost
        await asyncio.sleep(0)
    await asyncio.sleep(GRACE_SECONDS / 2)
    writes[1].cancel()
    await asyncio.wait(writes)
    assert writes[1].cancelled()
    assert ids(await store.get_messages("s")) == ["m1", "m2"]
    assert [event.data["message_id"] for event in heard] == ["m1", "m2"]


async def test_cancelled_when_it_has_begun(store: SQLSessionStore, sqlite_url: str) -> None:
    """Who is cancelled in a transaction with others waits for that, and raises the cancellation; it is announced."""
    heard: list[Event] = []
    store.events.subscribe(heard.append)
    with _other(sqlite_url) as other:
        first = asyncio.create_task(store.save_message(user("s", id="m1")))
        tasks = [asyncio.create_task(store.save_message(user("s", id=f"m{n}"))) for n in (2, 3)]
        await asyncio.wait({first})
        other.execute("BEGIN IMMEDIATE")
        writes = [asyncio.create_task(store.save_message(user("s", id=f"m{n}"))) for n in (4, 5, 6)]
        await asyncio.sleep(0.1)
        for _ in range(5):
            writes[1].cancel()
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        other.execute("ROLLBACK")
        await asyncio.wait({*tasks, *writes})
    assert [write.cancelled() for write in writes] == [False, True, False]
    stored = ids(await store.get_messages("s"))
    assert sorted(event.data["message_id"] for event in heard) == stored
    assert stored in (["m1", "m2", "m3", "m4", "m5", "m6"], ["m1", "m2", "m3", "m4", "m6"])
    assert await broken(store.engine) == []


async def test_a_timeout_of_the_callers(store: SQLSessionStore, sqlite_url: str) -> None:
    """A timeout ends as it does elsewhere, and later writes are done."""
    with _other(sqlite_url) as other:
        other.execute("BEGIN IMMEDIATE")
        first = asyncio.create_task(store.save_message(user("s", id="m1")))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await store.save_message(user("s", id="m2"))
        other.execute("ROLLBACK")
        await first
    await store.save_message(user("s", id="m3"))
    assert ids(await store.get_messages("s")) == ["m1", "m3"]


async def test_a_lock_that_stays(store: SQLSessionStore, sqlite_url: str) -> None:
    """When another program keeps the lock all that wait say so, in two busy timeouts, and can write afterwards."""
    loop = asyncio.get_running_loop()
    with _other(sqlite_url) as other:
        other.execute("BEGIN IMMEDIATE")
        began = loop.time()
        found = await _all(*(store.save_message(user("s")) for _ in range(20)))
        assert [type(one) for one in found] == [StoreUnavailable] * 20
        assert loop.time() - began < 2 * _BUSY_SECONDS + 0.5
        other.execute("ROLLBACK")
    await asyncio.gather(*(store.save_message(user("s")) for _ in range(20)))
    assert len(await store.get_messages("s")) == 20


@pytest.mark.parametrize("late", [False, True])
async def test_a_commit_that_is_lost(store: SQLSessionStore, commits: Commits, late: bool) -> None:
    """When nobody knows whether the shared commit was done, appends are sent again; others say `maybe_applied`."""
    heard: list[Event] = []
    store.events.subscribe(heard.append, "message.saved")
    commits.late = late
    commits.failing += [None, ConnectionResetError()]
    found = await _all(
        *(store.save_message(user("s", id=f"m{n}")) for n in (1, 2, 3)), store.update_session_title("s", "new")
    )
    assert ids(found[:3]) == ["m1", "m2", "m3"]
    assert isinstance(found[3], StoreUnavailable)
    assert found[3].maybe_applied
    assert sorted(ids(await store.get_messages("s"))) == ["m1", "m2", "m3"]
    assert sorted(event.data["message_id"] for event in heard) == ["m1", "m2", "m3"]


async def test_a_commit_that_fails(store: SQLSessionStore, commits: Commits) -> None:
    """When the shared commit fails all say so, and nothing of theirs is stored."""
    commits.failing += [None, sqlite3.OperationalError("disk I/O error")]
    found = await _all(*(store.save_message(user("s", id=f"m{n}")) for n in (1, 2, 3)))
    assert [type(one) for one in found] == [Message, StoreUnavailable, StoreUnavailable]
    assert ids(await store.get_messages("s")) == ["m1"]
    await store.save_message(user("s", id="m4"))


async def test_handlers_that_write(store: SQLSessionStore) -> None:
    """A handler of events may write, while others wait."""

    async def handler(event: Event) -> None:
        await store.update_session_title("s", event.data["message_id"])

    store.events.subscribe(handler, "message.saved")
    async with asyncio.timeout(10):
        await asyncio.gather(*(store.save_message(user("s", id=f"m{n}")) for n in range(10)))
    info = await store.get_session("s")
    assert info is not None
    assert info.title.startswith("m")


async def test_each_has_its_callers_context(store: SQLSessionStore) -> None:
    """What a caller gives to be called sees that caller's context variables."""
    name: ContextVar[str] = ContextVar("name", default="nobody")
    seen: dict[str, str] = {}
    await store.save_messages([user("s", id=f"m{n}") for n in range(4)])

    async def take(caller: str) -> None:
        name.set(caller)

        def split(message: Message) -> tuple[str, None]:
            seen[message.id] = name.get()
            return message.id, None

        taken[caller] = await store.conversation("s").take(split) or ""

    taken: dict[str, str] = {}
    await asyncio.gather(*(take(caller) for caller in "abcd"))
    assert {seen[message_id]: message_id for message_id in seen} == taken


async def test_several_stores_and_tenants(store: SQLSessionStore, commits: Commits) -> None:
    """Stores of one engine share commits too, and each writes as its own tenant."""
    tenants = [store.for_tenant(f"t{n}") for n in range(5)]
    commits.count = 0
    await asyncio.gather(*(one.create_session(SessionInfo(id=f"s{n}")) for n, one in enumerate(tenants)))
    assert commits.count <= 2
    assert [ids(await one.list_sessions()) for one in tenants] == [[f"s{n}"] for n in range(5)]


async def test_event_loops_in_threads(store: SQLSessionStore) -> None:
    """Each event loop has a queue of its own."""

    async def some(name: str) -> None:
        for number in range(5):
            await asyncio.gather(*(store.save_message(user("s", id=f"{name}{number}.{n}")) for n in range(5)))

    threads = [threading.Thread(target=asyncio.run, args=(some(name),)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join, 60)
    assert len(await store.get_messages("s")) == 75
    assert await broken(store.engine) == []


def test_the_end_of_a_loop(sqlite_url: str) -> None:
    """`asyncio.run` ends with writes waiting; those that had begun are whole, and the next loop can write."""
    store = SQLSessionStore.from_url(sqlite_url)

    async def left() -> None:
        await store.create_session(SessionInfo(id="s"))
        tasks = [asyncio.create_task(store.save_message(user("s", id=f"m{n}"))) for n in range(20)]
        await asyncio.sleep(0)
        assert len(tasks) == 20

    async def after() -> list[Message]:
        await store.save_message(user("s", id="last"))
        found = await store.get_messages("s")
        assert await broken(store.engine) == []
        await store.close()
        return found

    asyncio.run(left())
    assert ids(asyncio.run(after()))[-1] == "last"
