"""The laws of `sessionstore.migrate`: on an engine it commits, on a connection it is the caller's transaction."""

import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sessionstore import Message, SessionInfo, SQLSessionStore, TextPart, migrate
from sessionstore.errors import InvalidValue, SchemaOutOfDate
from tests.databases import TABLES

from .structure import differences, schemas, structure, tables

OURS = {*TABLES, migrate.VERSION_TABLE}

BAD_SCHEMAS: tuple[Any, ...] = (
    'a"b',
    "a'b",
    "a;DROP TABLE x",
    "a b",
    "a.b",
    "a-b",
    "🦀",
    "ü",
    "",
    " ",
    "1a",
    "a\n",
    "a\0b",
    "x" * 64,
    '"a"',
    "--",
    5,
    b"a",
)


async def test_up_and_down_on_an_engine(engine: AsyncEngine) -> None:
    """On an engine upgrade and downgrade commit, current and check tell how things are, and repeats change nothing."""
    assert (await migrate.current(engine), await migrate.check(engine)) == (None, False)
    assert await tables(engine) == set(), "looking made a table"
    for _ in range(2):
        await migrate.upgrade(engine)
        assert await tables(engine) == OURS
        assert await migrate.check(engine)
        assert await migrate.current(engine) == "ss0001" or re.fullmatch(
            r"ss\d{4}", await migrate.current(engine) or ""
        )
    for _ in range(2):
        await migrate.downgrade(engine, revision="base")
        assert await tables(engine) <= {migrate.VERSION_TABLE}
        assert (await migrate.current(engine), await migrate.check(engine)) == (None, False)
    await migrate.upgrade(engine, revision="ss0001")
    assert await migrate.current(engine) == "ss0001"


async def test_an_empty_database_goes_down_to_base(engine: AsyncEngine) -> None:
    """A database without tables is at base already."""
    await migrate.downgrade(engine, revision="base")
    assert await migrate.current(engine) is None


async def test_a_missing_schema_has_no_tables(postgres_engine: AsyncEngine) -> None:
    """In a schema that isn't there current is None, check is False, nothing is made, and downgrade says so."""
    assert await migrate.current(postgres_engine, schema="agents") is None
    assert await migrate.check(postgres_engine, schema="agents") is False
    with pytest.raises(SchemaOutOfDate):
        await migrate.downgrade(postgres_engine, schema="agents", revision="base")
    assert "agents" not in await schemas(postgres_engine)


@pytest.mark.parametrize("schema", ["agents", "Agents", "order", "user", "_a1", "select", "x" * 63])
async def test_a_schema_is_created_if_need_be(postgres_engine: AsyncEngine, schema: str) -> None:
    """Any plain name is a schema's name, words of SQL and capitals too; it is created once, beside the default one."""
    store = SQLSessionStore(postgres_engine, schema=schema)
    for _ in range(2):
        await store.upgrade()
        assert await tables(postgres_engine, schema) == OURS
    await store.create_session(SessionInfo(id="s"))
    assert (await store.save_message(Message(session_id="s", role="user", parts=[TextPart(content="a")]))).seq == 1
    assert await tables(postgres_engine) == set()
    assert not await migrate.check(postgres_engine)


@asynccontextmanager
async def _host(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A caller's open transaction, with something of the caller's in it."""
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE host (id INTEGER)"))
    async with engine.connect() as connection:
        await connection.execute(text("INSERT INTO host VALUES (1)"))
        yield connection


@pytest.mark.parametrize("commits", [False, True])
async def test_an_upgrade_is_the_callers_transaction(engine: AsyncEngine, commits: bool) -> None:
    """On a connection an upgrade stands or falls with the caller's transaction, and so does what is saved in it."""
    async with _host(engine) as connection:
        await migrate.upgrade(connection)
        assert await migrate.check(connection)
        await SQLSessionStore(engine).bind(connection).create_session(SessionInfo(id="s"))
        assert connection.in_transaction()
        await (connection.commit() if commits else connection.rollback())
    assert await tables(engine) == ({"host", *OURS} if commits else {"host"})
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM host")) == int(commits)
    if commits:
        assert await SQLSessionStore(engine).get_session("s") is not None


@pytest.mark.parametrize("commits", [False, True])
async def test_a_schema_is_the_callers_transaction(postgres_engine: AsyncEngine, commits: bool) -> None:
    """A schema that is created in the caller's transaction goes with it."""
    async with _host(postgres_engine) as connection:
        await migrate.upgrade(connection, schema="agents")
        await (connection.commit() if commits else connection.rollback())
    assert ("agents" in await schemas(postgres_engine)) is commits


@pytest.mark.parametrize("commits", [False, True])
async def test_a_downgrade_is_the_callers_transaction(engine: AsyncEngine, commits: bool) -> None:
    """On a connection a downgrade stands or falls with the caller's transaction: rolled back, every row is there."""
    store = SQLSessionStore(engine)
    await store.upgrade()
    await store.create_session(SessionInfo(id="s"))
    async with _host(engine) as connection:
        await migrate.downgrade(connection, revision="base")
        assert await migrate.current(connection) is None
        await (connection.commit() if commits else connection.rollback())
    if commits:
        assert await tables(engine) <= {"host", migrate.VERSION_TABLE}
    else:
        assert await store.get_session("s") is not None
        assert await migrate.check(engine)


async def test_an_untouched_connection_stays_the_callers(engine: AsyncEngine) -> None:
    """On a connection with no transaction yet the caller's commit is still what makes the tables."""
    for end in ("rollback", "commit"):
        async with engine.connect() as connection:
            await migrate.upgrade(connection)
            await getattr(connection, end)()
        assert await tables(engine) == (OURS if end == "commit" else set())


CALLS: dict[str, Callable[[AsyncEngine, Any], Awaitable[Any]]] = {
    "upgrade": lambda engine, schema: migrate.upgrade(engine, schema=schema),
    "downgrade": lambda engine, schema: migrate.downgrade(engine, schema=schema, revision="base"),
    "current": lambda engine, schema: migrate.current(engine, schema=schema),
    "check": lambda engine, schema: migrate.check(engine, schema=schema),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_bad_schema_is_refused_before_any_sql(name: str) -> None:
    """A schema's name that can't stand in SQL as it is is InvalidValue before anything is sent."""
    engine = create_async_engine("postgresql+asyncpg://nobody@nowhere.invalid/d")  # to connect would be another error
    for schema in BAD_SCHEMAS:
        with pytest.raises(InvalidValue, match="schema"):
            await CALLS[name](engine, schema)


def test_a_bad_schema_is_refused_in_sql() -> None:
    """sql() refuses the same names."""
    for schema in BAD_SCHEMAS:
        with pytest.raises(InvalidValue, match="schema"):
            migrate.sql("postgresql", schema=schema)


@pytest.mark.parametrize("database", ["mysql", "oracle", "nothing", "", "mysql+aiomysql://u:secret@h/d", "a b", "://"])
def test_sql_is_for_databases_that_are_supported(database: str) -> None:
    """sql() for another database is InvalidValue, without the URL."""
    with pytest.raises(InvalidValue) as raised:
        migrate.sql(database)
    assert "secret" not in str(raised.value)


async def _execute(engine: AsyncEngine, script: str) -> None:
    """Run a script as a DBA's tool would: in one piece, outside SQLAlchemy."""
    if engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(engine.url.database or "")) as connection:
            connection.executescript(script)
        return
    async with engine.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        await raw.execute(script)


async def _is_like_an_upgrade(engine: AsyncEngine, script: str, schema: str | None) -> None:
    store = SQLSessionStore(engine, schema=schema)
    await store.upgrade()
    upgraded = await structure(engine, schema)
    await migrate.downgrade(engine, schema=schema, revision="base")
    drop = f'DROP SCHEMA "{schema}" CASCADE' if schema else f"DROP TABLE IF EXISTS {migrate.VERSION_TABLE}"
    async with engine.begin() as connection:
        await connection.execute(text(drop))
    await _execute(engine, script)
    assert await structure(engine, schema) == upgraded
    assert await migrate.check(engine, schema=schema)
    async with engine.connect() as connection:
        assert await differences(connection, schema) == []
    await store.create_session(SessionInfo(id="s"))
    await store.upgrade()
    assert await store.get_session("s") is not None


async def test_the_script_makes_the_same_tables(engine: AsyncEngine) -> None:
    """What sql() prints, run in one piece, makes what upgrade makes; check is true then, and upgrade has no work."""
    url = engine.url.render_as_string(hide_password=False)
    assert migrate.sql(url) == migrate.sql(engine.dialect.name)
    await _is_like_an_upgrade(engine, migrate.sql(url), None)


@pytest.mark.parametrize("schema", ["agents", "Agents", "order"])
async def test_the_script_makes_the_schema(postgres_engine: AsyncEngine, schema: str) -> None:
    """With a schema the script makes that too, whatever plain name it has."""
    await _is_like_an_upgrade(postgres_engine, migrate.sql("postgresql", schema=schema), schema)
    assert await tables(postgres_engine) == set()


def test_the_script_tells_no_password() -> None:
    """The script needs no database, and repeats no part of the URL."""
    script = migrate.sql("postgresql+asyncpg://someone:s3cret@nowhere.invalid/there")
    assert "CREATE TABLE sessionstore_sessions" in script
    assert not re.search("s3cret|someone|nowhere|there/", script)


def test_include_name_leaves_ours_out() -> None:
    """include_name refuses our tables and all that is in them, and nothing else."""
    for table in OURS:
        assert migrate.include_name(table, "table", {"schema_name": None}) is False
        assert migrate.include_name(table, "table", {"schema_name": "agents"}) is False
        for kind in ("column", "index", "unique_constraint", "foreign_key_constraint"):
            assert migrate.include_name("x", kind, {"table_name": table, "schema_name": None}) is False
    for table in ("sessions", "messages", "users", "my_sessionstore_sessions", "sessionstor", "SESSIONS"):
        assert migrate.include_name(table, "table", {"schema_name": None}) is True
        assert migrate.include_name("sessionstore_x", "column", {"table_name": table, "schema_name": None}) is True
    for schema in (None, "public", "sessionstore_schema"):
        assert migrate.include_name(schema, "schema", {}) is True


def test_versions_location_is_a_folder_of_revisions() -> None:
    """versions_location names the folder that holds the first revision, as an absolute path."""
    location = Path(migrate.versions_location())
    assert location.is_absolute()
    assert [path.name for path in location.glob("ss0001_*.py")] == ["ss0001_first_tables.py"]
    assert make_url("sqlite://").database is None
