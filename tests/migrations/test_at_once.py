"""The law of many starting at once: all of them upgrade an empty database, and all succeed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore import SessionInfo, SQLSessionStore, migrate
from sessionstore.errors import StoreUnavailable
from tests.databases import TABLES
from tests.sql.hosts import HOSTS, SETTINGS, at_once, disposing

from .processes import run_together
from .structure import tables

PROCESSES = 8
TASKS = 25

_UPGRADE = """
import asyncio
from sessionstore import SessionInfo, SQLSessionStore

async def main():
    for url, schema in zip(sys.argv[3::2], sys.argv[4::2]):
        async with SQLSessionStore.from_url(url, schema=schema or None) as store:
            wait(url + schema)
            await store.upgrade()
            await store.create_session(SessionInfo(id=sys.argv[2]))

asyncio.run(main())
"""


async def test_eight_processes(empty_sqlite_url: str, empty_postgresql_url: str, tmp_path: Path) -> None:
    """Eight processes that start at once upgrade empty databases, and a schema that isn't there: all succeed."""
    targets = [(empty_sqlite_url, ""), (empty_postgresql_url, ""), (empty_postgresql_url, "agents")]
    arguments = [argument for target in targets for argument in target]
    assert await run_together(PROCESSES, _UPGRADE, tmp_path, *arguments) == []
    for url, schema in targets:
        async with SQLSessionStore.from_url(url, schema=schema or None) as store:
            assert await migrate.check(store.engine, schema=schema or None)
            assert {info.id for info in await store.list_sessions()} == {str(number) for number in range(PROCESSES)}


async def test_tasks_with_engines_of_their_own(empty_database_url: str) -> None:
    """Twenty-five stores in one process, each with an engine of its own, upgrade at once."""

    async def start(number: int) -> None:
        async with SQLSessionStore.from_url(empty_database_url, auto_upgrade=True) as store:
            await store.create_session(SessionInfo(id=str(number)))

    await at_once(*(start(number) for number in range(TASKS)))
    async with SQLSessionStore.from_url(empty_database_url) as store:
        assert len(await store.list_sessions()) == TASKS


async def test_tasks_in_schemas(empty_postgresql_url: str) -> None:
    """Tasks that upgrade three schemas at once each get theirs, whole."""
    async with SQLSessionStore.from_url(empty_postgresql_url) as store:
        stores = [SQLSessionStore(store.engine, schema=schema) for schema in ("a", "b", "c") for _ in range(5)]
        await at_once(*(each.upgrade() for each in stores))
        for schema in ("a", "b", "c"):
            assert await tables(store.engine, schema) == {*TABLES, migrate.VERSION_TABLE}


MATTERING = {"plain", "autocommit", "begin", "one connection", "serializable", "repeatable read", "psycopg"}
"""The settings of hosts that could matter to a lock and a transaction."""


@pytest.fixture(params=[host for host in HOSTS if host[1] in MATTERING], ids="-".join)
def made(request: pytest.FixtureRequest) -> AsyncEngine:
    """An engine with settings of the host's on a database without tables, which `host` disposes."""
    database, setting = request.param
    return SETTINGS[database][setting](request.getfixturevalue(f"empty_{database}_url"))


@pytest.fixture
async def host(made: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """An engine with settings of the host's, on a database without tables."""
    async with disposing(made) as engine:
        yield engine


async def test_tasks_on_a_hosts_engine(host: AsyncEngine) -> None:
    """Many tasks upgrade through a host's engine at once, whatever its settings, and it is given back as it was."""
    await at_once(*(SQLSessionStore(host).upgrade() for _ in range(10)))
    assert await tables(host) == {*TABLES, migrate.VERSION_TABLE}
    assert getattr(host.sync_engine.pool, "checkedout", lambda: 0)() == 0
    await SQLSessionStore(host).create_session(SessionInfo())


class Injected(Exception):
    """The failure that a test injects."""


async def test_an_upgrade_waits_for_another_writer(host: AsyncEngine) -> None:
    """An upgrade that finds another connection writing waits for it, whatever the host's settings, and succeeds."""
    async with disposing(create_async_engine(host.url)) as another, another.connect() as other:
        if host.dialect.name == "sqlite":
            await other.exec_driver_sql("BEGIN IMMEDIATE")
        await other.execute(text("CREATE TABLE host (id INTEGER)"))
        work = asyncio.create_task(migrate.upgrade(host))
        await asyncio.sleep(0.2)
        await other.commit()
        await work
    assert await tables(host) == {"host", *TABLES, migrate.VERSION_TABLE}


async def test_a_failing_upgrade_leaves_nothing(host: AsyncEngine) -> None:
    """An upgrade that fails anywhere leaves no table, whatever the host's settings; the next one works."""
    for words in (
        "CREATE TABLE sessionstore_sessions",
        "CREATE TABLE sessionstore_parts",
        "INSERT INTO sessionstore_v",
    ):

        def fails(_connection: Any, _cursor: Any, statement: str, *_: Any, words: str = words) -> None:
            if words in " ".join(statement.split()):
                raise Injected

        event.listen(host.sync_engine, "after_cursor_execute", fails)
        with pytest.raises(Injected):
            await migrate.upgrade(host)
        event.remove(host.sync_engine, "after_cursor_execute", fails)
        assert await tables(host) == set(), words
    await migrate.upgrade(host)
    assert await migrate.check(host)


async def test_the_wait_is_bounded(postgres_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that waits too long for another one's lock is StoreUnavailable, and works once that has ended."""
    monkeypatch.setattr(migrate, "LOCK_SECONDS", 1)
    async with postgres_engine.connect() as other:
        await migrate.upgrade(other)
        with pytest.raises(StoreUnavailable):
            await migrate.upgrade(postgres_engine)
        await other.rollback()
    await migrate.upgrade(postgres_engine)


async def test_the_callers_lock_timeout_is_kept(postgres_engine: AsyncEngine) -> None:
    """An upgrade in the caller's transaction leaves the caller's lock_timeout as it was."""
    async with postgres_engine.connect() as connection:
        await connection.execute(text("SET LOCAL lock_timeout = '7s'"))
        await migrate.upgrade(connection)
        assert await connection.scalar(text("SHOW lock_timeout")) == "7s"
        await connection.rollback()


@pytest.mark.parametrize("turns", [1, 4, 10, 20, 40, 80])
async def test_a_cancelled_upgrade_leaves_no_lock(empty_database_url: str, turns: int) -> None:
    """An upgrade whose caller is cancelled did all or nothing, and the next one goes ahead at once."""
    async with SQLSessionStore.from_url(empty_database_url) as store:
        task = asyncio.ensure_future(store.upgrade())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert await tables(store.engine) in (set(), {*TABLES, migrate.VERSION_TABLE})
        async with asyncio.timeout(10):
            await store.upgrade()
        await store.create_session(SessionInfo())
