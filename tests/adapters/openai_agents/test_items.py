"""Items come back as they were added, in their order, and are stored as parts that can be asked for."""

import json
from typing import Any

import pytest
from agents.items import TResponseInputItem
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseOutputMessage, ResponseOutputText
from sqlalchemy import text

from sessionstore import Message, RawPart, ReasoningPart, SQLSessionStore, TextPart, ToolCallPart
from sessionstore.adapters.openai_agents import SQLSession
from sessionstore.errors import InvalidValue, StoreUnavailable
from tests import databases
from tests.formats import strategies

from .build import EVERY_KIND, again, texts


def exactly(items: list[Any]) -> list[str]:
    """Return what tells items apart that are equal but for their keys' order, or to Python."""
    return [json.dumps(item) for item in items]


async def test_every_kind_comes_back_exactly(session: SQLSession, store: SQLSessionStore) -> None:
    """Also in another process, one by one from the end, and whatever was added at once."""
    await session.add_items(EVERY_KIND[:3])
    await session.add_items(EVERY_KIND[3:])
    for reader in (session, again(store)):
        assert exactly(await reader.get_items()) == exactly(EVERY_KIND)
        for size in (1, 3, len(EVERY_KIND), 100):
            assert exactly(await reader.get_items(size)) == exactly(EVERY_KIND[-size:])
    popped = [await session.pop_item() for _ in EVERY_KIND]
    assert exactly(popped[::-1]) == exactly(EVERY_KIND)
    assert await session.pop_item() is None
    assert await session.get_items() == []


@given(items=st.lists(strategies.response_items, max_size=4))
def test_whatever_looks_like_an_item_comes_back_exactly(items: list[Any]) -> None:
    """Whatever its keys hold."""

    async def added_and_read() -> None:
        session = SQLSession.from_url("s", url="sqlite+aiosqlite://", create_tables=True)
        await session.add_items(items)
        assert exactly(await session.get_items()) == exactly(items)
        await session.close()

    databases.run(added_and_read())


async def test_usual_kinds_are_typed_parts(session: SQLSession, store: SQLSessionStore) -> None:
    """An item is a message: text, tools' names and call ids can be queried, what has no part of its own is raw."""
    await session.add_items(EVERY_KIND)
    messages = await store.get_messages("s")
    assert len(messages) == len(EVERY_KIND) == len({message.id for message in messages})
    assert [message.role for message in messages[:8]] == [
        *("user", "user", "developer", "user"),
        *("assistant", "assistant", "assistant", "tool"),
    ]
    assert messages[5].get_text_content() == "No."
    assert [type(part) for part in messages[4].parts] == [ReasoningPart]
    [call], [refused] = messages[6].get_tool_calls(), messages[8].get_tool_calls()
    assert (call.tool_name, call.tool_call_id, call.arguments) == ("weather", "call_1", {"city": "Oslo"})
    assert refused.arguments == {}
    assert [message.get_tool_results()[0].tool_name for message in messages[7:12:2]] == ["weather", "weather", "shell"]
    assert [type(part) for message in messages[12:17] for part in message.parts] == [RawPart] * 5
    query = "SELECT tool_call_id FROM sessionstore_parts WHERE type = 'tool_call' AND tool_name = 'weather' ORDER BY 1"
    async with store.engine.connect() as connection:
        assert [row[0] for row in await connection.execute(text(query))] == ["call_1", "call_2"]


async def test_an_output_that_comes_later_has_its_tools_name(session: SQLSession, store: SQLSessionStore) -> None:
    """The call was added before, by the same object."""
    await session.add_items(EVERY_KIND[6:7])
    await session.add_items(EVERY_KIND[7:8])
    assert [result.tool_name for m in await store.get_messages("s") for result in m.get_tool_results()] == ["weather"]


async def test_an_output_that_could_not_be_added_has_its_tools_name_the_next_time(
    session: SQLSession, store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed is forgotten with it, and not before."""

    async def failing(*_: Any) -> None:
        raise StoreUnavailable

    await session.add_items(EVERY_KIND[6:7])
    with monkeypatch.context() as patch:
        patch.setattr(SQLSessionStore, "save_messages_anyway", failing)
        with pytest.raises(StoreUnavailable):
            await session.add_items(EVERY_KIND[7:8])
    await session.add_items(EVERY_KIND[7:8])
    assert [result.tool_name for m in await store.get_messages("s") for result in m.get_tool_results()] == ["weather"]


async def test_models_are_items_as_the_sdk_makes_them(session: SQLSession) -> None:
    """A model's output may be added as it is."""
    block = ResponseOutputText(type="output_text", text="hi", annotations=[])
    output: Any = ResponseOutputMessage(id="m", type="message", role="assistant", status="completed", content=[block])
    await session.add_items([output])
    assert await session.get_items() == [output.model_dump(exclude_unset=True)]


@pytest.mark.parametrize("bad", [b"bytes", {1: "a key"}, {"a", "set"}, (1, 2), float, strategies.nested(501)])
async def test_what_json_cannot_hold_is_refused(session: SQLSession, store: SQLSessionStore, bad: Any) -> None:
    """By its place in the items. Nothing of its batch is stored, not even the session."""
    item: Any = {"role": "user", "content": [{"type": "input_text", "text": "a", "more": bad}]}
    with pytest.raises(InvalidValue, match=r"^items\[1\]\['content'\]\[0\]\['more'\]"):
        await session.add_items([*texts("before"), item])
    assert await store.get_session("s") is None


async def test_what_is_no_object_is_refused(session: SQLSession) -> None:
    """The item is named."""
    item: Any = "just text"
    with pytest.raises(InvalidValue, match=r"items\[1\]: is str, not a dict"):
        await session.add_items([*texts("a"), item])


async def test_nothing_added_is_nothing_written(session: SQLSession, store: SQLSessionStore) -> None:
    """Not even the session."""
    await session.add_items([])
    assert await store.get_session("s") is None


def foreign() -> Message:
    """Return a message that holds four items, and ends with what none can tell."""
    message = Message(session_id="s", role="assistant", model="m", usage={"input_tokens": 3})
    message.parts = [
        TextPart(content="Let me see."),
        ToolCallPart(tool_call_id="c1", tool_name="look", arguments={"at": "sky"}),
        ToolCallPart(tool_call_id="c2", tool_name="look", arguments={}),
        TextPart(content="So"),
        TextPart(content=""),
        TextPart(content="it is."),
        ReasoningPart(content="of another system"),
    ]
    return message


FOREIGN: list[TResponseInputItem] = [
    {"role": "assistant", "content": "Let me see."},
    {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at":"sky"}'},
    {"type": "function_call", "call_id": "c2", "name": "look", "arguments": "{}"},
    {"role": "assistant", "content": "So\nit is."},
]


async def test_messages_of_others_come_out_as_items(session: SQLSession, store: SQLSessionStore) -> None:
    """Limits and pops count items, also where a message is several, or none."""
    await session.add_items(texts("a"))
    await store.save_message(foreign())
    mute = [Message(session_id="s", role="assistant", parts=[ReasoningPart(content="hm")]) for _ in range(3)]
    await store.save_messages(mute)
    items = [*texts("a"), *FOREIGN]
    assert await session.get_items() == items
    for size in range(1, 7):
        assert await session.get_items(size) == items[-size:]
    for size in range(len(items), 0, -1):
        assert await session.pop_item() == items[size - 1]
        assert await session.get_items() == items[: size - 1]
    assert await session.pop_item() is None
    assert (await store.get_messages("s")) == []


async def test_what_is_left_of_a_popped_message_is_the_message(session: SQLSession, store: SQLSessionStore) -> None:
    """Its id, place, model and usage stay."""
    await session.add_items(texts("a"))
    before = await store.save_message(foreign())
    assert await session.pop_item() == FOREIGN[-1]
    after = (await store.get_messages("s"))[-1]
    assert after.model_copy(update={"parts": before.parts}) == before
    assert after.parts == before.parts[:3]
