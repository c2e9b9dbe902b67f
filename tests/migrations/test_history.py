"""The laws of the history: replayed it gives the metadata's tables; it goes down and up again; it stays frozen."""

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore import Message, SessionInfo, SQLSessionStore, TextPart, migrate
from tests.databases import TABLES, PostgresServer, sqlite_url
from tests.sql.hosts import disposing

from .structure import create_all, differences, structure, tables

FIRST = "ss0001"
VERSIONS = Path(migrate.versions_location())


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    config.set_main_option("path_separator", "newline")
    return ScriptDirectory.from_config(config)


@contextmanager
def another_database(url: str, tmp_path: Path, server: PostgresServer) -> Iterator[str]:
    """Give a second database without tables, of the same kind."""
    if make_url(url).get_backend_name() == "sqlite":
        yield sqlite_url(tmp_path / "another.db")
        return
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)


async def test_replayed_migrations_equal_the_metadata(
    engine: AsyncEngine, empty_database_url: str, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    """Migrations and metadata make the same tables, to the last column, index predicate and collation."""
    await migrate.upgrade(engine)
    with another_database(empty_database_url, tmp_path, postgres_server) as url:
        async with disposing(create_async_engine(url)) as from_metadata:
            await create_all(from_metadata)
            expected = await structure(from_metadata)
    found = await structure(engine)
    assert found == expected
    assert sum(map(len, found.values())) > 60


async def test_a_schema_holds_the_same_tables(postgres_engine: AsyncEngine, postgres_server: PostgresServer) -> None:
    """Migrations and metadata make the same tables in a schema of their own, and nothing outside it."""
    await migrate.upgrade(postgres_engine, schema="agents")
    name = postgres_server.create_database()
    async with disposing(create_async_engine(postgres_server.url(name))) as from_metadata:
        await create_all(from_metadata, "agents")
        expected = await structure(from_metadata, "agents")
    postgres_server.drop_database(name)
    assert await structure(postgres_engine, "agents") == expected
    assert len(expected["indexes"]) > 12
    assert await tables(postgres_engine) == set()


async def test_autogenerate_finds_nothing_to_do(engine: AsyncEngine) -> None:
    """Alembic, asked with compare_type, would change nothing."""
    await migrate.upgrade(engine)
    async with engine.connect() as connection:
        assert await differences(connection) == []


async def test_autogenerate_finds_nothing_to_do_in_a_schema(postgres_engine: AsyncEngine) -> None:
    """The same in a schema of their own."""
    await migrate.upgrade(postgres_engine, schema="agents")
    async with postgres_engine.connect() as connection:
        assert await differences(connection, "agents") == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE sessionstore_parts ADD COLUMN surplus TEXT",
        "DROP INDEX sessionstore_messages_drafts",
        "ALTER TABLE sessionstore_sessions RENAME COLUMN title TO name",
    ],
)
async def test_a_difference_would_be_seen(engine: AsyncEngine, change: str) -> None:
    """The comparison of the tests above notices a column more, an index less and another name."""
    await migrate.upgrade(engine)
    async with engine.begin() as connection:
        await connection.execute(text(change))
        assert await differences(connection) != []


@pytest.mark.parametrize("schema", [None, "agents"])
async def test_ids_have_the_collation_c(postgres_engine: AsyncEngine, schema: str | None) -> None:
    """Every id in every key sorts by bytes on Postgres: no index that a glibc upgrade corrupts."""
    await migrate.upgrade(postgres_engine, schema=schema)
    query = text(
        "SELECT i.indexrelid::regclass || '.' || a.attname FROM pg_index i "
        "JOIN pg_attribute a ON a.attrelid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid "
        "WHERE c.relname LIKE 'sessionstore%' AND c.relname <> 'sessionstore_version' AND a.attcollation <> 0 "
        "AND a.attcollation <> (SELECT oid FROM pg_collation WHERE collname = 'C')"
    )
    async with postgres_engine.connect() as connection:
        assert (await connection.execute(query)).all() == []


@pytest.mark.parametrize("schema", [None, "agents"])
async def test_large_texts_are_compressed_with_lz4(postgres_engine: AsyncEngine, schema: str | None) -> None:
    """The large text columns use lz4 where the server has it, in whatever schema."""
    await migrate.upgrade(postgres_engine, schema=schema)
    compressed = text(
        "SELECT relname || '.' || attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE attcompression = 'l'"
    )
    able = text("SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'")
    async with postgres_engine.connect() as connection:
        found = set((await connection.execute(compressed)).scalars())
        has_lz4 = await connection.scalar(able)
    expected = {"sessionstore_parts.text", "sessionstore_parts.payload", "sessionstore_messages.metadata"}
    assert found == (expected if has_lz4 else set())


async def test_keys_start_with_the_session(engine: AsyncEngine) -> None:
    """Every primary key, unique key and foreign key below a session starts with its id."""
    await migrate.upgrade(engine)

    def keys(table: str) -> list[list[str]]:
        inspector = inspect(connection.sync_connection)
        assert inspector is not None
        return [
            inspector.get_pk_constraint(table)["constrained_columns"],
            *(unique["column_names"] for unique in inspector.get_unique_constraints(table)),
            *(foreign["constrained_columns"] for foreign in inspector.get_foreign_keys(table)),
        ]

    async with engine.connect() as connection:
        for table in set(TABLES) - {"sessionstore_sessions"}:
            found = await connection.run_sync(lambda _, table=table: keys(table))
            assert len(found) >= 2
            assert {columns[0] for columns in found} == {"session_id"}, table


async def test_down_and_up_again_with_rows(engine: AsyncEngine) -> None:
    """Down to base with rows works and leaves none of our tables; what comes up again is empty, usable and the same."""
    store = SQLSessionStore(engine)
    await store.upgrade()
    before = await structure(engine)
    for _ in range(2):
        info = await store.create_session(SessionInfo(id="s"))
        message = await store.save_message(Message(session_id="s", role="user", parts=[TextPart(content="a")]))
        await store.track_read_file("s", "/a")
        await store.update_session_summary("s", message.id)
        await migrate.downgrade(engine, revision="base")
        assert await tables(engine) <= {migrate.VERSION_TABLE}
        assert await migrate.current(engine) is None
        await store.upgrade()
        assert await structure(engine) == before
        assert await store.list_sessions() == []
        assert await store.get_messages(info.id) == []


async def test_down_and_up_again_in_a_schema(postgres_engine: AsyncEngine) -> None:
    """Down in one schema leaves the tables and rows of another."""
    here, there = SQLSessionStore(postgres_engine), SQLSessionStore(postgres_engine, schema="agents")
    for store in (here, there):
        await store.upgrade()
        await store.create_session(SessionInfo(id="s"))
    await migrate.downgrade(postgres_engine, schema="agents", revision="base")
    assert await tables(postgres_engine, "agents") <= {migrate.VERSION_TABLE}
    assert await here.get_session("s") is not None
    await there.upgrade()
    assert await there.list_sessions() == []
    await there.create_session(SessionInfo(id="s"))
    await migrate.downgrade(postgres_engine, revision="base")
    assert await there.get_session("s") is not None


def test_there_is_one_head() -> None:
    """The history has one head and one base, and the base has the branch label."""
    history = scripts()
    (head,) = history.get_heads()
    assert history.get_bases() == [FIRST]
    assert history.get_revision(FIRST).branch_labels == {"sessionstore"}
    assert history.get_revision("sessionstore@head").revision == head


def test_revisions_are_frozen() -> None:
    """Revisions import alembic, sqlalchemy and the standard library, and have the prefix in id and file name."""
    files = sorted(VERSIONS.glob("*.py"))
    assert files
    allowed = {"alembic", "sqlalchemy", "collections", "typing", "json", "re", "datetime"}
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        imported: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, file.name
                imported.add((node.module or "").split(".")[0])
            elif isinstance(node, ast.Call):
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                assert called not in {"__import__", "import_module"}, file.name
        assert imported <= allowed, file.name
        assert re.match(r"ss\d{4}_[a-z0-9_]+\.py$", file.name)
    assert [revision.revision for revision in scripts().walk_revisions()][::-1] == [file.name[:6] for file in files]


def test_the_history_and_its_template_ship_together() -> None:
    """What `versions_location` names stands beside env.py and the template."""
    assert VERSIONS.is_dir()
    assert {"env.py", "script.py.mako", "versions"} <= {entry.name for entry in VERSIONS.parent.iterdir()}
