"""The laws of errors: every one is ours, explains itself, comes from the driver's, and holds no password."""

import asyncio
import socket
import sqlite3
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import Session, SessionInfo, SessionTime, SQLSessionStore, migrate
from sessionstore.errors import InvalidValue, SchemaOutOfDate, SessionStoreError, StoreUnavailable
from sessionstore.models.base import EARLIEST, LATEST
from sessionstore.sql import attempts
from sessionstore.testing.build import user

from .calls import CALLS, Target
from .hosts import disposing

PASSWORD = "s3cr%t/é@:p"
ESCAPED = "s3cr%25t%2F%C3%A9%40%3Ap"

SYNC_URLS = {
    "sqlite:///x.db": "sqlite+aiosqlite",
    "sqlite://": "sqlite+aiosqlite",
    "sqlite+pysqlite:///x.db": "sqlite+aiosqlite",
    f"postgresql://u:{ESCAPED}@h/d": "postgresql+asyncpg",
    f"postgres://u:{ESCAPED}@h/d": "postgresql+asyncpg",
    f"postgresql+psycopg2://u:{ESCAPED}@h/d": "postgresql+asyncpg",
    f"postgresql+pg8000://u@h/d?password={ESCAPED}": "postgresql+asyncpg",
    f"postgresql+nothing://u:{ESCAPED}@h/d": "postgresql+asyncpg",
}
BAD_URLS: tuple[Any, ...] = (
    "",
    "nothing",
    f"://u:{ESCAPED}@h",
    f"mysql+aiomysql://u:{ESCAPED}@h/d",
    f"oracle://u:{ESCAPED}@h/d",
    f"postgresql+asyncpg://u:{ESCAPED}@h:port/d",
    f"postgresql+asyncpg://u:{ESCAPED}@[::1/d",
    f"nothing://u@h/d?password={ESCAPED}",
    None,
    5,
    b"sqlite+aiosqlite://",
)


def assert_no_password(error: BaseException) -> None:
    """See that neither the error nor anything printed of it holds the password, in any form."""
    told = [str(error), repr(error), repr(error.args), *traceback.format_exception(error)]
    for form in (PASSWORD, ESCAPED, "s3cr", repr(PASSWORD)):
        assert all(form not in text for text in told), told


@pytest.mark.parametrize("url", SYNC_URLS)
def test_a_driver_that_is_not_async_is_named(url: str) -> None:
    """A URL without an async driver is refused with the name of the right one."""
    for given in (url, make_url(url)):
        with pytest.raises(InvalidValue, match=SYNC_URLS[url].replace("+", r"\+")) as raised:
            SQLSessionStore.from_url(given)
        assert_no_password(raised.value)


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_bad_url_is_refused(url: Any) -> None:
    """What is no URL of a database that is supported is refused, and not repeated."""
    with pytest.raises(InvalidValue) as raised:
        SQLSessionStore.from_url(url)
    assert_no_password(raised.value)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens."""
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have lost connections retried for a moment only."""
    monkeypatch.setattr(attempts, "RETRY_SECONDS", 0.2)


URL_FORMS = (
    f"postgresql+asyncpg://u:{ESCAPED}@127.0.0.1:PORT/d",
    f"postgresql+asyncpg://u@127.0.0.1:PORT/d?password={ESCAPED}",
    f"postgresql+asyncpg://u:{ESCAPED}@/d?host=127.0.0.1:PORT",
    f"postgresql+psycopg://u:{ESCAPED}@127.0.0.1:PORT/d",
    f"postgresql+psycopg://u@127.0.0.1:PORT/d?password={ESCAPED}",
)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("url", URL_FORMS)
async def test_nobody_listens(url: str, closed_port: int) -> None:
    """A database that can't be reached is StoreUnavailable, from the driver's error, without the password."""
    store = SQLSessionStore.from_url(url.replace("PORT", str(closed_port)))  # opens nothing, and so is never closed
    assert_no_password(InvalidValue(repr(store) + str(store)))
    works: list[Callable[[], Awaitable[Any]]] = [
        lambda: store.get_session("s"),
        lambda: store.save_message(user("s")),
        lambda: store.pop_message("s"),
        store.upgrade,
        lambda: migrate.check(store.engine),
    ]
    for work in works:
        started = time.monotonic()
        with pytest.raises(StoreUnavailable) as raised:
            await work()
        assert time.monotonic() - started < 3
        assert raised.value.__cause__ is not None
        assert not raised.value.maybe_applied
        assert_no_password(raised.value)


@pytest.mark.parametrize("problem", ["role", "database", "host"])
async def test_the_server_refuses(postgresql_url: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown role, database or host is StoreUnavailable, without the password."""
    monkeypatch.setattr(attempts, "RETRY_SECONDS", 0.2)
    url = make_url(postgresql_url).set(password=PASSWORD)
    if problem == "role":
        url = url.set(username="nobody_of_that_name")
    elif problem == "database":
        url = url.set(database="nothing_of_that_name")
    else:
        url = url.set(host="nowhere.invalid", query={})
    async with SQLSessionStore.from_url(url) as store:
        for work in (lambda: store.get_session("s"), lambda: store.save_message(user("s")), store.upgrade):
            with pytest.raises(StoreUnavailable) as raised:
                await work()
            assert raised.value.__cause__ is not None
            assert_no_password(raised.value)


@pytest.mark.parametrize("option", ["nothing=1", "channel_binding=require"])
async def test_an_option_that_the_driver_does_not_know(postgresql_url: str, option: str) -> None:
    """An option of libpq's that asyncpg doesn't know, as hosting services print them, is an error of ours."""
    separator = "&" if "?" in postgresql_url else "?"
    async with SQLSessionStore.from_url(f"{postgresql_url}{separator}{option}&password={ESCAPED}") as store:
        for work in (lambda: store.get_session("s"), lambda: store.save_message(user("s")), store.upgrade):
            with pytest.raises(SessionStoreError, match=option.split("=")[0]) as raised:
                await work()
            assert_no_password(raised.value)


async def test_sqlite_stays_locked(sqlite_url: str) -> None:
    """When another process keeps the write lock past the busy timeout, writes are StoreUnavailable and reads work."""
    async with SQLSessionStore.from_url(sqlite_url, engine_kwargs={"connect_args": {"timeout": 0.2}}) as store:
        await store.create_session(SessionInfo(id="s"))
        with closing(sqlite3.connect(make_url(sqlite_url).database or "", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            writes: list[Callable[[], Awaitable[Any]]] = [
                lambda: store.save_message(user("s")),
                lambda: store.pop_message("s"),
                lambda: store.delete_session("s"),
                lambda: migrate.downgrade(store.engine, revision="base"),
            ]
            for write in writes:
                started = time.monotonic()
                with pytest.raises(StoreUnavailable, match="locked") as raised:
                    await write()
                assert raised.value.__cause__ is not None
                assert time.monotonic() - started < 3
            assert await store.get_session("s") is not None
            other.execute("ROLLBACK")
        assert (await store.save_message(user("s"))).seq == 1


async def test_sqlite_waits_for_the_lock(sqlite_url: str) -> None:
    """A write waits for the lock as long as the busy timeout lets it, and then is done once."""
    async with SQLSessionStore.from_url(sqlite_url) as store:
        await store.create_session(SessionInfo(id="s"))
        with closing(sqlite3.connect(make_url(sqlite_url).database or "", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            work = asyncio.create_task(store.save_message(user("s")))
            await asyncio.sleep(0.3)
            assert not work.done()
            other.execute("COMMIT")
            assert (await work).seq == 1


async def test_a_file_that_is_no_database(tmp_path: Any) -> None:
    """A file that is no SQLite database, and one in no folder, are errors of ours."""
    wrong = tmp_path / "notes.txt"
    wrong.write_text("not a database, but long enough to be told from one at its first page" * 30)
    for path in (wrong, tmp_path / "nowhere" / "x.db", tmp_path):
        async with SQLSessionStore.from_url(f"sqlite+aiosqlite:///{path}") as store:
            for work in (lambda: store.get_session("s"), lambda: store.save_message(user("s")), store.upgrade):
                with pytest.raises(SessionStoreError) as raised:
                    await work()
                assert raised.value.__cause__ is not None
    await asyncio.sleep(0.1)  # aiosqlite's threads that failed to connect end by themselves


async def test_a_read_only_database(sqlite_url: str) -> None:
    """Writing to a database that can only be read is StoreUnavailable; reading works."""
    path = make_url(sqlite_url).database
    async with disposing(create_async_engine(f"sqlite+aiosqlite:///file:{path}?mode=ro&uri=true")) as engine:
        store = SQLSessionStore(engine)
        assert await store.list_sessions() == []
        with pytest.raises(StoreUnavailable):
            await store.create_session(SessionInfo())


async def test_a_read_only_server(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a standby, or after a failover, a write is StoreUnavailable; reading works."""
    monkeypatch.setattr(attempts, "RETRY_SECONDS", 0.2)
    settings = {"connect_args": {"server_settings": {"default_transaction_read_only": "on"}}}
    async with SQLSessionStore.from_url(postgresql_url, engine_kwargs=settings) as store:
        assert await store.list_sessions() == []
        with pytest.raises(StoreUnavailable):
            await store.create_session(SessionInfo())


RENAMED = {"sessions": ("metadata", "tenant_id"), "messages": ("metadata",), "read_files": ("path",)}


async def test_what_the_driver_says_is_ours(store: SQLSessionStore) -> None:
    """Each method's error is ours, from the driver's, and neither they nor their tracebacks tell content."""
    secret = "content of " + "mine"
    columns = [(table, column) for table, columns in RENAMED.items() for column in columns]
    async with store.engine.begin() as connection:
        for table, column in columns:
            await connection.execute(text(f"ALTER TABLE sessionstore_{table} RENAME COLUMN {column} TO {column}_moved"))
    for name, call in CALLS.items():
        with pytest.raises(SchemaOutOfDate, match="sessionstore db upgrade") as raised:
            await call(store, Target(secret))
        assert raised.value.__cause__ is not None, name
        assert secret not in "".join(traceback.format_exception(raised.value)), name
    async with store.engine.begin() as connection:
        for table, column in columns:
            await connection.execute(text(f"ALTER TABLE sessionstore_{table} RENAME COLUMN {column}_moved TO {column}"))


@pytest.mark.parametrize("instant", [EARLIEST, LATEST], ids=["first", "last"])
async def test_extreme_times_stay_readable(store: SQLSessionStore, instant: datetime) -> None:
    """The first and the last instant come back, and what moves behind them breaks no session and no list."""
    info = SessionInfo(id="s", time=SessionTime(created=instant, updated=instant))
    await store.create_session(info)
    found = await store.get_session("s")
    assert found is not None
    assert found.time == info.time
    await store.save_message(user("s", id="m1", created_at=instant))
    for _ in range(3):
        await store.save_message(user("s"))
        await store.update_session_title("s", "moved")
    stored = await store.get_messages("s")
    assert stored[0].created_at == instant
    assert [m.created_at for m in stored] == sorted(m.created_at for m in stored)
    assert len(await store.list_sessions()) == 1


@pytest.mark.parametrize("instant", [datetime.min, datetime.max])
async def test_times_beyond_the_extremes_are_refused(store: SQLSessionStore, instant: datetime) -> None:
    """An instant beyond that can't be moved or stored without loss, and is refused before anything is written."""
    info = await store.create_session(SessionInfo(id="s"))
    beyond = instant.replace(tzinfo=UTC)
    with pytest.raises(ValueError, match="outside"):
        await store.save_message(user("s", created_at=beyond))
    message = user("s")
    message.__dict__["created_at"] = beyond
    with pytest.raises(InvalidValue, match="created_at"):
        await store.save_message(message)
    with pytest.raises(ValueError, match="outside"):
        await store.update_session(info.model_copy(update={"time": SessionTime(archived=beyond)}))
    assert await store.get_messages("s") == []


async def test_totals_that_overflow_are_refused(store: SQLSessionStore) -> None:
    """A session whose totals and messages differ by more than 64 bits is InvalidValue, and isn't stored."""
    info = SessionInfo(id="n")
    info.__dict__["input_tokens"] = -(2**63)
    with pytest.raises(InvalidValue):
        await store.save_session(Session(info=info, messages=[user("n", usage={"input_tokens": 9})]))
    assert await store.get_session("n") is None
