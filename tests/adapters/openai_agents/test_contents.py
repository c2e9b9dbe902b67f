"""Items that are read past the models are those that the models would give, or the row is named that can't be read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore import (
    ImagePart,
    Message,
    Part,
    RawPart,
    ReasoningPart,
    SQLSessionStore,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
)
from sessionstore.adapters.openai_agents import SQLSession
from sessionstore.formats.openai_responses import items_of_messages, message_of_item
from sessionstore.models.message import Role
from sessionstore.testing.strategies import json_objects, on_one_store, texts
from tests.formats import strategies
from tests.sql.test_corrupt import assert_corrupt, four_messages, run

from .test_items import exactly

_call_ids = st.sampled_from(["c1", "c2", "é\0", "\ud800"])
_metadata = st.just({}) | st.just({"mine": 1}) | st.just({"unparsed_arguments": "{oops"})
_parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(TextPart, content=texts, metadata=_metadata),
    st.builds(ToolCallPart, tool_call_id=_call_ids, tool_name=texts, arguments=json_objects, metadata=_metadata),
    st.builds(
        ToolResultPart,
        tool_call_id=_call_ids,
        tool_name=texts,
        output=texts,
        title=st.just("") | texts,
        error=st.none() | texts,
    ),
    st.builds(ReasoningPart, content=texts, signature=st.none() | texts),
    st.builds(ImagePart, media_type=st.just("image/png"), data=st.just("aGk=")),
    st.builds(RawPart, data=json_objects),
    st.just(UnknownPart(type="hologram", text="hi")),
)
_roles: st.SearchStrategy[Role] = st.sampled_from(["user", "assistant", "system", "developer", "tool"])
_messages = st.one_of(
    st.builds(
        Message,
        session_id=st.just("s"),
        role=_roles,
        parts=st.lists(_parts, max_size=4),
        metadata=st.sampled_from(
            [{}, {}, {"mine": "x"}, {"openai_responses": True}, {"openai_responses": {"type": "?"}}]
        ),
    ),
    st.builds(message_of_item, strategies.response_items, st.just("s")),
)


@on_one_store
@given(messages=st.lists(_messages, max_size=6))
async def test_the_same_as_of_models(store: SQLSessionStore, messages: list[Message]) -> None:
    """Whoever wrote the messages, and whatever they hold."""
    await store.delete_session("s")
    await store.save_messages_anyway(messages)
    found = await SQLSession("s", store=store).get_items()
    assert exactly(found) == exactly(items_of_messages(await store.get_messages("s")))
    for limit in (1, 3):
        assert exactly(await SQLSession("s", store=store).get_items(limit)) == exactly(found[-limit:])


async def test_a_custom_tools_output(session: SQLSession, store: SQLSessionStore) -> None:
    """What another system answers to a custom tool's call is an output of that kind, in a long session too."""
    await session.add_items([{"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls", "id": "i"}])
    result = ToolResultPart(tool_call_id="c", tool_name="sh", output="a.txt")
    await store.save_message(Message(session_id="s", role="tool", parts=[result]))
    assert [item.get("type") for item in await session.get_items()] == ["custom_tool_call", "custom_tool_call_output"]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("sessionstore_messages SET metadata = '{' WHERE seq = 2", ("s", 2)),
        ("sessionstore_messages SET metadata = '[1]' WHERE seq = 2", ("s", 2)),
        ("sessionstore_messages SET role = 'nobody' WHERE seq = 2", ("s", 2)),
        ("sessionstore_parts SET payload = '{' WHERE message_seq = 2 AND position = 1", ("s", 2, 1)),
        ("sessionstore_parts SET payload = '[1]' WHERE message_seq = 2 AND position = 1", ("s", 2, 1)),
        ("sessionstore_parts SET payload = NULL WHERE message_seq = 2 AND position = 1", ("s", 2, 1)),
        ("sessionstore_parts SET extra = '5' WHERE message_seq = 1", ("s", 1, 0)),
        ("sessionstore_parts SET tool_name = NULL WHERE message_seq = 3", ("s", 3, 0)),
    ],
)
async def test_bad_rows(store: SQLSessionStore, change: str, key: tuple[Any, ...]) -> None:
    """A row that no version of ours wrote is named."""
    await four_messages(store)
    await run(store, f"UPDATE {change}")
    await assert_corrupt(SQLSession("s", store=store).get_items(), change.partition(" ")[0], key)


@pytest.mark.parametrize("change", ["text = x'00ff'", "position = 'first'"])
async def test_bad_rows_that_only_sqlite_has(sqlite_url: str, change: str) -> None:
    """There anything goes into a column."""
    async with SQLSessionStore.from_url(sqlite_url) as store:
        await four_messages(store)
        await run(store, f"UPDATE sessionstore_parts SET {change} WHERE message_seq = 1")
        place = "first" if change.startswith("position") else 0
        await assert_corrupt(SQLSession("s", store=store).get_items(), "sessionstore_parts", ("s", 1, place))
