"""The laws of bad rows: named, never skipped in silence, and in nobody's way but their own."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from sessionstore import Message, SessionInfo, SQLSessionStore, TextPart, ToolCallPart, ToolResultPart, UnknownPart
from sessionstore.errors import CorruptRecord
from sessionstore.testing.build import ids, user

BAD_JSON = ("", "{", "nonsense", "[1]", '"text"', "5", "null", "[" * 3000, '{"a": 1} x', "\ufeff{}")


async def run(store: SQLSessionStore, statement: str, **parameters: Any) -> None:
    """Change rows behind the store's back."""
    async with store.engine.begin() as connection:
        result = await connection.execute(text(statement), parameters)
        assert result.rowcount == 1


async def four_messages(store: SQLSessionStore) -> None:
    """Store a session with a text, a call, a result and another text."""
    await store.create_session(SessionInfo(id="s"))
    call = ToolCallPart(tool_call_id="c", tool_name="t", arguments={"a": 1})
    result = ToolResultPart(tool_call_id="c", tool_name="t", output="o", title="x")
    await store.save_messages(
        [
            user("s", "one", id="m1"),
            Message(id="m2", session_id="s", role="assistant", parts=[TextPart(content="c"), call]),
            Message(id="m3", session_id="s", role="tool", parts=[result]),
            user("s", "four", id="m4"),
        ]
    )


async def assert_corrupt(call: Awaitable[Any], table: str, key: tuple[object, ...]) -> None:
    """See that a call raises CorruptRecord with that table and key, and says both."""
    with pytest.raises(CorruptRecord) as raised:
        await call
    assert (raised.value.table, raised.value.key) == (table, key)
    assert table in str(raised.value)
    assert all(str(value) in str(raised.value) for value in key)


async def _others_stay_readable(store: SQLSessionStore, bad: str) -> None:
    for message_id in {"m1", "m2", "m3", "m4"} - {bad}:
        assert (await store.get_message("s", message_id)) is not None
    assert ids(await store.get_messages_after("s", 3)) == ["m4"]
    assert ids(await store.get_messages("s", limit=1)) == ["m4"]
    assert await store.get_session("s") is not None
    assert ids(await store.list_sessions()) == ["s"]
    assert (await store.save_message(user("s", "five", id="m5"))).seq == 5


async def test_corrupt_metadata_of_a_message(store: SQLSessionStore) -> None:
    """JSON that is none in a message's metadata is CorruptRecord for that message, and for lists that hold it."""
    await four_messages(store)
    for bad in BAD_JSON:
        await run(store, "UPDATE sessionstore_messages SET metadata = :bad WHERE seq = 2", bad=bad)
        await assert_corrupt(store.get_message("s", "m2"), "sessionstore_messages", ("s", 2))
        await assert_corrupt(store.get_messages("s"), "sessionstore_messages", ("s", 2))
        await assert_corrupt(store.get_messages_after("s", 0, limit=2), "sessionstore_messages", ("s", 2))
    await _others_stay_readable(store, "m2")


@pytest.mark.parametrize(
    ("column", "bad"),
    [("role", "nobody"), ("status", "?"), ("usage", "[]"), ("usage", '{"input_tokens": "x"}'), ("id", "")],
)
async def test_corrupt_columns_of_a_message(store: SQLSessionStore, column: str, bad: str) -> None:
    """A value that no version of ours wrote is CorruptRecord, named by its place."""
    await four_messages(store)
    await run(store, f"UPDATE sessionstore_messages SET {column} = :bad WHERE seq = 2", bad=bad)
    await assert_corrupt(store.get_messages("s"), "sessionstore_messages", ("s", 2))
    await _others_stay_readable(store, "m2")


@pytest.mark.parametrize(("seq", "position"), [(2, 1), (3, 0)])
async def test_corrupt_payload_of_a_part(store: SQLSessionStore, seq: int, position: int) -> None:
    """JSON that is none in a part's payload is CorruptRecord, which names the part."""
    await four_messages(store)
    change = "UPDATE sessionstore_parts SET payload = :bad WHERE message_seq = :seq AND position = :position"
    for bad in BAD_JSON:
        if (seq, bad) == (3, "null"):
            continue  # says what no payload says: a result without anything beside its output
        await run(store, change, bad=bad, seq=seq, position=position)
        await assert_corrupt(store.get_message("s", f"m{seq}"), "sessionstore_parts", ("s", seq, position))
        await assert_corrupt(store.get_messages("s"), "sessionstore_parts", ("s", seq, position))
    await _others_stay_readable(store, f"m{seq}")


@pytest.mark.parametrize("change", ["text = NULL", "extra = '[]'", "extra = '{'", "extra = '5'", "extra = '\"x\"'"])
async def test_corrupt_columns_of_a_part(store: SQLSessionStore, change: str) -> None:
    """A text part without text, and metadata that is none, are CorruptRecord."""
    await four_messages(store)
    await run(store, f"UPDATE sessionstore_parts SET {change} WHERE message_seq = 1")
    await assert_corrupt(store.get_message("s", "m1"), "sessionstore_parts", ("s", 1, 0))
    assert (await store.get_message("s", "m2")) is not None


async def test_corrupt_metadata_of_a_session(store: SQLSessionStore) -> None:
    """JSON that is none in a session's metadata is CorruptRecord; its messages and other sessions stay readable."""
    await four_messages(store)
    await store.create_session(SessionInfo(id="t"))
    for bad in BAD_JSON:
        await run(store, "UPDATE sessionstore_sessions SET metadata = :bad WHERE id = 's'", bad=bad)
        await assert_corrupt(store.get_session("s"), "sessionstore_sessions", ("s",))
        await assert_corrupt(store.list_sessions(), "sessionstore_sessions", ("s",))
    assert ids(await store.get_messages("s")) == ["m1", "m2", "m3", "m4"]
    assert await store.get_session("t") is not None
    assert await store.delete_session("s")
    assert ids(await store.list_sessions()) == ["t"]


@pytest.mark.parametrize(("column", "bad"), [("kept", "{"), ("kept", '[["a", 2]]'), ("details", ""), ("details", "[]")])
async def test_corrupt_summaries(store: SQLSessionStore, column: str, bad: str) -> None:
    """A bad compaction record is CorruptRecord, and the conversation stays readable."""
    await four_messages(store)
    await store.update_session_summary("s", "m4")
    await run(store, f"UPDATE sessionstore_summaries SET {column} = :bad", bad=bad)
    await assert_corrupt(store.export_session("s"), "sessionstore_summaries", ("s", 1))
    assert len(await store.get_messages("s")) == 4
    found = await store.get_session("s")
    assert found is not None
    assert found.summary_message_id == "m4"


_TIMES: list[tuple[str, str, Callable[[SQLSessionStore], Awaitable[Any]], tuple[object, ...]]] = [
    ("messages", "created_at", lambda s: s.get_messages("s"), ("s", 1)),
    ("sessions", "created_at", lambda s: s.get_session("s"), ("s",)),
    ("sessions", "archived_at", lambda s: s.list_sessions(), ("s",)),
]


@pytest.mark.parametrize(("table", "column", "call", "key"), _TIMES, ids=["message", "session", "archived"])
async def test_corrupt_times_on_sqlite(
    sqlite_url: str, table: str, column: str, call: Callable[..., Awaitable[Any]], key: tuple[object, ...]
) -> None:
    """SQLite lets anything into a column: a time that is none is CorruptRecord too."""
    async with SQLSessionStore.from_url(sqlite_url) as store:
        await store.create_session(SessionInfo(id="s"))
        await store.save_message(user("s"))
        for bad in ("'abc'", "9223372036854775807", "x'ff'"):
            await run(store, f"UPDATE sessionstore_{table} SET {column} = {bad}")
            await assert_corrupt(call(store), f"sessionstore_{table}", key)


async def test_infinite_times_on_postgres(postgresql_url: str) -> None:
    """Postgres' infinity is no instant: CorruptRecord, and the other messages stay readable."""
    async with SQLSessionStore.from_url(postgresql_url) as store:
        await four_messages(store)
        await run(store, "UPDATE sessionstore_messages SET created_at = 'infinity' WHERE seq = 2")
        await assert_corrupt(store.get_message("s", "m2"), "sessionstore_messages", ("s", 2))
        assert await store.get_message("s", "m3") is not None


UNKNOWN = (
    "INSERT INTO sessionstore_parts (session_id, message_seq, position, id, type, text, tool_call_id, tool_name,"
    " payload, extra) VALUES ('s', 1, 1, 'p', 'hologram', :text, :call, :name, :payload, :extra)"
)
_ROW = text(
    "SELECT type, text, tool_call_id, tool_name, payload, extra FROM sessionstore_parts WHERE type = 'hologram'"
)

UNKNOWN_ROWS: dict[str, dict[str, str | None]] = {
    "nothing": {},
    "text": {"text": "seen"},
    "payload": {"payload": '{"b":1,"a":[null,1.0,-0.0]}'},
    "scalar": {"payload": "5"},
    "call": {"call": "c1", "name": "tool"},
    "metadata": {"extra": '{"metadata":{"z":1,"a":2}}'},
    "all": {"text": "t", "call": "c", "name": "n", "payload": '["x"]', "extra": '{"metadata":{"k":null}}'},
    "newer extra": {"extra": '{"metadata":{"k":1},"cache":{"ttl":5}}'},
}


@pytest.mark.parametrize("name", UNKNOWN_ROWS)
async def test_an_unknown_part_is_kept_as_it_was(store: SQLSessionStore, name: str) -> None:
    """A part of a type from a newer version comes back as UnknownPart, and is saved again as it was, to the letter."""
    columns = {"text": None, "call": None, "name": None, "payload": None, "extra": None, **UNKNOWN_ROWS[name]}
    await store.create_session(SessionInfo(id="s"))
    await store.save_message(user("s", id="m1"))
    await run(store, UNKNOWN, **columns)
    message = await store.get_message("s", "m1")
    assert message is not None
    part = message.parts[1]
    assert isinstance(part, UnknownPart)
    assert (part.type, part.text, part.tool_call_id) == ("hologram", columns["text"], columns["call"])
    assert (await store.save_message(message)) == message
    await store.replace_message(message)
    await store.create_session(SessionInfo(id="t"))
    await store.save_message(message.model_copy(update={"session_id": "t"}))
    async with store.engine.connect() as connection:
        rows = [tuple(row) for row in (await connection.execute(_ROW)).all()]
    assert rows == 2 * [("hologram", *(columns[key] for key in ("text", "call", "name", "payload", "extra")))]


async def test_no_payload_and_null_are_one(store: SQLSessionStore) -> None:
    """The JSON value null as an unknown part's payload comes back as None, and saving that again is a repeat."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_message(user("s", id="m1"))
    await run(store, UNKNOWN, text=None, call=None, name=None, payload="null", extra=None)
    message = await store.get_message("s", "m1")
    assert message is not None
    assert isinstance(message.parts[1], UnknownPart)
    assert message.parts[1].data is None
    assert await store.save_message(message) == message


async def test_an_unknown_part_survives_the_archive(store: SQLSessionStore) -> None:
    """An unknown part goes out and in again with its session."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_message(user("s", id="m1"))
    await run(store, UNKNOWN, **{"call": None, "name": None, **UNKNOWN_ROWS["all"]})
    archive = await store.export_session("s")
    assert archive is not None
    await store.delete_session("s")
    await store.import_session(type(archive).model_validate(archive.model_dump()))
    assert await store.export_session("s") == archive


@pytest.mark.parametrize(
    "change",
    ["turn = 'two'", "turn = x'02'", "created_at = 'now'", "input_tokens = 'many'", "input_tokens = 9e999"],
)
async def test_turns_with_corrupt_columns(sqlite_url: str, change: str) -> None:
    """A turn that can't be counted is named by its first message; SQLite lets anything into a column of numbers."""
    async with SQLSessionStore.from_url(sqlite_url) as store:
        await four_messages(store)
        await run(store, f"UPDATE sessionstore_messages SET {change} WHERE seq = 2")
        with pytest.raises(CorruptRecord) as raised:
            await store.conversation("s").turns()
        assert raised.value.table in {"sessionstore_messages", "sessionstore_parts"}
        assert raised.value.key[0] == "s"
