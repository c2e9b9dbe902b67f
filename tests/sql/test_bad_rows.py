"""The laws of rows that no version of ours wrote: CorruptRecord by name, in nobody's way, and never retryable."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from sessionstore import SessionInfo, SQLSessionStore, doctor
from sessionstore.errors import CorruptRecord
from sessionstore.testing.build import ids, user

from .test_corrupt import assert_corrupt, four_messages

Call = Callable[[SQLSessionStore], Awaitable[Any]]

SECRET = "what was said"
NOT_UTF8 = f"CAST(x'{SECRET.encode().hex()}ff' AS TEXT)"

WRITES: dict[str, Call] = {
    "append": lambda s: s.save_message(user("s")),
    "append many": lambda s: s.save_messages([user("s"), user("s")]),
    "replace": lambda s: s.replace_message(user("s", id="m4")),
    "pop": lambda s: s.pop_message("s"),
    "delete behind": lambda s: s.delete_messages("s", after="m3"),
    "delete all": lambda s: s.delete_messages("s"),
    "export": lambda s: s.export_session("s"),
    "summary": lambda s: s.update_session_summary("s", "m4"),
}
"""What goes on from the counters on the session's row."""

COUNTERS = {
    "sqlite": (
        "last_seq = 'five'",
        "last_seq = x'05'",
        "last_seq = 4.5",
        "turn_count = 'two'",
        "base_input_tokens = ''",
        "last_message_at = 'yesterday'",
        "last_message_at = x'00'",
        "last_message_at = 9223372036854775807",
        f"last_message_at = {NOT_UTF8}",
        f"last_seq = {NOT_UTF8}",
    ),
    "postgresql": ("last_message_at = 'infinity'", "last_message_at = '-infinity'"),
}
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql", "psycopg": "postgresql"}
BAD_COUNTERS = [(driver, change) for driver, database in DRIVERS.items() for change in COUNTERS[database]]


@pytest.fixture
def url(driver: str, request: pytest.FixtureRequest) -> str:
    """An upgraded database without rows, for a driver."""
    url = request.getfixturevalue(f"{DRIVERS[driver]}_url")
    return url.replace("asyncpg", "psycopg") if driver == "psycopg" else url


@pytest.fixture
async def bad(url: str) -> AsyncIterator[SQLSessionStore]:
    """A store with a session of four messages and another one."""
    async with SQLSessionStore.from_url(url) as store:
        await store.create_session(SessionInfo(id="other"))
        await four_messages(store)
        yield store


async def _change(store: SQLSessionStore, statement: str) -> None:
    """Change rows by hand, foreign keys or not."""
    async with store.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            await connection.execute(text("PRAGMA foreign_keys = OFF"))
            await connection.commit()
        assert (await connection.execute(text(statement))).rowcount == 1
        await connection.commit()
        if connection.dialect.name == "sqlite":
            await connection.execute(text("PRAGMA foreign_keys = ON"))


async def _problems(store: SQLSessionStore) -> list[tuple[str, tuple[object, ...]]]:
    return [(problem.table, problem.key) async for problem in doctor.check(store)]


@pytest.mark.parametrize(("driver", "change"), BAD_COUNTERS)
async def test_bad_counters(bad: SQLSessionStore, change: str) -> None:
    """Counters that nothing can go on from are CorruptRecord for every write, found, and mended from the messages."""
    await _change(bad, f"UPDATE sessionstore_sessions SET {change} WHERE id = 's'")
    for write in WRITES.values():
        await assert_corrupt(write(bad), "sessionstore_sessions", ("s",))
    assert ids(await bad.get_messages("s")) == ["m1", "m2", "m3", "m4"]
    assert await _problems(bad) == [("sessionstore_sessions", ("s",))]
    assert await doctor.repair(bad, "s") == []
    assert (await bad.save_message(user("s"))).seq == 5
    assert await _problems(bad) == []


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_session_with_bad_counters_can_be_deleted(bad: SQLSessionStore, driver: str) -> None:
    """Deleting a session asks nothing of its row."""
    await _change(bad, f"UPDATE sessionstore_sessions SET {COUNTERS[DRIVERS[driver]][0]} WHERE id = 's'")
    assert await bad.delete_session("s")
    assert ids(await bad.list_sessions()) == ["other"]
    assert await _problems(bad) == []


TEXTS: list[tuple[str, str, Call, tuple[object, ...]]] = [
    ("sessions", "title = {} WHERE id = 's'", lambda s: s.get_session("s"), ("s",)),
    ("sessions", "metadata = {} WHERE id = 's'", lambda s: s.list_sessions(), ("s",)),
    ("sessions", "user_id = {} WHERE id = 's'", lambda s: s.list_sessions(limit=9, archived=False), ("s",)),
    ("messages", "metadata = {} WHERE seq = 2", lambda s: s.get_messages("s"), ("s", 2)),
    ("messages", "model = {} WHERE seq = 2", lambda s: s.get_message("s", "m2"), ("s", 2)),
    ("messages", "usage = {} WHERE seq = 4", lambda s: s.pop_message("s"), ("s", 4)),
    ("parts", "text = {} WHERE message_seq = 1", lambda s: s.get_message("s", "m1"), ("s", 1, 0)),
    ("parts", "payload = {} WHERE type = 'tool_call'", lambda s: s.get_messages("s", limit=3), ("s", 2, 1)),
    ("parts", "type = {} WHERE message_seq = 3", lambda s: s.get_messages_after("s", 0), ("s", 3, 0)),
    ("summaries", "details = {}", lambda s: s.export_session("s"), ("s", 1)),
]


@pytest.mark.parametrize(("table", "change", "call", "key"), TEXTS, ids=[f"{t} {c[:12]}" for t, c, _, _ in TEXTS])
async def test_text_that_is_not_utf8(
    sqlite_url: str, table: str, change: str, call: Call, key: tuple[object, ...]
) -> None:
    """SQLite takes any bytes for text: CorruptRecord by name, also bound, without a word of it, and found."""
    async with SQLSessionStore.from_url(sqlite_url) as store:
        await four_messages(store)
        await store.update_session_summary("s", "m4")
        await _change(store, f"UPDATE sessionstore_{table} SET {change.format(NOT_UTF8)}")
        with pytest.raises(CorruptRecord) as raised:
            await call(store)
        assert (raised.value.table, raised.value.key) == (f"sessionstore_{table}", key)
        assert SECRET not in str(raised.value)
        assert raised.value.__context__ is raised.value.__cause__  # the driver's own error quotes the text
        found = await _problems(store)
        assert (f"sessionstore_{table}", key) in found
        assert {at[0] for _, at in found} == {"s"}
        async with store.engine.begin() as connection:
            with pytest.raises(CorruptRecord):
                await call(store.bind(connection))
            await store.bind(connection).create_session(SessionInfo(id="in the same transaction"))
        assert (await store.save_message(user("s", id="more"))).get_text_content() == "hello"


KEYS = [
    ("messages", "seq = 'two' WHERE seq = 2", ("s", "two")),
    ("messages", "seq = x'ff' WHERE seq = 4", ("s", b"\xff")),
    ("messages", "turn = 'one' WHERE seq = 4", ("s", 4)),
    ("parts", "position = 'first' WHERE message_seq = 2 AND position = 0", ("s", 2, "first")),
    ("parts", "position = x'00' WHERE message_seq = 3", ("s", 3, b"\0")),
    ("parts", "extra = x'7B7D' WHERE message_seq = 4", ("s", 4, 0)),
    ("parts", "payload = x'7B7D' WHERE message_seq = 2 AND position = 1", ("s", 2, 1)),
]


@pytest.mark.parametrize(("table", "change", "key"), KEYS, ids=[change for _, change, _ in KEYS])
async def test_columns_of_another_type(sqlite_url: str, table: str, change: str, key: tuple[object, ...]) -> None:
    """A number that is none, and JSON as a BLOB, is CorruptRecord for who reads it, and the doctor goes on."""
    async with SQLSessionStore.from_url(sqlite_url) as store:
        await four_messages(store)
        await _change(store, f"UPDATE sessionstore_{table} SET {change}")
        await assert_corrupt_record(store.get_messages("s"), f"sessionstore_{table}", key)
        assert await store.get_message("s", "m1") is not None
        assert (f"sessionstore_{table}", key) in await _problems(store)


async def assert_corrupt_record(call: Awaitable[Any], table: str, key: tuple[object, ...]) -> None:
    """See that a call raises CorruptRecord with that table and key."""
    with pytest.raises(CorruptRecord) as raised:
        await call
    assert (raised.value.table, raised.value.key) == (table, key)


async def test_numbers_of_a_message(sqlite_url: str) -> None:
    """A token count or a turn that is no number is CorruptRecord for the write that would count with it."""
    async with SQLSessionStore.from_url(sqlite_url) as store:
        await four_messages(store)
        await _change(store, "UPDATE sessionstore_messages SET input_tokens = 'many' WHERE seq = 2")
        await assert_corrupt(store.replace_message(user("s", id="m2")), "sessionstore_messages", ("s", 2))
        assert await doctor.repair(store, "s") == []
        await _change(store, "UPDATE sessionstore_messages SET turn = 'one' WHERE seq = 3")
        await assert_corrupt(store.pop_message("s"), "sessionstore_messages", ("s", 3))
        assert len(await store.get_messages_after("s", 3)) == 1  # nothing was popped
        assert await doctor.repair(store, "s") == []
        assert await store.pop_message("s") is not None
