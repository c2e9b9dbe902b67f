"""The laws of work in SQLite's thread: it is the caller's, of what the caller gave, on whatever connection there is."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import event

from sessionstore import Message, SessionInfo, SQLSessionStore
from sessionstore.sql.direct import pool_of
from sessionstore.sql.drivers import DRIVERS, WorkingConnection
from sessionstore.testing.build import ids, stored, user


class _Plain(sqlite3.Connection):
    """A connection of the host's own kind."""


class _Traced:
    """A connection that a tracer has wrapped: what is executed goes through a cursor."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        object.__setattr__(self, "connection", connection)

    def execute(self, *args: Any) -> sqlite3.Cursor:
        return self.connection.cursor().execute(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "connection"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.connection, name, value)


def _of_another_kind(_dialect: Any, _record: Any, _args: Any, parameters: dict[str, Any]) -> None:
    parameters["factory"] = _Plain


def _made_by_a_hook(dialect: Any, _record: Any, args: Any, _parameters: dict[str, Any]) -> Any:
    return dialect.loaded_dbapi.connect(args[0], timeout=5)


def _is_direct(store: SQLSessionStore) -> bool:
    """Whether statements go to the driver."""
    pool = pool_of(store.engine)
    return pool is not None and pool.usable(store.engine)


async def _used(store: SQLSessionStore) -> None:
    assert (await store.save_message(user("s"))).seq
    assert await store.get_messages("s")


@pytest.mark.parametrize("hook", [_of_another_kind, _made_by_a_hook])
@pytest.mark.parametrize("late", [False, True], ids=["at once", "later"])
async def test_a_hooks_connections(sqlite_url: str, hook: Callable[..., Any], late: bool) -> None:
    """Whatever a hook of SQLAlchemy's makes of connections, also when the first ones were ours."""
    async with SQLSessionStore.from_url(sqlite_url) as store:
        if late:
            await store.create_session(SessionInfo(id="first"))
        event.listen(store.engine.sync_engine, "do_connect", hook)
        async with store.engine.connect():  # so that calls need a new connection
            await store.create_session(SessionInfo(id="s"))
            await asyncio.gather(*(_used(store) for _ in range(4)))
        assert not _is_direct(store)
        assert (await stored(store, "s")).message_count == 4


async def test_a_creators_connections(sqlite_url: str) -> None:
    """Connections that a function of the host's makes."""
    path = sqlite_url.partition(":///")[2]
    arguments = {"async_creator_fn": lambda *_args, **_kwargs: aiosqlite.connect(path)}
    async with SQLSessionStore.from_url(sqlite_url, engine_kwargs={"connect_args": arguments}) as store:
        await store.create_session(SessionInfo(id="s"))
        await _used(store)


async def test_a_tracers_connections(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that are wrapped as they are made, as tracers do."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: _Traced(connect(*args, **kwargs)))
    async with SQLSessionStore.from_url(sqlite_url) as store:
        await store.create_session(SessionInfo(id="s"))
        await _used(store)
        assert not _is_direct(store)


async def test_other_connections_stay_out_of_the_way(sqlite_url: str) -> None:
    """Without any of that the work is done in the thread."""
    async with SQLSessionStore.from_url(sqlite_url) as store:
        await store.create_session(SessionInfo(id="s"))
        await _used(store)
        assert _is_direct(store)


async def test_what_was_given_is_what_is_stored(store: SQLSessionStore) -> None:
    """What the caller changes of nested metadata while a call is under way, the call doesn't see."""
    state = {str(number): [number] for number in range(20_000)}
    call = asyncio.ensure_future(store.create_session(SessionInfo(id="s", metadata={"state": state})))
    await asyncio.sleep(0)
    while not call.done():
        state[f"new {len(state)}"] = [(0,)]  # a tuple, which JSON can't hold
        await asyncio.sleep(0)
    found = (await call).metadata["state"]
    assert len(found) == 20_000 < len(state)
    assert (await stored(store, "s")).metadata["state"] == found


async def test_the_callers_context(store: SQLSessionStore) -> None:
    """A caller's function sees the caller's context variables, whichever thread it is called in."""
    variable = ContextVar("variable", default="nobody's")
    variable.set("the caller's")
    await store.create_session(SessionInfo(id="s"))
    await store.save_message(user("s", id="m"))

    def split(message: Message) -> tuple[str, None]:
        assert message.id == "m"
        return variable.get(), None

    assert await store.conversation("s").take(split) == "the caller's"
    assert ids(await store.get_messages("s")) == []


async def test_cancelled_while_the_thread_works(sqlite_url: str) -> None:
    """A task that is cancelled while its work is under way in the thread is cancelled, and nothing else."""
    begun, go_on = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        go_on.wait(10)

    async with aiosqlite.connect(sqlite_url.partition(":///")[2], factory=WorkingConnection) as connection:
        task = asyncio.ensure_future(DRIVERS["aiosqlite"](connection).complete(work()))
        assert await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()


async def test_work_that_waits_for_something_else(sqlite_url: str) -> None:
    """Is an error, and its connection goes on."""
    async with aiosqlite.connect(sqlite_url.partition(":///")[2], factory=WorkingConnection) as connection:
        driver = DRIVERS["aiosqlite"](connection)

        async def reading() -> list[Any]:
            return [*await driver.rows("SELECT 5", ())]

        with pytest.raises(RuntimeError, match="waited"):
            await driver.complete(asyncio.sleep(0))
        assert await driver.complete(reading()) == [(5,)]
    with pytest.raises(ValueError, match="losed"):
        await driver.complete(reading())
