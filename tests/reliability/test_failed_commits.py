"""The laws of transactions that fail at their ends, in earnest: nothing of them goes back to the pool."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.errors import SessionStoreError, StoreUnavailable
from sessionstore.testing.build import LONG_AGO, ids, seqs, user
from tests.databases import PostgresDatabase
from tests.sql.hosts import disposing
from tests.sql.invariants import broken

from .drivers import Original, RoundTrips, Wire, count_round_trips


async def test_a_reader_holds_up_the_commit(sqlite_url: str) -> None:
    """Outside WAL mode a reader makes COMMIT fail; the write is gone, its lock too, and nobody commits it later."""
    async with disposing(create_async_engine(sqlite_url, connect_args={"timeout": 0.1})) as engine:
        store = SQLSessionStore(engine)
        async with engine.connect() as reader:
            await reader.execute(text("PRAGMA journal_mode = DELETE"))
            await store.create_session(SessionInfo(id="s"))
            rows = await reader.stream(text("SELECT name FROM sqlite_master"))  # an open cursor: a reader's lock
            with pytest.raises(StoreUnavailable) as raised:
                await store.save_message(user("s", id="lost"))
            assert not raised.value.maybe_applied
            await rows.close()
        assert (await store.save_message(user("s", id="next"))).seq == 1
        async with disposing(create_async_engine(sqlite_url)) as other:
            assert ids(await SQLSessionStore(other).get_messages("s")) == ["next"]


async def test_begin_breaks(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After something broke inside the driver at BEGIN, what is returned as saved is there."""
    trips = count_round_trips(monkeypatch)

    async def breaks(wire: Wire, original: Original) -> None:
        await original()
        raise MemoryError

    async with SQLSessionStore.from_url(postgresql_url) as store:
        await store.create_session(SessionInfo(id="s"))
        trips.arm(breaks, 1)
        with pytest.raises((MemoryError, SessionStoreError)):
            await store.save_message(user("s", id="first"))
        trips.disarm()
        for number in range(3):
            await store.save_message(user("s", id=f"m{number}"))
        async with SQLSessionStore.from_url(postgresql_url) as other:
            assert ids(await other.get_messages("s")) == ["m0", "m1", "m2"]


async def _terminate_at_every_statement(
    store: SQLSessionStore, server: asyncpg.Connection, trips: RoundTrips, **second: Any
) -> int:
    async def terminated(wire: Wire, original: Original) -> object:
        await server.execute("SELECT pg_terminate_backend($1, 1000)", wire.pid)
        return await original()

    for step in range(1, 100):
        first = max(seqs(await store.get_messages("s")), default=0)
        trips.arm(terminated, step)
        async with asyncio.timeout(10):
            saved = await store.save_messages([user("s"), user("s", **second)])
        trips.disarm()
        assert (saved[0].seq, saved[1].seq) == (first + 1, first + 2)
        if not trips.happened:
            return step
    pytest.fail("there is no end to it")


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_the_server_ends_the_connection(
    postgresql_url: str, postgres_database: PostgresDatabase, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append whose connection the server ends before its n-th statement, for every n, is stored once."""
    trips = count_round_trips(monkeypatch)
    server = await asyncpg.connect(postgresql_url.replace("+asyncpg", ""))
    async with SQLSessionStore.from_url(postgres_database.url(driver)) as store:
        await store.create_session(SessionInfo(id="s"))
        quick = await _terminate_at_every_statement(store, server, trips)
        assert quick >= 2
        steps = await _terminate_at_every_statement(store, server, trips, created_at=LONG_AGO)
        assert steps > 5
        assert len(await store.get_messages("s")) == 2 * (quick + steps)
        assert await broken(store.engine) == []
    await server.close()


async def test_wal_without_stopping_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a connection waits to switch a file to WAL, the event loop's thread doesn't sleep."""
    sleeping: list[threading.Thread] = []
    monkeypatch.setattr(time, "sleep", lambda _: sleeping.append(threading.current_thread()))
    url = f"sqlite+aiosqlite:///{tmp_path / 'x.db'}"
    async with disposing(create_async_engine(url)) as engine, engine.connect() as holder:
        await holder.execute(text("CREATE TABLE t (x)"))
        await holder.commit()
        await holder.exec_driver_sql("BEGIN EXCLUSIVE")
        async with SQLSessionStore.from_url(url, engine_kwargs={"connect_args": {"timeout": 0}}) as store:
            connecting = asyncio.ensure_future(store.engine.connect().start())
            await asyncio.wait({connecting}, timeout=0.2)
            assert not connecting.done()
            await holder.rollback()
            await (await connecting).close()
    assert threading.current_thread() not in sleeping
