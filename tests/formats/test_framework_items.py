"""Whatever a framework's messages look like, they come back as they went in, and those of others as its own."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore import ImagePart, Message, RawPart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart, UnknownPart
from sessionstore.formats import langchain, pydantic_ai
from sessionstore.sql.prepared import prepare
from tests.formats import framework_items
from tests.formats.strategies import call_ids, json_values, nested, objects, texts


class Codec(NamedTuple):
    items: st.SearchStrategy[dict[str, Any]]
    read: Callable[[list[dict[str, Any]], str], list[Message]]
    write: Callable[[list[Message]], list[Any]]


CODECS = {
    "pydantic_ai": Codec(framework_items.model_messages, pydantic_ai.messages_of_items, pydantic_ai.items_of_messages),
    "langchain": Codec(framework_items.langchain_messages, langchain.messages_of_items, langchain.items_of_messages),
}
forms = st.dictionaries(
    st.sampled_from(sorted(CODECS)),
    json_values
    | st.dictionaries(
        st.sampled_from(["request", "response", "part", "data", "type", "parts", "kind", "content", "tool_calls"]),
        json_values
        | st.dictionaries(st.sampled_from(["part_kind", "content", "parts"]), json_values | st.just("user-prompt"))
        | st.sampled_from(["human", "ai", "tool"]),
    ),
    max_size=2,
)
parts = st.lists(
    st.one_of(
        st.builds(TextPart, content=texts, metadata=forms),
        st.builds(ImagePart, media_type=texts, data=texts, metadata=forms),
        st.builds(ImagePart, media_type=texts, url=texts, metadata=forms),
        st.builds(ToolCallPart, tool_call_id=call_ids, tool_name=texts, arguments=objects, metadata=forms),
        st.builds(ToolResultPart, tool_call_id=call_ids, tool_name=texts, output=texts, error=st.none() | texts),
        st.builds(ReasoningPart, content=texts, signature=st.none() | texts, metadata=forms),
        st.builds(RawPart, data=json_values, metadata=forms),
        st.builds(UnknownPart, type=st.just("new"), data=json_values, metadata=forms),
    ),
    max_size=3,
)
messages = st.builds(
    Message,
    session_id=st.just("s"),
    role=st.sampled_from(["user", "assistant", "system", "developer", "tool"]),
    parts=parts,
    metadata=forms,
)


@pytest.mark.parametrize("name", CODECS)
@given(st.data())
def test_any_items_come_back_exactly(name: str, data: st.DataObject) -> None:
    """Key order included, in their order, and also with messages of others before, between and behind them."""
    codec = CODECS[name]
    items = data.draw(st.lists(codec.items, max_size=4))
    read = codec.read(items, "s")
    for message in read:
        prepare(message, "message")
    assert [json.dumps(told.item) for told in codec.write(read)] == [json.dumps(item) for item in items]


@pytest.mark.parametrize("name", CODECS)
@given(st.data())
def test_others_may_write_behind(name: str, data: st.DataObject) -> None:
    codec, foreign = CODECS[name], Message(session_id="s", role="user", parts=[TextPart(content="x")])
    first, second = (data.draw(st.lists(codec.items, max_size=2)) for _ in range(2))
    told = codec.write([*codec.read(first, "s"), foreign, *codec.read(second, "s")])
    expected = [json.dumps(item) for item in (*first, *second)]
    written = [json.dumps(entry.item) for entry in told]
    del written[len(first)]
    assert written == expected


@pytest.mark.parametrize("name", CODECS)
@given(st.lists(messages, max_size=4))
def test_any_message_is_told(name: str, given: list[Message]) -> None:
    """No message breaks a framework's history, whoever wrote it, and whatever stands in its metadata."""
    for told in CODECS[name].write(given):
        assert isinstance(told.item, dict)


@pytest.mark.parametrize("name", CODECS)
def test_the_deepest_are_kept_whole(name: str) -> None:
    """A value as deep as can be kept is kept, although a form would wrap it once more."""
    codec = CODECS[name]
    for item in (
        {"kind": "response", "parts": [], "metadata": nested(499)},
        {"kind": "request", "parts": [{"part_kind": "tool-return", "tool_name": "f", "tool_call_id": "c", "content": [
            {"kind": "binary"}, nested(496)]}]},
        {"type": "tool", "data": {"tool_call_id": "c", "content": "x", "artifact": nested(498)}},
    ):  # fmt: skip
        (message, *more) = codec.read([item], "s")
        assert more == []
        prepare(message, "message")
        assert [told.item for told in codec.write([message])] == [item]
