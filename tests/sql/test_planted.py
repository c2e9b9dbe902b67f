"""The law of the doctor's eye: each invariant, broken by hand, is found by its key, and nothing else is."""

import pytest
from sqlalchemy import text

from sessionstore import Message, SessionInfo, SQLSessionStore, doctor
from sessionstore.testing.build import user

from .invariants import TOKENS, broken

S, M, P, R, U = (f"sessionstore_{noun}" for noun in ("sessions", "messages", "parts", "read_files", "summaries"))
SESSION, SECOND = (S, ("s",)), (M, ("s", 2))
HASH = "00" * 32

Found = tuple[str, tuple[object, ...]]

PLANTED: dict[str, tuple[str, set[Found]]] = {
    "a counter that doesn't equal the rows": (f"UPDATE {S} SET message_count = 9 WHERE id = 's'", {SESSION}),
    "a negative counter": (f"UPDATE {S} SET message_count = -3 WHERE id = 's'", {SESSION}),
    "last_seq below a seq": (f"UPDATE {S} SET last_seq = 2 WHERE id = 's'", {SESSION, (U, ("s", 1))}),
    "a turn count": (f"UPDATE {S} SET turn_count = 7 WHERE id = 's'", {SESSION}),
    **{f"a total: {name}": (f"UPDATE {S} SET {name} = {name} + 1 WHERE id = 's'", {SESSION}) for name in TOKENS},
    "a base": (f"UPDATE {S} SET base_output_tokens = 5 WHERE id = 's'", {SESSION}),
    "a message's tokens": (f"UPDATE {M} SET input_tokens = 9 WHERE id = 'm2'", {SESSION, SECOND}),
    "a message's turn": (f"UPDATE {M} SET turn = 9 WHERE id = 'm2'", {SECOND}),
    "the last message's turn": (f"UPDATE {M} SET turn = 9 WHERE id = 'm3'", {SESSION, (M, ("s", 3))}),
    "what starts a turn": (f"UPDATE {M} SET role = 'assistant' WHERE id = 'm2'", {SECOND}),
    "a message that is gone": (
        f"DELETE FROM {P} WHERE message_seq = 2; DELETE FROM {M} WHERE id = 'm2'",
        {SESSION, (M, ("s", 3))},
    ),
    "a part that is gone": (f"DELETE FROM {P} WHERE message_seq = 2 AND position = 0", {(P, ("s", 2))}),
    "a position below zero": (f"UPDATE {P} SET position = -1 WHERE message_seq = 2 AND position = 0", {(P, ("s", 2))}),
    "a part without its message": (
        f"INSERT INTO {P} (session_id, message_seq, position, id, type, text) VALUES ('s', 77, 0, 'p', 'text', 'x')",
        {(P, ("s", 77, 0))},
    ),
    "a summary of a message that is gone": (f"UPDATE {U} SET message_id = 'gone'", {(U, ("s", 1))}),
    "a summary behind the end": (f"UPDATE {U} SET at_seq = 99", {(U, ("s", 1))}),
    "a summary that can't be read": (f"UPDATE {U} SET kept = '['", {(U, ("s", 1))}),
    "a session that can't be read": (f"UPDATE {S} SET metadata = 'x' WHERE id = 's'", {SESSION}),
    "a message that can't be read": (f"UPDATE {M} SET usage = 'x' WHERE id = 'm2'", {SECOND}),
    "a part that can't be read": (
        f"UPDATE {P} SET payload = 'x' WHERE tool_name = 'tool' AND message_seq = 2",
        {(P, ("s", 2, 1))},
    ),
    "a read file under another's hash": (f"UPDATE {R} SET path_hash = {{blob}}", {(R, ("s", HASH))}),
}
UNMENDABLE = {
    "a part without its message",
    "a summary that can't be read",
    "a session that can't be read",
    "a message that can't be read",
    "a part that can't be read",
    "a read file under another's hash",
}
LOOSE: dict[str, tuple[str, set[Found]]] = {
    M: (
        f"UPDATE {M} SET session_id = 'gone' WHERE id = 'm3'",
        {SESSION, (P, ("s", 3, 0)), (P, ("s", 3, 1)), (U, ("s", 1))},
    ),
    P: (f"UPDATE {P} SET session_id = 'gone' WHERE message_seq = 3", set()),
    R: (f"UPDATE {R} SET session_id = 'gone'", set()),
    U: (f"UPDATE {U} SET session_id = 'gone'", set()),
}
"""Rows whose session isn't there, and what else is broken by that."""


def _message(number: int) -> Message:
    message = user("s", str(number), id=f"m{number}", usage={"input_tokens": 2})
    message.add_tool_call("c", "tool", {})
    return message


@pytest.fixture
async def filled(store: SQLSessionStore) -> SQLSessionStore:
    """A store with a session that has something in every table, and one that nobody touches."""
    for name in ("s", "healthy"):
        await store.create_session(SessionInfo(id=name))
    await store.save_messages([_message(number) for number in (1, 2, 3)])
    await store.update_session_summary("s", "m3")
    await store.track_read_file("s", "/a")
    return store


async def _plant(store: SQLSessionStore, statements: str) -> None:
    """Execute by hand what foreign keys would forbid."""
    lite = store.engine.dialect.name == "sqlite"
    off, on = (
        ("PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON")
        if lite
        else ("SET session_replication_role = replica", "SET session_replication_role = DEFAULT")
    )
    blob = f"x'{HASH}'" if lite else f"decode('{HASH}', 'hex')"
    async with store.engine.connect() as connection:
        for statement in (off, *statements.split("; ")):
            await connection.execute(text(statement.format(blob=blob)))
            await connection.commit()
        await connection.execute(text(on))
        await connection.commit()


async def _found(store: SQLSessionStore) -> set[Found]:
    return {(problem.table, problem.key) async for problem in doctor.check(store)}


async def _rows(store: SQLSessionStore) -> list[str]:
    """Return every row of every table."""
    async with store.engine.connect() as connection:
        return [
            repr(tuple(row))
            for table in (S, M, P, R, U)
            for row in (await connection.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2, 3"))).all()
        ]


@pytest.mark.parametrize("name", PLANTED)
async def test_it_is_found_and_only_it(filled: SQLSessionStore, name: str) -> None:
    """The broken row is named by table and key, no other is, looking changes no row, and a repair mends what it can."""
    statements, expected = PLANTED[name]
    assert await _found(filled) == set()
    await _plant(filled, statements)
    before = await _rows(filled)
    assert await _found(filled) == expected
    assert await _rows(filled) == before
    left = await doctor.repair(filled, "s")
    assert {(problem.table, problem.key) for problem in left} == (expected if name in UNMENDABLE else set())
    assert await _found(filled) == (expected if name in UNMENDABLE else set())
    if name not in UNMENDABLE:
        assert await broken(filled.engine) == []
    mended = await _rows(filled)
    await doctor.repair(filled, "s")
    assert await _rows(filled) == mended  # once is enough


@pytest.mark.parametrize("table", LOOSE)
async def test_rows_without_a_session(filled: SQLSessionStore, table: str) -> None:
    """Rows of a session that isn't there are named by table and the session's id."""
    statement, also = LOOSE[table]
    await _plant(filled, statement)
    assert await _found(filled) == {(table, ("gone",)), *also}
    await doctor.repair(filled, "gone")
    assert (table, ("gone",)) in await _found(filled)


async def test_repairing_one_session_leaves_the_others(filled: SQLSessionStore) -> None:
    """A repair touches no row of another session."""
    await _plant(filled, f"UPDATE {S} SET message_count = 5")
    await doctor.repair(filled, "s")
    assert await _found(filled) == {(S, ("healthy",))}
