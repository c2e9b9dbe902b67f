"""The laws of the rows: what people query is there to be queried, and what is exact is there exactly."""

import json
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import (
    ImagePart,
    Message,
    Part,
    RawPart,
    ReasoningPart,
    SessionInfo,
    SQLSessionStore,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from sessionstore.testing.build import user

from .calls import filled_session
from .hosts import disposing

ARGUMENTS: dict[str, Any] = {"path": "/etc/hosts", "b": [1, 2.5, None, True], "a": {"ü": "😀"}}


async def rows(store: SQLSessionStore, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """Return what SQL finds."""
    async with store.engine.connect() as connection:
        return [tuple(row) for row in (await connection.execute(text(query), parameters)).all()]


async def save(store: SQLSessionStore, *parts: Part, **fields: Any) -> None:
    """Store a session with one message of these parts."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_message(Message(session_id="s", id="m", role="assistant", parts=list(parts), **fields))


async def stored_parts(store: SQLSessionStore, *columns: str) -> list[tuple[Any, ...]]:
    """Return columns of the parts, in order."""
    return await rows(store, f"SELECT {', '.join(columns)} FROM sessionstore_parts ORDER BY position")


async def test_text_is_readable(store: SQLSessionStore) -> None:
    """The text of texts, reasoning and results is in `text`, as it is, and stored once."""
    await save(
        store,
        TextPart(content="Grüße\n😀"),
        ReasoningPart(content="because"),
        ToolResultPart(tool_call_id="c", tool_name="t", output="127.0.0.1"),
        TextPart(content=""),
    )
    assert await stored_parts(store, "type", "text", "payload") == [
        ("text", "Grüße\n😀", None),
        ("reasoning", "because", None),
        ("tool_result", "127.0.0.1", None),
        ("text", "", None),
    ]


async def test_arguments_are_the_payload(store: SQLSessionStore) -> None:
    """A tool call's payload is its arguments as JSON, in their order; its id and name are columns."""
    await save(store, ToolCallPart(tool_call_id="c1", tool_name="read", arguments=ARGUMENTS))
    ((call_id, name, payload),) = await stored_parts(store, "tool_call_id", "tool_name", "payload")
    assert (call_id, name) == ("c1", "read")
    assert json.loads(payload) == ARGUMENTS
    assert list(json.loads(payload)) == list(ARGUMENTS)


async def test_the_rest_of_a_part_is_the_payload(store: SQLSessionStore) -> None:
    """What has no column of its own is in the payload, under its name: titles, errors, signatures, images, raw data."""
    await save(
        store,
        ToolResultPart(tool_call_id="c", tool_name="t", output="o", title="T", error="E"),
        ReasoningPart(content="r", signature="sig"),
        ImagePart(media_type="image/png", url="https://example.com/a.png"),
        RawPart(data=[1, {"a": None}]),
        TextPart(content="x", metadata={"cache": True}),
    )
    payloads = [None if p is None else json.loads(p) for (p,) in await stored_parts(store, "payload")]
    assert payloads == [
        {"title": "T", "error": "E"},
        {"signature": "sig"},
        {"media_type": "image/png", "url": "https://example.com/a.png", "detail": "auto"},
        [1, {"a": None}],
        None,
    ]


@pytest.mark.parametrize("content", ["a\0b", "\0", "x\ud800y", "\udc00\0", "\ud83d\ude00"])
async def test_unstorable_text_has_a_stand_in(store: SQLSessionStore, content: str) -> None:
    """Text that a column can't hold has a readable stand-in there, and the payload holds it exactly."""
    parts: list[Part] = [
        TextPart(content=content),
        ReasoningPart(content=content),
        ToolResultPart(tool_call_id="c", tool_name="t", output=content),
    ]
    await save(store, *parts)
    stand_in = "".join(
        "\ufffd" if character == "\0" or "\ud800" <= character <= "\udfff" else character for character in content
    )
    found = await stored_parts(store, "text", "payload")
    assert [shown for shown, _ in found] == [stand_in] * 3
    assert all(payload is not None for _, payload in found)
    message = await store.get_message("s", "m")
    assert message is not None
    assert message.parts == parts


async def test_tokens_and_turns_are_columns(store: SQLSessionStore) -> None:
    """Roles, turns, models, states and recognised tokens are columns to sum and group by."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_message(user("s"))
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "other": 9}
    await store.save_message(Message(session_id="s", role="assistant", model="m", provider="p", usage=usage))
    query = (
        "SELECT seq, turn, role, status, model, provider, input_tokens, output_tokens, total_tokens "
        "FROM sessionstore_messages ORDER BY seq"
    )
    assert await rows(store, query) == [
        (1, 1, "user", "complete", None, None, 0, 0, 0),
        (2, 1, "assistant", "complete", "m", "p", 3, 4, 7),
    ]
    totals = "SELECT message_count, last_seq, turn_count, input_tokens, total_tokens FROM sessionstore_sessions"
    assert await rows(store, totals) == [(2, 2, 1, 3, 7)]


async def test_payloads_cast_to_jsonb(postgresql_url: str) -> None:
    """Ordinary payloads, metadata, usage and extras cast to jsonb on Postgres, and can be searched so."""
    async with SQLSessionStore.from_url(postgresql_url) as store:
        metadata = {"tag": "ü", "n": [1, -0.0, 1e300]}
        part = ToolCallPart(tool_call_id="c", tool_name="t", arguments=ARGUMENTS, metadata={"k": "v"})
        await save(store, part, RawPart(data="plain"), metadata=metadata, usage={"input_tokens": 1})
        query = "SELECT count(*) FROM sessionstore_parts WHERE payload::jsonb ->> 'path' = '/etc/hosts'"
        assert await rows(store, query) == [(1,)]
        query = "SELECT extra::jsonb #>> '{metadata,k}' FROM sessionstore_parts WHERE type = 'tool_call'"
        assert await rows(store, query) == [("v",)]
        query = "SELECT metadata::jsonb ->> 'tag', (usage::jsonb ->> 'input_tokens')::int FROM sessionstore_messages"
        assert await rows(store, query) == [("ü", 1)]


async def test_payloads_are_json_on_sqlite(sqlite_url: str) -> None:
    """SQLite's JSON functions read payloads."""
    async with SQLSessionStore.from_url(sqlite_url) as store:
        await save(store, ToolCallPart(tool_call_id="c", tool_name="t", arguments=ARGUMENTS))
        assert await rows(store, "SELECT json_extract(payload, '$.a.ü') FROM sessionstore_parts") == [("😀",)]


async def test_times_are_microseconds_utc(store: SQLSessionStore) -> None:
    """Times are timestamptz on Postgres and microseconds since 1970 on SQLite."""
    info = await store.create_session(SessionInfo(id="s"))
    ((created,),) = await rows(store, "SELECT created_at FROM sessionstore_sessions")
    if store.engine.dialect.name == "sqlite":
        assert created == round(info.time.created.timestamp() * 1_000_000)
    else:
        assert created == info.time.created
        assert created.utcoffset() is not None


async def test_long_call_ids_fit_the_index(store: SQLSessionStore) -> None:
    """Call ids of any length, and such that differ only at their end, are kept apart and exact."""
    ids = ["x" * 10_000 + "a", "x" * 10_000 + "b", "é" * 300, "a\0b", "a\ufffdb", "", "\ud800"]
    await save(store, *(ToolCallPart(tool_call_id=id_, tool_name="t", arguments={}) for id_ in ids))
    message = await store.get_message("s", "m")
    assert message is not None
    assert [call.tool_call_id for call in message.get_tool_calls()] == ids
    keys = [key for (key,) in await stored_parts(store, "tool_call_id")]
    assert len(set(keys)) == len(ids)
    assert all(len(key) <= 255 for key in keys)


async def test_deleting_leaves_no_row(store: SQLSessionStore) -> None:
    """Deleting a session leaves none of its rows in any table, on a connection without foreign keys too."""
    async with disposing(create_async_engine(store.engine.url)) as engine:  # SQLite's foreign keys are off here
        hosted = SQLSessionStore(engine)
        await filled_session(hosted, "gone")
        await filled_session(hosted, "kept")
        assert await hosted.delete_session("gone")
    for table in ("messages", "parts", "read_files", "summaries"):
        query = f"SELECT DISTINCT session_id FROM sessionstore_{table}"
        assert await rows(store, query) == [("kept",)], table
