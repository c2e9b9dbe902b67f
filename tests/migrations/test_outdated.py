"""The laws of tables that aren't what this version expects: said in words that help, never a driver's."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore import SessionInfo, SQLSessionStore, migrate
from sessionstore.errors import SchemaOutOfDate, SessionStoreError
from tests.databases import TABLES
from tests.sql.calls import CALLS, Call, Target

from .structure import tables

DRIVERS_WORDS = ("no such", "does not exist", "undefined", "UndefinedTable", "OperationalError", "ProgrammingError")


async def _called(store: SQLSessionStore, call: Call, bound: bool) -> None:
    if not bound:
        await call(store, Target("s"))
        return
    async with store.engine.connect() as connection:
        await call(store.bind(connection), Target("s"))


async def _says_what_helps(store: SQLSessionStore) -> None:
    """See that every method, bound and not, raises SchemaOutOfDate with the commands that help."""
    for name, call in CALLS.items():
        for bound in (False, True):
            with pytest.raises(SchemaOutOfDate) as raised:
                await _called(store, call, bound)
            said = str(raised.value)
            assert "sessionstore db upgrade" in said, name
            assert "upgrade()" in said, name
            assert not any(word in said for word in DRIVERS_WORDS), name
            assert raised.value.__cause__ is not None, name


async def test_missing_tables(engine: AsyncEngine) -> None:
    """Without tables every call is SchemaOutOfDate, from the driver's error, with the command that helps."""
    await _says_what_helps(SQLSessionStore(engine))
    assert await tables(engine) == set()


async def test_tables_in_another_schema(postgres_engine: AsyncEngine) -> None:
    """Tables in one schema aren't those of another, whether that one exists or not."""
    await migrate.upgrade(postgres_engine)
    async with postgres_engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA empty"))
    for schema in ("empty", "missing"):
        await _says_what_helps(SQLSessionStore(postgres_engine, schema=schema))


@pytest.mark.parametrize("column", ["parts.payload", "messages.starts_turn", "sessions.last_seq"])
async def test_old_tables(engine: AsyncEngine, column: str) -> None:
    """Tables that lack a column are SchemaOutOfDate too."""
    store = SQLSessionStore(engine)
    await store.upgrade()
    await store.create_session(SessionInfo(id="s"))
    table, name = column.split(".")
    async with engine.begin() as connection:
        for index in ("sessionstore_messages_turns",):
            await connection.execute(text(f"DROP INDEX {index}"))
        await connection.execute(text(f"ALTER TABLE sessionstore_{table} DROP COLUMN {name}"))
    for call in ("save_message", "save_messages"):
        with pytest.raises(SchemaOutOfDate, match="sessionstore db upgrade"):
            await CALLS[call](store, Target("s"))


@pytest.fixture
async def newer(engine: AsyncEngine) -> SQLSessionStore:
    """A store whose tables a newer version made."""
    store = SQLSessionStore(engine)
    await store.upgrade()
    await store.create_session(SessionInfo(id="s"))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE sessionstore_version SET version_num = 'ss9999'"))
    return store


async def test_a_newer_database(newer: SQLSessionStore) -> None:
    """At a revision that this version doesn't know, upgrade and downgrade are SchemaOutOfDate and change nothing."""
    assert await migrate.current(newer.engine) == "ss9999"
    assert await migrate.check(newer.engine) is False
    for _ in range(2):
        with pytest.raises(SchemaOutOfDate, match=r"newer version.*install") as raised:
            await newer.upgrade()
        assert "ss9999" in str(raised.value)
        with pytest.raises(SchemaOutOfDate, match="newer version"):
            await migrate.downgrade(newer.engine, revision="base")
    assert await newer.get_session("s") is not None
    assert await tables(newer.engine) == {*TABLES, migrate.VERSION_TABLE}
    assert newer.engine.sync_engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_newer_database_in_the_callers_transaction(newer: SQLSessionStore) -> None:
    """The same on a connection, which stays usable."""
    async with newer.engine.connect() as connection:
        with pytest.raises(SchemaOutOfDate):
            await migrate.upgrade(connection)
        assert await connection.scalar(text("SELECT count(*) FROM sessionstore_sessions")) == 1
        await newer.bind(connection).create_session(SessionInfo(id="t"))
        await connection.commit()
    assert await newer.get_session("t") is not None


async def test_auto_upgrade_of_a_newer_database(newer: SQLSessionStore) -> None:
    """A store with auto_upgrade says so on entry."""
    url = newer.engine.url.render_as_string(hide_password=False)
    store = SQLSessionStore.from_url(url, auto_upgrade=True)
    with pytest.raises(SchemaOutOfDate, match="newer version"):
        async with store:
            pass
    await store.close()


async def test_a_version_table_with_two_rows(newer: SQLSessionStore) -> None:
    """A version table that says two things is not up to date, and an error of ours to upgrade."""
    async with newer.engine.begin() as connection:
        await connection.execute(text("INSERT INTO sessionstore_version VALUES ('ss0001')"))
    assert await migrate.check(newer.engine) is False
    assert "ss9999" in (await migrate.current(newer.engine) or "")
    with pytest.raises(SchemaOutOfDate):
        await newer.upgrade()
    with pytest.raises(SchemaOutOfDate):
        await migrate.downgrade(newer.engine, revision="base")
    assert await newer.get_session("s") is not None


@pytest.mark.parametrize("revision", ["nothing", "ss0001:ss0002", "+99", "base:head"])
async def test_an_unknown_revision(engine: AsyncEngine, revision: str) -> None:
    """Going to a revision that there isn't is an error of ours, and leaves nothing behind."""
    with pytest.raises(SessionStoreError):
        await migrate.upgrade(engine, revision=revision)
    assert await tables(engine) == set()


async def test_tables_without_a_history(engine: AsyncEngine) -> None:
    """Tables that something else made are an error of ours on upgrade, and stay as they are."""
    await migrate.upgrade(engine)
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE sessionstore_version"))
    with pytest.raises(SessionStoreError):
        await migrate.upgrade(engine)
    assert await tables(engine) == set(TABLES)
