"""The laws of the doctor: it finds what isn't as it always should be, and repairs no content away."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from sessionstore import Message, SessionInfo, SQLSessionStore, doctor
from sessionstore.errors import InvalidValue
from sessionstore.testing.build import user

from .invariants import broken

DAMAGE = {
    "count": ("UPDATE sessionstore_sessions SET message_count = 9", "message_count is 9, and there are 3 messages"),
    "last seq": ("UPDATE sessionstore_sessions SET last_seq = 2", "last_seq is 2, and the highest seq 3"),
    "turns": ("UPDATE sessionstore_sessions SET turn_count = 7", "turn_count is 7"),
    "total": ("UPDATE sessionstore_sessions SET input_tokens = 1", "input_tokens is 1, and base and messages make 6"),
    "turn": ("UPDATE sessionstore_messages SET turn = 9 WHERE seq = 2", "turn is 9, and 2 turns start up to here"),
    "starts": ("UPDATE sessionstore_messages SET role = 'assistant' WHERE seq = 2", "starts_turn is True"),
    "tokens": (
        "UPDATE sessionstore_messages SET input_tokens = 9 WHERE seq = 2",
        "input_tokens is 9, and usage says 2",
    ),
    "beyond 64 bits": (
        f"UPDATE sessionstore_messages SET input_tokens = {2**63 - 1}",
        f"input_tokens is 6, and base and messages make {3 * (2**63 - 1)}",
    ),
    "below 64 bits": (
        f"UPDATE sessionstore_messages SET input_tokens = {-(2**63) + 1}",
        f"input_tokens is 6, and base and messages make {3 * (-(2**63) + 1)}",
    ),
    "gap": ("DELETE FROM sessionstore_parts WHERE message_seq = 2 AND position = 0", "positions aren't dense"),
    "at": ("UPDATE sessionstore_summaries SET at_seq = 99", "at_seq is 99"),
}
UNREADABLE = {
    "session": "UPDATE sessionstore_sessions SET metadata = '{'",
    "message": "UPDATE sessionstore_messages SET metadata = '{' WHERE seq = 2",
    "part": "UPDATE sessionstore_parts SET payload = '{' WHERE message_seq = 2 AND type = 'tool_call'",
    "summary": "UPDATE sessionstore_summaries SET details = '{'",
}


def _message(number: int) -> Message:
    message = user("s", str(number), id=f"m{number}", usage={"input_tokens": 2})
    message.add_text("more")
    message.add_tool_call("c", "tool", {})
    return message


@pytest.fixture
async def filled(store: SQLSessionStore) -> SQLSessionStore:
    """A store with one session of three messages, a summary and a read file."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_messages([_message(number) for number in range(3)])
    await store.update_session_summary("s", "m2")
    await store.track_read_file("s", "/a")
    return store


async def _problems(store: SQLSessionStore, since: datetime | None = None) -> list[doctor.Problem]:
    return [problem async for problem in doctor.check(store, since=since)]


async def _execute(store: SQLSessionStore, statement: str) -> None:
    async with store.engine.begin() as connection:
        await connection.execute(text(statement))


async def test_a_healthy_session_has_no_problem(filled: SQLSessionStore) -> None:
    """After anything that the store does nothing is found."""
    assert await _problems(filled) == []
    await filled.pop_message("s")
    await filled.replace_message(user("s", id="m1"))
    await filled.add_usage("s", {"input_tokens": 5})
    await filled.delete_messages("s", after="m0")
    assert await _problems(filled) == []


@pytest.mark.parametrize("name", DAMAGE)
async def test_damage_is_found_and_repaired(filled: SQLSessionStore, name: str) -> None:
    """Each kind of damage is named, looking changes nothing, and a repair leaves no problem and every message."""
    statement, expected = DAMAGE[name]
    await _execute(filled, statement)
    found = await _problems(filled)
    assert any(expected in problem.message for problem in found), found
    assert {problem.session_id for problem in found} == {"s"}
    assert await _problems(filled) == found
    assert await doctor.repair(filled, "s") == []
    assert await _problems(filled) == []
    assert await broken(filled.engine) == []
    assert len(await filled.get_messages("s")) == 3


@pytest.mark.parametrize("name", UNREADABLE)
async def test_what_cannot_be_read_is_listed_and_stays(filled: SQLSessionStore, name: str) -> None:
    """A row that can't be read is named by table and key, and no repair deletes it."""
    await _execute(filled, UNREADABLE[name])
    found = await _problems(filled)
    assert [problem.table.removeprefix("sessionstore_").rstrip("s") for problem in found] in (
        [name],
        ["summarie"],
    )
    assert await doctor.repair(filled, "s") == found


async def test_rows_without_a_session_are_listed_and_stay(empty_sqlite_url: str) -> None:
    """Rows of a session that isn't there are listed by a whole check, and deleted by nobody but a person."""
    async with SQLSessionStore.from_url(empty_sqlite_url, auto_upgrade=True) as store:
        await store.create_session(SessionInfo(id="s"))
        await store.save_message(_message(0))
        async with store.engine.connect() as connection:
            await connection.execute(text("PRAGMA foreign_keys = OFF"))
            await connection.execute(text("DELETE FROM sessionstore_sessions"))
            await connection.commit()
        found = await _problems(store)
        assert {problem.table for problem in found} == {"sessionstore_messages", "sessionstore_parts"}
        assert await _problems(store, since=datetime(2020, 1, 1, tzinfo=UTC)) == []
        assert await _problems(store.for_tenant("other")) == []
        await doctor.repair(store, "s")
        assert await _problems(store) == found


async def test_since_and_tenants(filled: SQLSessionStore) -> None:
    """Only the tenant's own sessions are looked at, and with `since` only those that were used since then."""
    await _execute(filled, "UPDATE sessionstore_sessions SET message_count = 9")
    now = datetime.now(UTC)
    assert len(await _problems(filled, since=now - timedelta(hours=1))) == 1
    assert await _problems(filled, since=now + timedelta(hours=1)) == []
    other = filled.for_tenant("other")
    assert await _problems(other) == []
    assert await doctor.repair(other, "s") == []
    assert len(await _problems(filled)) == 1
    with pytest.raises(InvalidValue, match="since"):
        await _problems(filled, since=datetime(2026, 1, 1))
