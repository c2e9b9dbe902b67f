"""Whatever a provider's conversation looks like, it comes back as it went in."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import InvalidValue
from sessionstore.formats import FORMATS, NATIVE, parse_line, render_line
from sessionstore.formats.openai_responses import items_of_message, items_of_messages, message_of_item
from sessionstore.sql.prepared import prepare
from tests.formats.strategies import conversations, nested, objects, response_items

PROVIDERS = sorted(conversations)


@pytest.mark.parametrize("name", PROVIDERS)
@given(st.data())
def test_any_conversation_comes_back_exactly(name: str, data: st.DataObject) -> None:
    """Exporting to the format of the import gives the input, key order included, and so through the native one."""
    conversation = data.draw(conversations[name])
    archive = FORMATS[name].parse(conversation)
    text = json.dumps(conversation)
    assert json.dumps(FORMATS[name].render(archive)) == text
    assert json.dumps(FORMATS[name].render(parse_line(render_line(archive, NATIVE)))) == text


@pytest.mark.parametrize("name", PROVIDERS)
@given(st.data())
def test_each_message_is_one(name: str, data: st.DataObject) -> None:
    """No message of the conversation is left out, and none is made up."""
    conversation = data.draw(conversations[name])
    conversation.pop("system", None)
    assert len(FORMATS[name].parse(conversation).messages) == len(conversation["messages"])


@given(response_items)
def test_any_item_comes_back_exactly(item: dict[str, Any]) -> None:
    """An item's message gives the item, key order included, and what it keeps fits the database."""
    message = message_of_item(item, "s")
    assert json.dumps(items_of_message(message)) == json.dumps([item])


@given(st.lists(response_items, max_size=6))
def test_items_come_back_in_their_order(items: list[dict[str, Any]]) -> None:
    """Items that were read one by one come back so as a conversation too."""
    messages = [message_of_item(item, "s") for item in items]
    assert json.dumps(items_of_messages(messages)) == json.dumps(items)


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"type": None, "role": "user", "content": "hi"},
        {"type": ["message"]},
        {"type": "message", "role": "critic", "content": "hi"},
        {"type": "message", "role": "user", "content": 5},
        {"content": "hi", "role": "user"},
        {"role": "assistant"},
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": []},
        {"role": "user", "content": ["stray", None, {"type": "text"}]},
        {"role": "user", "content": [{"type": "refusal", "refusal": "no"}, {"type": "refusal", "text": "no"}]},
        {"type": "function_call", "call_id": "c", "name": "f"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": None},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": {"": None, "b": 1, "a": {}}},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": "\ud800"}'},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "no JSON \ud800"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": ' {"a": "\\ud800"}'},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1e-05,"b":1e16,"c":0.00001}'},
        {"type": "function_call", "call_id": None, "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": {"a": 1}},
        {"type": "function_call_output", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": {"type": "input_text", "text": "x"}},
        {"type": "function_call_output", "call_id": 5, "output": "x"},
        {"type": "reasoning", "encrypted_content": [None]},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]},
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": ""}],
            "content": [],
            "encrypted_content": "",
        },
        {"type": "reasoning", "summary": {"type": "summary_text"}},
    ],
)
def test_odd_items_come_back_exactly(item: dict[str, Any]) -> None:
    """Keys that are missing, null, reordered or of another type stay as they are."""
    assert json.dumps(items_of_message(message_of_item(item, "s"))) == json.dumps([item])


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text"},
        {"type": "text", "text": ""},
        {"text": "hi", "type": "text"},
        {"type": "text", "text": None},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk=", "url": [1]}},
        {"type": "image", "source": {"data": "aGk=", "media_type": "image/png", "type": "base64"}},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {"type": "tool_use", "id": "c", "name": "f"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"": None}},
        {"type": "tool_use", "id": "c", "name": "f", "input": '{"a": 1}'},
        {"type": "thinking", "thinking": "Hm", "signature": 5},
        {"type": "thinking", "thinking": "Hm", "signature": None},
        {"type": "thinking", "thinking": "Hm"},
        ["stray"],
    ],
)
def test_odd_blocks_come_back_exactly(block: Any) -> None:
    """Anthropic's blocks stay as they are, whichever keys they have."""
    conversation = {"id": "c", "messages": [{"role": "assistant", "content": [block, {"type": "text", "text": "hi"}]}]}
    archive = FORMATS["anthropic"].parse(conversation)
    assert archive.messages[0].get_text_content().endswith("hi")
    assert json.dumps(FORMATS["anthropic"].render(archive)) == json.dumps(conversation)


@pytest.mark.parametrize("depth", [490, 496, 497, 498, 499])
@pytest.mark.parametrize("kind", ["message", "function_call_output", "reasoning", "web_search_call"])
def test_items_as_deep_as_can_be_kept_come_back(kind: str, depth: int) -> None:
    """What an item wraps may be as deep as the item itself can be kept: the wrapping takes nothing of it."""
    item = {"type": kind, "role": "user", "call_id": "c", "content": [{"type": "input_text", "text": "hi"}]}
    item |= {"extra": nested(depth)}
    item |= {"summary": [{"type": "summary_text", "text": "hi", "extra": nested(depth - 2)}]}
    message = message_of_item(item, "s")
    prepare(message)
    assert json.dumps(items_of_message(message)) == json.dumps([item])
    archive = FORMATS["openai-responses"].parse({"id": "c", "messages": [item]})
    assert json.dumps(FORMATS["openai-responses"].render(archive)["messages"]) == json.dumps([item])


@pytest.mark.parametrize("bad", [b"bytes", {1}, {1: "a"}, ("a",), nested(600)])
@pytest.mark.parametrize("key", ["content", "arguments", "output", "summary", "extra"])
@pytest.mark.parametrize("kind", ["message", "function_call", "function_call_output", "reasoning", "compaction"])
def test_what_json_cannot_hold_is_refused_when_saved(kind: str, key: str, bad: Any) -> None:
    """An item that JSON can't hold has a message, and that is `InvalidValue` before anything is written."""
    item = {"type": kind, "role": "user", "call_id": "c", "name": "f", key: bad}
    with pytest.raises(InvalidValue):
        prepare(message_of_item(item, "s"))


def test_custom_outputs_stay_what_they_are() -> None:
    """An output of another kind than its call stays so when both were read."""
    items = [
        {"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls"},
        {"type": "function_call_output", "call_id": "c", "output": "a.txt"},
    ]
    assert items_of_messages([message_of_item(item, "s") for item in items]) == items


@given(objects)
def test_extra_keys_of_a_conversation_come_back(extra: dict[str, Any]) -> None:
    """What stands beside the messages is kept, in its place."""
    for name in PROVIDERS:
        conversation = extra | {"messages": [], "id": "c"}
        assert json.dumps(FORMATS[name].render(FORMATS[name].parse(conversation))) == json.dumps(conversation)
