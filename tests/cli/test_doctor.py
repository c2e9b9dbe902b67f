"""`sessionstore doctor`: one problem a line, and an exit code."""

from sqlalchemy import text

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.testing.build import user

from .conftest import CommandLine


async def _damage(store: SQLSessionStore) -> None:
    await store.create_session(SessionInfo(id="s"))
    await store.save_message(user("s"))
    async with store.engine.begin() as connection:
        await connection.execute(text("UPDATE sessionstore_sessions SET message_count = 9"))


def test_a_healthy_database(cli: CommandLine) -> None:
    """It prints no problem, and counts the sessions."""
    result = cli("doctor")
    assert (result.code, result.out) == (0, "")
    assert "0 sessions, 0 problems" in result.err


def test_a_sick_one_and_its_repair(cli: CommandLine) -> None:
    """It lists table, key and problem and exits with 1; after a repair with 0; it changes nothing unasked."""
    cli.on_store(_damage)
    line = "sessionstore_sessions\ts\tmessage_count is 9, and there are 1 messages\n"
    for _ in range(2):
        result = cli("doctor")
        assert (result.code, result.out) == (1, line)
    assert cli("doctor", "--since", "2100-01-01").code == 0
    repaired = cli("doctor", "--repair")
    assert (repaired.code, repaired.out) == (0, line)
    assert cli("doctor").code == 0


def test_a_bad_time(cli: CommandLine) -> None:
    """It names the option and the remedy."""
    assert "--since" in cli.failing("doctor", "--since", "yesterday")
