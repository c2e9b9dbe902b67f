"""The laws of engines that from_url makes: set as a careful person would, shared where need be, gone when closed."""

import asyncio
import logging
import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import NullPool, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.errors import InvalidValue
from sessionstore.testing.build import ids, seqs, user

from .invariants import broken

MEMORY = (
    "sqlite+aiosqlite://",
    "sqlite+aiosqlite:///",
    "sqlite+aiosqlite:///:memory:",
    "sqlite+aiosqlite:///file::memory:?cache=shared&uri=true",
)


async def pragma(engine: AsyncEngine, name: str) -> Any:
    """Return a setting of a connection."""
    async with engine.connect() as connection:
        return await connection.scalar(text(f"PRAGMA {name}"))


async def test_sqlite_is_set_with_care(sqlite_url: str) -> None:
    """Every connection to SQLite has WAL, a busy timeout of 30 seconds and foreign keys."""
    async with SQLSessionStore.from_url(sqlite_url) as store, store.engine.connect(), store.engine.connect():
        # and so this is a third connection
        assert await pragma(store.engine, "journal_mode") == "wal"
        assert await pragma(store.engine, "busy_timeout") == 30_000
        assert await pragma(store.engine, "foreign_keys") == 1


async def test_sqlite_without_wal(empty_sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Where WAL isn't to be had the store says so in the log, once for each database, and works."""
    path = make_url(empty_sqlite_url).database
    url = f"sqlite+aiosqlite:///file:{path}?vfs=unix-dotfile&uri=true"  # without shared memory there is no WAL
    with caplog.at_level(logging.WARNING, logger="sessionstore"):
        async with SQLSessionStore.from_url(url, auto_upgrade=True) as store:
            assert await pragma(store.engine, "journal_mode") == "delete"
            await store.create_session(SessionInfo(id="s"))
            await asyncio.gather(*(store.save_message(user("s")) for _ in range(5)))
            assert len(await store.get_messages("s")) == 5
        async with SQLSessionStore.from_url(url) as again, again.engine.connect(), again.engine.connect():
            pass
    assert [record.getMessage().count(str(path)) for record in caplog.records if "WAL" in record.msg] == [1]


@pytest.mark.parametrize("url", MEMORY)
async def test_one_database_in_memory_for_all_tasks(url: str) -> None:
    """A database in memory is one database for every task: nothing is lost, and reads see it."""
    async with SQLSessionStore.from_url(url, auto_upgrade=True) as store:
        await store.create_session(SessionInfo(id="s"))
        saved = await asyncio.gather(
            *(store.save_message(user("s", str(n))) for n in range(30)), *(store.get_messages("s") for _ in range(10))
        )
        assert sorted(message.seq or 0 for message in saved[:30]) == list(range(1, 31))
        assert seqs(await store.get_messages("s")) == list(range(1, 31))
        assert await broken(store.engine) == []


async def test_two_databases_in_memory_are_two() -> None:
    """Two stores in memory share nothing."""
    first, second = (SQLSessionStore.from_url(MEMORY[0], auto_upgrade=True) for _ in range(2))
    async with first as one, second as other:
        await one.create_session(SessionInfo(id="s"))
        assert await other.list_sessions() == []
        assert ids(await one.list_sessions()) == ["s"]


async def test_a_database_in_memory_survives_cancelled_calls() -> None:
    """A cancelled call, read or write, doesn't close the one connection of a database in memory, and so lose it."""
    async with SQLSessionStore.from_url(MEMORY[0], auto_upgrade=True) as store:
        await store.create_session(SessionInfo(id="s"))
        await store.save_message(user("s", id="m"))
        for turns in range(20):
            for call in (lambda: store.get_messages("s"), lambda: store.save_message(user("s"))):
                task = asyncio.ensure_future(call())
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait({task})
        assert await store.get_message("s", "m") is not None
        assert await broken(store.engine) == []


async def test_close_disposes_its_own(database_url: str) -> None:
    """close, also by `async with`, disposes an engine that from_url made, and may be called twice."""
    store = SQLSessionStore.from_url(database_url)
    async with store:
        await store.create_session(SessionInfo(id="s"))
        pool: Any = store.engine.sync_engine.pool
        assert pool.checkedin() == 1
    assert pool.checkedin() == 0
    assert store.engine.sync_engine.pool is not pool
    await store.close()


async def test_disposed_of_while_in_use(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Connections that come back to a pool that is disposed of are closed where it has no room for them."""
    async with SQLSessionStore.from_url(database_url, engine_kwargs={"pool_size": 2, "max_overflow": 4}) as store:
        await store.create_session(SessionInfo(id="s"))
        pool: Any = store.engine.sync_engine.pool
        calls = asyncio.gather(*(store.get_messages("s") for _ in range(6)))
        while pool.checkedout() < 6:  # noqa: ASYNC110 - the pool tells nobody
            await asyncio.sleep(0)
        await store.engine.dispose()
        assert await calls == [[]] * 6
        await greenlet_spawn(pool.dispose)  # what it had room for
    assert caplog.text == ""


async def test_auto_upgrade_makes_the_tables_on_entry(empty_database_url: str) -> None:
    """auto_upgrade makes the tables on entry, once; without it entering changes nothing."""
    for _ in range(2):
        async with SQLSessionStore.from_url(empty_database_url, auto_upgrade=True) as store:
            await store.create_session(SessionInfo())
    async with SQLSessionStore.from_url(empty_database_url) as store:
        assert len(await store.list_sessions()) == 2


async def _connect_arguments(store: SQLSessionStore) -> dict[str, Any]:
    """Return what the driver is given to connect with."""
    given: dict[str, Any] = {}

    class Seen(Exception):
        pass

    def do_connect(_dialect: Any, _record: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        given.update(kwargs)
        raise Seen

    event.listen(store.engine.sync_engine, "do_connect", do_connect)
    with pytest.raises(Seen):
        async with store.engine.connect():
            pass
    await store.close()
    return given


NOWHERE = "postgresql+asyncpg://u@nowhere.invalid/d"


async def test_pgbouncer_turns_prepared_statements_off() -> None:
    """pgbouncer=True keeps neither asyncpg nor psycopg nor SQLAlchemy preparing statements; without it they may."""
    off = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    asyncpg = await _connect_arguments(SQLSessionStore.from_url(NOWHERE, pgbouncer=True))
    assert off.items() <= asyncpg.items()
    psycopg = await _connect_arguments(SQLSessionStore.from_url(NOWHERE.replace("asyncpg", "psycopg"), pgbouncer=True))
    assert psycopg["prepare_threshold"] is None
    plain = await _connect_arguments(SQLSessionStore.from_url(NOWHERE))
    assert not off.keys() & plain.keys()


async def test_sslmode_is_asyncpgs_ssl() -> None:
    """`sslmode`, as hosting services print it, is what asyncpg calls `ssl`; psycopg is given it as it is."""
    asyncpg = await _connect_arguments(SQLSessionStore.from_url(f"{NOWHERE}?sslmode=require"))
    assert (asyncpg["ssl"], "sslmode" in asyncpg) == ("require", False)
    url = f"{NOWHERE}?sslmode=require".replace("asyncpg", "psycopg")
    psycopg = await _connect_arguments(SQLSessionStore.from_url(url))
    assert psycopg["sslmode"] == "require"


async def test_pgbouncer_leaves_no_prepared_statement(postgresql_url: str) -> None:
    """With pgbouncer=True no statement stays prepared on the server's connection."""
    found: dict[bool, int] = {}
    for pgbouncer in (False, True):
        options = {"pool_size": 1, "max_overflow": 0}
        async with SQLSessionStore.from_url(postgresql_url, pgbouncer=pgbouncer, engine_kwargs=options) as store:
            await store.create_session(SessionInfo(id=str(pgbouncer)))
            for _ in range(6):
                await store.save_message(user(str(pgbouncer)))
                await store.get_messages(str(pgbouncer), limit=2)
            async with store.engine.connect() as connection:
                query = (
                    "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%sessionstore_%'"
                    " AND statement NOT LIKE '%pg_prepared_statements%'"  # this one, on some versions
                )
                found[pgbouncer] = await connection.scalar(text(query)) or 0
    assert found[False] > 0
    assert found[True] == 0


async def test_engine_kwargs_win(sqlite_url: str) -> None:
    """engine_kwargs win over what from_url sets, setting by setting."""
    connect_args = {"statement_cache_size": 5, "timeout": 3}
    options = {"connect_args": connect_args, "hide_parameters": False, "poolclass": NullPool}
    store = SQLSessionStore.from_url(NOWHERE, pgbouncer=True, engine_kwargs=options)
    assert isinstance(store.engine.sync_engine.pool, NullPool)
    assert store.engine.sync_engine.hide_parameters is False
    given = await _connect_arguments(store)
    assert (given["statement_cache_size"], given["timeout"]) == (5, 3)
    assert given["prepared_statement_cache_size"] == 0
    assert options["connect_args"] is connect_args
    assert connect_args == {"statement_cache_size": 5, "timeout": 3}
    engine_kwargs = {"connect_args": {"timeout": 1.5}}
    async with SQLSessionStore.from_url(sqlite_url, engine_kwargs=engine_kwargs) as store:
        assert await pragma(store.engine, "busy_timeout") == 1500


async def test_parameters_are_hidden(database_url: str) -> None:
    """Engines that from_url makes show no parameter in errors, and no pre-ping or echo is set."""
    async with SQLSessionStore.from_url(database_url) as store:
        sync = store.engine.sync_engine
        assert sync.hide_parameters is True
        assert not sync.echo
        assert getattr(sync.pool, "_pre_ping", False) is False


async def test_a_url_object_is_fine(database_url: str) -> None:
    """from_url takes a URL object as well as text."""
    async with SQLSessionStore.from_url(make_url(database_url)) as store:
        assert await store.list_sessions() == []


@pytest.mark.parametrize("schema", ["a b", 'a"b', "a;b", "a.b", "", "1a", "x" * 64, "naïve", "🦀", "a\n", "a\0", "--"])
def test_a_bad_schema_is_refused(schema: str) -> None:
    """A schema's name that can't stand in SQL as it is is refused where the store is made."""
    with pytest.raises(InvalidValue, match="schema"):
        SQLSessionStore.from_url(NOWHERE, schema=schema)
    with pytest.raises(InvalidValue, match="schema"):
        SQLSessionStore(create_async_engine(NOWHERE), schema=schema)


_FORGETFUL = """
import asyncio, sys
from sessionstore import Message, SessionInfo, SQLSessionStore, TextPart

async def main():
    store = SQLSessionStore.from_url(sys.argv[1])
    await store.create_session(SessionInfo(id="s"))
    await asyncio.gather(*(
        store.save_message(Message(session_id="s", role="user", parts=[TextPart(content=str(n))])) for n in range(8)
    ))
    print("done", flush=True)
    globals()["kept"] = store
    raise RuntimeError("on purpose")

asyncio.run(main())
"""


async def test_a_process_ends_without_close(database_url: str) -> None:
    """A process that never closes its store, and fails, ends by itself and at once, and what it saved is there."""
    command = [sys.executable, "-c", _FORGETFUL, database_url]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "done\n", done.stderr
    assert done.returncode == 1, done.stderr
    assert done.stderr.rstrip().endswith("RuntimeError: on purpose")
    async with SQLSessionStore.from_url(database_url) as store:
        assert len(await store.get_messages("s")) == 8


async def test_a_hosts_database_in_memory_keeps_what_is_acknowledged() -> None:
    """SQLAlchemy's default pool for it hands one connection to all at once: calls take turns on it."""
    engine = create_async_engine("sqlite+aiosqlite://")
    try:
        store = SQLSessionStore(engine)
        await store.upgrade()
        await store.create_session(SessionInfo(id="s"))
        calls = (SQLSessionStore(engine).save_message(user("s")) for _ in range(30))
        saved = await asyncio.gather(*calls)
        assert sorted(message.seq or 0 for message in saved) == list(range(1, 31))
        assert len(await store.get_messages("s")) == 30
    finally:
        await engine.dispose()
