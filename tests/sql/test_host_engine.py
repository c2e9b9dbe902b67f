"""The laws of the host's engine: whatever its settings, writes are atomic, nothing is lost, and it stays as it was."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore import Session, SessionInfo, SQLSessionStore
from sessionstore.errors import InvalidValue, StoreUnavailable
from sessionstore.testing.build import LONG_AGO, seqs, user

from .calls import CALLS, Target, filled_session, outcome
from .hosts import HOSTS, SETTINGS, at_once, disposing
from .invariants import broken

AT_ONCE = 15


@pytest.fixture(params=HOSTS, ids="-".join)
def made(request: pytest.FixtureRequest) -> AsyncEngine:
    """An engine with settings of the host's, which `host` disposes."""
    database, setting = request.param
    return SETTINGS[database][setting](request.getfixturevalue(f"{database}_url"))


@pytest.fixture
async def host(made: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """An engine with settings of the host's."""
    async with disposing(made) as engine:
        yield engine


@pytest.fixture
async def plain(host: AsyncEngine) -> AsyncIterator[SQLSessionStore]:
    """A store on an engine without settings, to look at the same database."""
    async with disposing(create_async_engine(host.url)) as engine:
        yield SQLSessionStore(engine)


class Injected(Exception):
    """The failure that a test injects."""


def fail_at(engine: AsyncEngine, number: int) -> Callable[[], bool]:
    """Fail right after that statement of ours has run; return a function that ends this and tells whether it did."""
    seen = 0

    def after(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal seen
        seen += "sessionstore_" in statement
        if seen == number:
            raise Injected

    event.listen(engine.sync_engine, "after_cursor_execute", after)

    def end() -> bool:
        event.remove(engine.sync_engine, "after_cursor_execute", after)
        return seen >= number

    return end


ATOMIC: dict[str, Callable[[SQLSessionStore], Awaitable[Any]]] = {
    # With one time given and one not, an append takes several statements everywhere.
    "save_messages": lambda s: s.save_messages(
        [user("s", "a", usage={"input_tokens": 3}, created_at=LONG_AGO), user("s")]
    ),
    "replace_message": lambda s: s.replace_message(user("s", "changed", id="m1", usage={"input_tokens": 9})),
    "save_session": lambda s: s.save_session(
        Session(info=SessionInfo(id="s", title="x"), messages=[user("s", id="m2")])
    ),
    "save_session new": lambda s: s.save_session(Session(info=SessionInfo(id="n"), messages=[user("n", id="m2")])),
    "delete_messages": lambda s: s.delete_messages("s", after="m1"),
    "delete_session": lambda s: s.delete_session("s"),
}


async def _fails_everywhere(store: SQLSessionStore, plain: SQLSessionStore, name: str) -> None:
    """Fail a call after each of its statements in turn; see that nothing changed and that it works in the end."""
    await filled_session(plain)
    before = repr(await plain.export_session("s"))
    for number in range(1, 30):
        end = fail_at(store.engine, number)
        try:
            await ATOMIC[name](store)
        except Injected:
            assert repr(await plain.export_session("s")) == before, (name, number)
            assert await plain.get_session("n") is None, (name, number)
        finally:
            failed = end()
        if not failed:
            break
    assert 2 < number < 29
    assert repr(await plain.export_session("s")) != before or await plain.get_session("n") is not None
    assert await broken(plain.engine) == []


async def test_a_failure_between_statements_undoes_all(host: AsyncEngine, plain: SQLSessionStore) -> None:
    """An append that fails after any of its statements has changed nothing, and the next one works."""
    await _fails_everywhere(SQLSessionStore(host), plain, "save_messages")


@pytest.mark.parametrize("name", ATOMIC)
async def test_every_write_is_atomic(engine: AsyncEngine, hosted: SQLSessionStore, name: str) -> None:
    """A write that fails after any of its statements has changed nothing."""
    async with disposing(create_async_engine(engine.url)) as failing:
        await _fails_everywhere(SQLSessionStore(failing), hosted, name)


async def test_concurrent_appends_lose_nothing(host: AsyncEngine, plain: SQLSessionStore) -> None:
    """Appends to one session at once are all stored, in one order without gaps."""
    store = SQLSessionStore(host)
    await store.create_session(SessionInfo(id="s"))
    batches = await at_once(*(store.save_messages([user("s", f"{n} {i}") for i in range(2)]) for n in range(AT_ONCE)))
    assert sorted(message.seq or 0 for batch in batches for message in batch) == list(range(1, 2 * AT_ONCE + 1))
    assert all((batch[1].seq or 0) == (batch[0].seq or 0) + 1 for batch in batches)
    assert seqs(await plain.get_messages("s")) == list(range(1, 2 * AT_ONCE + 1))
    assert await broken(plain.engine) == []


async def test_concurrent_pops_and_appends(hosted: SQLSessionStore) -> None:
    """Pops and appends at once: each pop takes another message, and counters equal rows."""
    store = hosted
    await store.create_session(SessionInfo(id="s"))
    await store.save_messages([user("s", id=f"m{n}") for n in range(10)])
    popped = await at_once(
        *(store.pop_message("s") for _ in range(8)), *(store.save_message(user("s", id=f"n{n}")) for n in range(8))
    )
    taken = [message.id for message in popped[:8] if message is not None]
    left = [message.id for message in await store.get_messages("s")]
    assert len(set(taken)) == 8
    assert sorted(taken + left) == sorted([f"m{n}" for n in range(10)] + [f"n{n}" for n in range(8)])
    assert await broken(store.engine) == []


def _listeners(engine: AsyncEngine) -> dict[str, list[Any]]:
    sync: Any = getattr(engine.sync_engine, "_proxied", engine.sync_engine)  # an engine with options shares another's
    return {
        f"{type(target).__name__}.{name}": list(getattr(target.dispatch, name))
        for target in (sync, sync.pool, sync.dialect)
        for name in target.dispatch._event_names
    }


PRAGMAS = (
    "journal_mode",
    "foreign_keys",
    "busy_timeout",
    "synchronous",
    "read_uncommitted",
    "cache_size",
    "query_only",
)
SHOWN = (
    "transaction_isolation",
    "lock_timeout",
    "statement_timeout",
    "search_path",
    "TimeZone",
    "transaction_read_only",
)


async def _settings(engine: AsyncEngine) -> dict[str, Any]:
    """Return what a connection of the host's is set to, as the host would find it."""
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        found: dict[str, Any] = {
            "autocommit": driver.isolation_level if engine.dialect.name == "sqlite" else None,
            "level": await connection.get_isolation_level(),
            "options": dict(await connection.run_sync(lambda sync: sync.get_execution_options())),
        }
        asked = (
            [f"PRAGMA {name}" for name in PRAGMAS] if engine.dialect.name == "sqlite" else [f"SHOW {n}" for n in SHOWN]
        )
        for query in asked:
            found[query] = await connection.scalar(text(query))
        return found


EXPECTED = {"returned", "SessionExists", "MessageConflict", "MessageNotFound", "SessionNotFound"}


async def test_the_engine_stays_as_it_was(host: AsyncEngine) -> None:
    """Every method works and gives its connection back; no listener, pragma, isolation level or option is changed."""
    listeners, settings = _listeners(host), await _settings(host)
    store = SQLSessionStore(host)
    await filled_session(store)
    await filled_session(store, "t")
    for name, call in CALLS.items():
        kind, said = await outcome(call(store, Target("t")), Target("t"))
        assert kind in {"returned", "SessionExists", "MessageConflict", "MessageNotFound", "SessionNotFound"}, (
            name,
            said,
        )
        assert getattr(host.sync_engine.pool, "checkedout", lambda: 0)() == 0, name
    assert _listeners(host) == listeners
    assert await _settings(host) == settings
    assert await broken(host) == []


async def test_a_listener_would_be_seen(engine: AsyncEngine) -> None:
    """The comparison of the test above notices a listener on the engine and on its pool."""
    before = _listeners(engine)
    for target, name in ((engine.sync_engine, "begin"), (engine.sync_engine, "connect")):
        event.listen(target, name, print)
        assert _listeners(engine) != before
        event.remove(target, name, print)
        assert _listeners(engine) == before


async def _survives_rollback(host: AsyncEngine, plain: AsyncEngine) -> int:
    """Return how many of a host's rows stay after a rollback: none, but in autocommit mode."""
    async with plain.begin() as connection:
        await connection.execute(text("DROP TABLE IF EXISTS host_rows"))
        await connection.execute(text("CREATE TABLE host_rows (id INTEGER PRIMARY KEY)"))
    async with host.connect() as connection:
        await connection.execute(text("INSERT INTO host_rows VALUES (1)"))
        await connection.rollback()
    async with plain.begin() as connection:
        count = await connection.scalar(text("SELECT count(*) FROM host_rows"))
        await connection.execute(text("DROP TABLE host_rows"))
        return count or 0


async def test_the_hosts_transactions_go_on_as_before(host: AsyncEngine, plain: SQLSessionStore) -> None:
    """A connection that the store has used begins and ends the host's transactions as it did."""
    before = await _survives_rollback(host, plain.engine)
    await filled_session(SQLSessionStore(host))
    assert await _survives_rollback(host, plain.engine) == before


async def test_the_hosts_schema_translation_is_untouched(postgresql_url: str) -> None:
    """An engine that translates schemas goes on doing so, and a store with a schema of its own keeps to that."""
    translating = create_async_engine(postgresql_url).execution_options(schema_translate_map={None: "host_schema"})
    async with disposing(translating) as engine:
        store = SQLSessionStore(engine, schema="host_agents")
        await store.upgrade()
        await filled_session(store)
        assert engine.sync_engine.get_execution_options()["schema_translate_map"][None] == "host_schema"
        async with engine.begin() as connection:
            query = (
                "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'sessionstore_%' "
                "AND schemaname <> 'agents' ORDER BY 1"  # which is the contract tests' own
            )
            assert list((await connection.execute(text(query))).scalars()) == ["host_agents", "public"]
            assert await connection.scalar(text("SELECT count(*) FROM host_agents.sessionstore_messages")) == 4
            assert await connection.scalar(text("SELECT count(*) FROM public.sessionstore_messages")) == 0
            await connection.execute(text("DROP SCHEMA host_agents CASCADE"))


async def test_echo_and_logs_are_the_hosts(engine: AsyncEngine, caplog: pytest.LogCaptureFixture) -> None:
    """The store turns no logging on: without the host's echo no statement and no content is logged."""
    with caplog.at_level(logging.INFO):
        await filled_session(SQLSessionStore(engine))
    assert caplog.records == []
    assert engine.sync_engine.hide_parameters is False
    assert not engine.echo


async def test_a_pool_without_a_free_connection(database_url: str) -> None:
    """When no connection becomes free in the host's pool, calls say so with StoreUnavailable; then they work again."""
    impatient = create_async_engine(database_url, pool_size=1, max_overflow=0, pool_timeout=0.1)
    async with disposing(impatient) as engine:
        store = SQLSessionStore(engine)
        await store.create_session(SessionInfo(id="s"))
        async with engine.connect():
            for call in (lambda: store.get_session("s"), lambda: store.save_message(user("s")), store.upgrade):
                with pytest.raises(StoreUnavailable, match="pool"):
                    await call()
        assert (await store.save_message(user("s"))).seq == 1


async def test_what_is_no_engine_is_refused() -> None:
    """A store is made on an AsyncEngine; the error says what was given and what to do."""
    for thing in (None, "sqlite+aiosqlite://", object()):
        with pytest.raises(InvalidValue, match="from_url"):
            SQLSessionStore(thing)  # pyright: ignore[reportArgumentType]


async def test_close_leaves_the_hosts_engine(hosted: SQLSessionStore) -> None:
    """close, also at the end of `async with`, disposes nothing of the host's."""
    pool = hosted.engine.sync_engine.pool
    async with hosted:
        await hosted.create_session(SessionInfo(id="s"))
    await hosted.close()
    assert hosted.engine.sync_engine.pool is pool
    assert await hosted.get_session("s") is not None
