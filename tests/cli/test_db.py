"""`sessionstore db …`: the tables' history from the command line."""

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.test_import import line


def test_the_tables_come_and_go(cli_on_nothing: CommandLine) -> None:
    cli = cli_on_nothing
    assert cli.ok("db", "current") == "no tables\n"
    assert "sessionstore db upgrade" in cli.failing("db", "check")
    head = cli.ok("db", "upgrade")
    assert cli.ok("db", "upgrade") == head
    assert cli.ok("db", "current") == head
    assert cli.ok("db", "check") == "up to date\n"
    cli.ok("import", "-", input=line("a"))
    assert cli.ok("db", "downgrade", "base", "--yes") == "no tables\n"
    assert "sessionstore db upgrade" in cli.failing("ls")
    assert cli.ok("db", "upgrade", "head") == head
    assert cli.ok("ls") == ""


@pytest.mark.parametrize("answer", ["n\n", "", "maybe\n"])
def test_a_downgrade_asks_first(cli: CommandLine, answer: str) -> None:
    told = cli.failing("db", "downgrade", "base", input=answer)
    assert told.startswith("Downgrade to base?")
    assert "--yes" in told
    assert cli.ok("db", "check") == "up to date\n"


def test_a_downgrade_goes_on_when_told_so(cli_on_nothing: CommandLine) -> None:
    cli_on_nothing.ok("db", "upgrade")
    assert cli_on_nothing.ok("db", "downgrade", "-1", input="y\n") == "no tables\n"


def test_an_unknown_revision_is_an_error(cli: CommandLine) -> None:
    assert "nonsense" in cli.failing("db", "upgrade", "nonsense")


def test_sql_makes_the_tables_without_a_database(cli: CommandLine) -> None:
    printed = cli.ok("db", "sql", "--database-url", "postgresql+asyncpg://nobody:secret@nowhere/x", "--schema", "chat")
    assert printed.startswith('CREATE SCHEMA IF NOT EXISTS "chat";')
    assert "CREATE TABLE chat.sessionstore_sessions" in printed
    assert "secret" not in printed


def test_tables_live_in_their_schema(
    empty_postgresql_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = CommandLine(empty_postgresql_url, monkeypatch, capsys)
    cli.ok("db", "upgrade", "--schema", "chat")
    cli.ok("import", "-", "--schema", "chat", input=line("a", "hi"))
    assert cli.ok("ls", "--schema", "chat").startswith("a\thi\t")
    assert "hi" in cli.ok("show", "a", "--schema", "chat")
    assert cli.ok("export", "--schema", "chat", "-f", "openai-chat").startswith('{"id":"a"')
    assert cli.ok("db", "current") == "no tables\n"
    cli.failing("ls")
    assert "plain name" in cli.failing("ls", "--schema", 'x"; drop')


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://ada:secret@localhost/x", "postgresql+asyncpg"),
        ("mysql://ada:secret@localhost/x", "isn't supported"),
        ("postgresql+asyncpg://ada:secret@localhost:1/x", "can't be reached"),
        ("ada:secret", "can't be parsed"),
    ],
)
@pytest.mark.parametrize("command", [["ls"], ["db", "upgrade"]])
def test_a_database_that_can_not_be_used_is_told_without_its_password(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, url: str, words: str, command: list[str]
) -> None:
    monkeypatch.setattr("sessionstore.sql.attempts.RETRY_SECONDS", 0.0)
    told = cli.failing(*command, "--database-url", url)
    assert words in told
    assert "secret" not in told
