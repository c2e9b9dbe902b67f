"""`sessionstore import --from-openai-agents`: what the SDK's own sessions stored, on tables that they made."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agents.extensions.memory import AdvancedSQLiteSession, SQLAlchemySession
from agents.memory import SQLiteSession
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import SQLSessionStore
from sessionstore.adapters.openai_agents import SQLSession
from tests import databases
from tests.adapters.openai_agents.build import EVERY_KIND, texts
from tests.cli.conftest import CommandLine

ITEMS: dict[str, list[Any]] = {"a": EVERY_KIND, "b": texts("Is it raining?", "And now?"), "empty": []}


def execute(url: str, *statements: str) -> None:
    async def executed() -> None:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))
        await engine.dispose()

    databases.run(executed())


@pytest.fixture(params=["SQLAlchemySession", "SQLiteSession"])
def source(request: pytest.FixtureRequest, empty_database_url: str, tmp_path: Path) -> str:
    """A database with the SDK's tables, made and filled by its sessions."""
    url = empty_database_url
    if request.param == "SQLiteSession":
        url = databases.sqlite_url(tmp_path / "theirs.db")

    async def filled() -> None:
        engine = create_async_engine(url)
        for session_id, items in ITEMS.items():
            session: Any
            if request.param == "SQLiteSession":
                session = SQLiteSession(session_id, tmp_path / "theirs.db")
            else:
                session = SQLAlchemySession(session_id, engine=engine, create_tables=True)
            await session.add_items(items or texts("x"))
            if not items:
                await session.pop_item()
            if request.param == "SQLiteSession":
                session.close()
        await engine.dispose()

    databases.run(filled())
    return url


def items_in(cli: CommandLine, session_id: str) -> list[str]:
    async def read(store: SQLSessionStore) -> list[Any]:
        return await SQLSession(session_id, store=store).get_items()

    return [json.dumps(item) for item in cli.on_store(read)]


def test_all_conversations_come_exactly(cli: CommandLine, source: str) -> None:
    """With their times and a title; running it again changes nothing."""
    started = datetime.now(UTC)
    assert cli("import", "--from-openai-agents", source) == (0, "", "imported 3 conversations\n")
    for session_id, items in ITEMS.items():
        assert items_in(cli, session_id) == [json.dumps(item) for item in items]
    info = cli.on_store(lambda store: store.get_session("b"))
    assert info.title == "Is it raining?"
    [message, _] = cli.on_store(lambda store: store.get_messages("b"))
    for time in (info.time.created, info.time.updated, message.created_at):
        assert abs(time - started) < timedelta(minutes=5)
    assert message.created_at.microsecond == 0 or "postgresql" in source
    before = cli.ok("export")
    assert cli("import", "--from-openai-agents", source).err == "imported 0 conversations, 3 already there\n"
    assert cli.ok("export") == before


def test_a_conversation_that_went_on_here_is_already_there(cli: CommandLine, source: str) -> None:
    """One of the same id with other items isn't, and is told."""
    cli.ok("import", "--from-openai-agents", source)
    cli.on_store(lambda store: SQLSession("b", store=store).add_items(texts("more")))
    assert "3 already there" in cli("import", "--from-openai-agents", source).err
    cli.on_store(lambda store: SQLSession("a", store=store).pop_item())
    told = cli.failing("import", "--from-openai-agents", source).splitlines()
    assert f"session 'a': 1 of its {len(EVERY_KIND)} items aren't here" in told[0]
    assert told[1:] == ["imported 0 conversations, 2 already there, 1 bad conversation"]
    cli.on_store(lambda store: SQLSession("a", store=store).add_items(texts("another")))
    told = cli.failing("import", "--from-openai-agents", source).splitlines()
    assert "session 'a': its id is taken by a conversation with other items" in told[0]


@pytest.mark.parametrize("bad", ["{oops", '"text"', "[" * 600 + "]" * 600])
def test_a_bad_row_is_told_with_its_place(cli: CommandLine, source: str, bad: str) -> None:
    """Nothing of its conversation is kept; the others are, and a mended one comes with the next run."""
    place = "SELECT max(id) FROM agent_messages WHERE session_id = 'a'"
    execute(source, f"UPDATE agent_messages SET message_data = '{bad}' WHERE id = ({place})")
    told = cli.failing("import", "--from-openai-agents", source).splitlines()
    assert told[0].startswith("error: session 'a': agent_messages ")
    assert "message_data" in told[0] or "nested" in told[0]
    assert told[1:] == ["imported 2 conversations, 1 bad conversation"]
    assert cli.on_store(lambda store: store.get_session("a")) is None
    execute(source, f"UPDATE agent_messages SET message_data = '{{}}' WHERE id = ({place})")
    assert cli("import", "--from-openai-agents", source).err == "imported 1 conversation, 2 already there\n"


def test_none_is_passed_over_in_silence(cli: CommandLine, source: str) -> None:
    """One whose own row is gone, which the SDK still reads, comes too; one whose id can't be had here is told."""
    if "postgresql" in source:
        execute(source, "ALTER TABLE agent_messages DROP CONSTRAINT agent_messages_session_id_fkey")
    execute(
        source,
        "DELETE FROM agent_sessions WHERE session_id = 'b'",
        "INSERT INTO agent_sessions VALUES ('', '2026-01-02 03:04:05', '2026-01-02 03:04:05')",
    )
    told = cli.failing("import", "--from-openai-agents", source).splitlines()
    assert "session ''" in told[0]
    assert told[1:] == ["imported 3 conversations, 1 bad conversation"]
    assert items_in(cli, "b") == [json.dumps(item) for item in ITEMS["b"]]
    info, messages = cli.on_store(lambda store: store.get_session("b")), cli.on_store(lambda s: s.get_messages("b"))
    assert (info.time.created, info.time.updated) == (messages[0].created_at, messages[-1].created_at)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "<+03>-03"])
def test_times_are_the_servers(cli: CommandLine, empty_postgresql_url: str, zone: str) -> None:
    """In whatever zone it tells them, also one without a name."""
    execute(empty_postgresql_url, f"ALTER DATABASE {make_url(empty_postgresql_url).database} SET timezone = '{zone}'")

    async def filled() -> None:
        engine = create_async_engine(empty_postgresql_url)
        await SQLAlchemySession("a", engine=engine, create_tables=True).add_items(texts("Hi"))
        await engine.dispose()

    databases.run(filled())
    cli.ok("import", "--from-openai-agents", empty_postgresql_url)
    [message] = cli.on_store(lambda store: store.get_messages("a"))
    info = cli.on_store(lambda store: store.get_session("a"))
    for time in (info.time.created, info.time.updated, message.created_at):
        assert abs(time - datetime.now(UTC)) < timedelta(minutes=5)


FOUR = texts(*"abcd")


def on_theirs(session: Any, act: Callable[[Any], Awaitable[Any]] = lambda session: session.add_items(FOUR)) -> Any:
    """Do something with a session of the SDK's, and close it."""

    async def done() -> Any:
        try:
            return await act(session)
        finally:
            if isinstance(session, SQLAlchemySession):
                await session.engine.dispose()
            else:
                session.close()

    return databases.run(done())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file for the SDK's tables."""
    return tmp_path / "theirs.db"


@pytest.mark.parametrize("kind", ["SQLAlchemySession", "SQLiteSession"])
def test_items_come_in_the_order_that_their_session_has(cli: CommandLine, path: Path, kind: str) -> None:
    """By their ids or by their times, which differ where a clock was set back."""

    def theirs() -> Any:
        if kind == "SQLiteSession":
            return SQLiteSession("s", path)
        return SQLAlchemySession("s", engine=create_async_engine(databases.sqlite_url(path)), create_tables=True)

    on_theirs(theirs())
    execute(databases.sqlite_url(path), "UPDATE agent_messages SET created_at = '2020-01-01 00:00:00' WHERE id = 3")
    given = on_theirs(theirs(), lambda session: session.get_items())
    cli.ok("import", "--from-openai-agents", str(path))
    assert items_in(cli, "s") == [json.dumps(item) for item in given]
    assert (given == FOUR) == (kind == "SQLiteSession")


def test_branches_are_refused(cli: CommandLine, path: Path) -> None:
    """Of the conversation that has some; the main one is imported as soon as it is the only one."""

    def theirs(name: str) -> AdvancedSQLiteSession:
        return AdvancedSQLiteSession(session_id=name, db_path=path, create_tables=True)

    async def branched(session: AdvancedSQLiteSession) -> str:
        await session.add_items(FOUR)
        branch = await session.create_branch_from_turn(2)
        await session.add_items(texts("branched"))
        return branch

    on_theirs(theirs("t"))
    branch = on_theirs(theirs("s"), branched)
    told = cli.failing("import", "--from-openai-agents", str(path)).splitlines()
    assert told[0].startswith("error: session 's': message_structure has branches")
    assert branch in told[0]
    assert told[1:] == ["imported 1 conversation, 1 bad conversation"]
    on_theirs(theirs("s"), lambda session: session.delete_branch(branch))
    assert cli("import", "--from-openai-agents", str(path)).err == "imported 1 conversation, 1 already there\n"
    assert items_in(cli, "s") == [json.dumps(item) for item in FOUR]


def test_tables_of_other_names(cli: CommandLine, path: Path) -> None:
    """However they have to be quoted."""
    names = {"sessions_table": "their order", "messages_table": "group"}
    url = databases.sqlite_url(path)
    on_theirs(SQLAlchemySession("s", engine=create_async_engine(url), create_tables=True, **names))
    assert "no table agent_sessions" in cli.failing("import", "--from-openai-agents", str(path))
    options = ("--sessions-table", "their order", "--messages-table", "group")
    cli.ok("import", "--from-openai-agents", str(path), *options)
    assert items_in(cli, "s") == [json.dumps(item) for item in FOUR]


def test_a_file_that_is_not_there_is_not_made(cli: CommandLine, path: Path) -> None:
    """Whether it is named by its path or by a URL."""
    for place in (str(path), databases.sqlite_url(path)):
        assert cli.failing("import", "--from-openai-agents", place).endswith(f"no such file: {path}\n")
    assert not path.exists()


def test_a_source_that_grew_is_told(cli: CommandLine, path: Path) -> None:
    """With how many items are new, and what to do; doing that brings them in."""
    on_theirs(SQLiteSession("s", path))
    cli.ok("import", "--from-openai-agents", str(path))
    on_theirs(SQLiteSession("s", path))
    told = cli.failing("import", "--from-openai-agents", str(path))
    assert "session 's': 4 of its 8 items aren't here: it went on there" in told
    cli.ok("rm", "s", "--yes")
    cli.ok("import", "--from-openai-agents", str(path))
    assert items_in(cli, "s") == [json.dumps(item) for item in FOUR * 2]


def test_an_id_that_another_tenant_has_is_not_already_there(cli: CommandLine, path: Path) -> None:
    """Also of a conversation without items."""
    on_theirs(SQLiteSession("s", path))
    execute(databases.sqlite_url(path), "INSERT INTO agent_sessions (session_id) VALUES ('empty')")
    cli.ok("import", "--from-openai-agents", str(path), "--tenant", "acme")
    told = cli.failing("import", "--from-openai-agents", str(path)).splitlines()
    assert told[-1] == "imported 0 conversations, 2 bad conversations"
    assert "aren't here" not in "".join(told)


def test_bad_rows_can_be_left_out(cli: CommandLine, path: Path) -> None:
    """Each is told; running it again finds the conversation there."""
    on_theirs(SQLiteSession("s", path))
    bad = {1: "{oops", 3: "5"}
    for id_, data in bad.items():
        execute(databases.sqlite_url(path), f"UPDATE agent_messages SET message_data = '{data}' WHERE id = {id_}")
    assert "--skip-bad" in cli.failing("import", "--from-openai-agents", str(path))
    for came in ("1 conversation", "0 conversations, 1 already there"):
        code, _, err = cli("import", "--from-openai-agents", str(path), "--skip-bad")
        assert (code, err.splitlines()) == (
            0,
            [
                "left out: agent_messages 1: message_data is no JSON",
                "left out: agent_messages 3: message_data is no JSON object",
                f"imported {came}, 2 bad rows left out",
            ],
        )
    assert items_in(cli, "s") == [json.dumps(item) for item in texts(*"bd")]


def test_into_the_same_database(cli: CommandLine, source: str, empty_database_url: str) -> None:
    """The tables stand side by side."""
    cli.url = source
    cli.ok("db", "upgrade")
    assert cli("import", "--from-openai-agents", source).err == "imported 3 conversations\n"
    assert items_in(cli, "a") == [json.dumps(item) for item in EVERY_KIND]


def test_without_their_tables_the_error_is_one_line(cli: CommandLine, empty_database_url: str) -> None:
    """It names the option."""
    execute(empty_database_url, "CREATE TABLE another (id INTEGER)")
    told = cli.failing("import", "--from-openai-agents", empty_database_url)
    assert told.startswith("error: --from-openai-agents: ")
    assert "agent_sessions" in told
    assert told.count("\n") == 1
    assert "sqlite+aiosqlite" in cli.failing("import", "--from-openai-agents", "sqlite:///a.db")


@pytest.mark.parametrize("arguments", [(), ("-", "--from-openai-agents", "sqlite+aiosqlite://")])
def test_a_file_or_tables(cli: CommandLine, arguments: tuple[str, ...]) -> None:
    """One of the two."""
    result = cli("import", *arguments)
    assert result.code == 2
    assert "one of the two" in result.err
