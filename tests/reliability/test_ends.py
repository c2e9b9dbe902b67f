"""The laws of processes that end, killed, interrupted or without a close: what was acknowledged is there, and whole."""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from sqlalchemy import text

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.testing.build import content, seqs, user
from tests.databases import PostgresDatabase
from tests.migrations.processes import run
from tests.sql.invariants import broken

from . import children
from .children import Engine

KILLS, INTERRUPTS = 50, 4
_CONNECTIONS = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state IS NOT NULL")
PROMPTLY = 10
"""Seconds, on a busy machine."""

DATABASES = {
    "sqlite": ("sqlite_url", Engine.OURS),
    "journal": ("journal_url", Engine.HOSTS),
    "postgresql": ("postgresql_url", Engine.OURS),
}


@dataclass
class Target:
    """A database on which processes write, a new session each."""

    url: str
    engine: Engine
    folder: Path
    store: SQLSessionStore
    acknowledged: int = 0
    unacknowledged: int = 0

    async def end(self, name: str, by: signal.Signals, delay: float, *, awaited: bool = True) -> None:
        """Have a process write a session and end it; check what it leaves."""
        await self.store.create_session(SessionInfo(id=name))
        connections = await self._connections()
        notes = self.folder / name
        process = children.context().Process(
            target=children.write, args=(self.url, self.engine, name, notes), kwargs={"awaited": awaited}
        )
        process.start()
        await asyncio.to_thread(_wait_for, notes, process)
        await asyncio.sleep(delay)
        await asyncio.to_thread(_end, process, by)
        async with asyncio.timeout(PROMPTLY):  # a server goes on with what it was sent, and only then sees who is gone
            while await self._connections() > connections:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        await self._check(name, notes.read_text().split())
        await self.store.delete_session(name)

    async def _connections(self) -> int:
        if self.store.engine.dialect.name == "sqlite":
            return 0
        async with self.store.engine.connect() as connection:
            return await connection.scalar(_CONNECTIONS) or 0

    async def _check(self, name: str, acknowledged: list[str]) -> None:
        stored = await self.store.get_messages(name)
        assert set(acknowledged) <= {message.id for message in stored}
        assert seqs(stored) == list(range(1, len(stored) + 1))
        for writer in range(children.WRITERS):
            its = [message for message in stored if message.id.startswith(f"{writer}.")]
            sent = [children.message(name, writer, number) for number in range(1, len(its) + 1)]
            assert [content(message) for message in its] == [content(message) for message in sent]
            known = sum(each.startswith(f"{writer}.") for each in acknowledged)
            assert len(its) - known in (0, 1)
            self.acknowledged += known
            self.unacknowledged += len(its) - known
        assert await broken(self.store.engine) == []
        async with asyncio.timeout(PROMPTLY):
            assert (await self.store.save_message(children.message(name, 99, 1))).seq == len(stored) + 1


def _wait_for(notes: Path, process: ForkServerProcess) -> None:
    """Wait until the process has written something, or is no more."""
    while not (notes.exists() and notes.stat().st_size):
        assert process.is_alive()
        time.sleep(0.003)


def _end(process: ForkServerProcess, by: signal.Signals) -> None:
    assert process.pid is not None
    os.kill(process.pid, by)
    process.join(PROMPTLY)
    try:
        assert process.exitcode == (-by if by == signal.SIGKILL else 0)
    finally:
        process.kill()


@pytest.fixture(params=["sqlite", "postgresql", pytest.param("journal", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest) -> tuple[str, Engine]:
    """An upgraded database, and whose engine is used on it."""
    fixture, engine = DATABASES[request.param]
    return request.getfixturevalue(fixture), engine


@pytest.fixture
async def target(database: tuple[str, Engine], tmp_path: Path) -> AsyncIterator[Target]:
    url, engine = database
    async with children.opened(url, engine) as store:
        yield Target(url, engine, tmp_path, store)


@pytest.mark.slow
async def test_kills(target: Target, seed: int) -> None:
    """Each of 50 processes, killed while three tasks write, leaves all that was acknowledged, and nothing half."""
    chance = random.Random(seed)  # noqa: S311 - for variety
    for number in range(KILLS):
        await target.end(f"s{number}", signal.SIGKILL, chance.uniform(0, 0.06))
    print(f"{KILLS} kills, {target.acknowledged} acknowledged, 0 lost, {target.unacknowledged} more stored")
    assert target.acknowledged >= KILLS


@pytest.mark.parametrize("awaited", [True, False], ids=["awaited", "left alone"])
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
async def test_interrupts(target: Target, seed: int, by: signal.Signals, awaited: bool) -> None:
    """A process that is interrupted in the middle of `asyncio.run` ends promptly, with each message whole or absent."""
    chance = random.Random(seed)  # noqa: S311 - for variety
    for number in range(INTERRUPTS):
        await target.end(f"s{number}", by, chance.uniform(0, 0.03), awaited=awaited)


_SCRIPT = """
import asyncio, sys, time
from sessionstore import Message, SessionInfo, SQLSessionStore

store = SQLSessionStore.from_url(sys.argv[1])

async def append(session_id):
    while True:
        await store.save_message(Message(session_id=session_id, role="user"))

async def main():
    info = await store.create_session(SessionInfo())
    await asyncio.gather(*(store.save_message(Message(session_id=info.id, role="user")) for _ in range(4)))
    if sys.argv[2] != "returns":
        writers = [asyncio.create_task(append(info.id)) for _ in range(3)]
        await asyncio.sleep(0.05)
    if sys.argv[2] == "exits":
        sys.exit(3)
    if sys.argv[2] == "fails":
        raise RuntimeError("this one's own")

try:
    asyncio.run(main())
finally:
    print(time.time())
"""
WAYS = {"returns": 0, "exits": 3, "fails": 1}


@pytest.mark.parametrize("driver", ["aiosqlite", "asyncpg", pytest.param("psycopg", marks=pytest.mark.slow)])
async def test_without_a_close(
    sqlite_url: str, postgres_database: PostgresDatabase, postgresql_url: str, driver: str
) -> None:
    """A process that ends without `close()`, however it does, while tasks are writing, isn't held up by a driver."""
    url = sqlite_url if driver == "aiosqlite" else postgres_database.url(driver)

    async def end(way: str) -> tuple[int, float]:
        done = await run(sys.executable, "-c", _SCRIPT, url, way)
        return done.code, time.time() - float(done.output)

    for (code, seconds), expected in zip(await asyncio.gather(*map(end, WAYS)), WAYS.values(), strict=True):
        assert code == expected
        assert seconds < PROMPTLY
    async with SQLSessionStore.from_url(url) as store:
        assert len(await store.list_sessions()) == len(WAYS)
        assert await broken(store.engine) == []


_BLOCKED = """
import asyncio
import sys
from sessionstore import Message, SQLSessionStore

async def main():
    store = SQLSessionStore.from_url(sys.argv[1])
    await store.get_session("s")
    writer = asyncio.create_task(store.save_message(Message(session_id="s", role="user")))
    await asyncio.sleep(0.2)
    assert not writer.done()

asyncio.run(main())
"""


async def test_while_a_write_waits_for_a_lock(postgresql_url: str) -> None:
    """A write that nobody waits for doesn't keep a process on Postgres from ending, and isn't stored."""
    async with SQLSessionStore.from_url(postgresql_url) as store:
        await store.create_session(SessionInfo(id="s"))
        async with store.engine.connect() as connection:
            await store.bind(connection).save_message(user("s"))
            ended = await asyncio.wait_for(run(sys.executable, "-c", _BLOCKED, postgresql_url), 3 * PROMPTLY)
            assert ended.code == 0
            await connection.rollback()
        assert await store.get_messages("s") == []
        assert await broken(store.engine) == []
