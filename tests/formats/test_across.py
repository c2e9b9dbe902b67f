"""What one system wrote is exported for every other, whatever it is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore import (
    ImagePart,
    Message,
    RawPart,
    ReasoningPart,
    SessionArchive,
    SessionInfo,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
)
from sessionstore.formats import FORMATS, NATIVE, render_line
from tests.formats.strategies import call_ids, conversations, json_values, objects, texts

PROVIDERS = sorted(conversations)
KEYS = {"openai-chat": "openai_chat", "openai-responses": "openai_responses", "anthropic": "anthropic"}
forms = st.dictionaries(
    st.sampled_from(sorted(KEYS.values())),
    json_values
    | st.dictionaries(
        st.sampled_from(["type", "role", "content", "function", "image_url", "source", "arguments", "input", "output"]),
        json_values | st.sampled_from(["message", "function_call", "custom_tool_call", "reasoning", "refusal"]),
    ),
    max_size=3,
)
parts = st.lists(
    st.one_of(
        st.builds(TextPart, content=texts, metadata=forms),
        st.builds(ImagePart, media_type=texts, data=texts, metadata=forms),
        st.builds(ImagePart, media_type=texts, url=texts, metadata=forms),
        st.builds(ToolCallPart, tool_call_id=call_ids, tool_name=texts, arguments=objects, metadata=forms),
        st.builds(
            ToolResultPart,
            tool_call_id=call_ids,
            tool_name=texts,
            output=texts,
            error=st.none() | texts,
            metadata=forms,
        ),
        st.builds(ReasoningPart, content=texts, signature=st.none() | texts, metadata=forms),
        st.builds(RawPart, data=json_values, metadata=forms),
        st.builds(UnknownPart, type=st.just("new"), data=json_values, metadata=forms),
    ),
    max_size=4,
)
messages = st.builds(
    Message,
    session_id=st.just("s"),
    role=st.sampled_from(["user", "assistant", "system", "developer", "tool"]),
    parts=parts,
    metadata=forms,
)


def conversation_of_two_calls(name: str) -> dict[str, Any]:
    """Give the same conversation as each provider tells it: two parallel calls, one of which fails."""
    ask, text = {"role": "user", "content": "Go"}, "Done."
    if name == "anthropic":
        use = [{"type": "tool_use", "id": id_, "name": f"f_{id_}", "input": {"n": 1}} for id_ in ("a", "b")]
        results = [
            {"type": "tool_result", "tool_use_id": "a", "content": "out"},
            {"type": "tool_result", "tool_use_id": "b", "content": "bad", "is_error": True},
        ]
        messages = [ask, {"role": "assistant", "content": use}, {"role": "user", "content": results}]
    elif name == "openai-chat":
        calls = [
            {"id": id_, "type": "function", "function": {"name": f"f_{id_}", "arguments": '{"n":1}'}}
            for id_ in ("a", "b")
        ]
        messages = [
            ask,
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "a", "content": "out"},
            {"role": "tool", "tool_call_id": "b", "content": "Error: bad\n"},
        ]
    else:
        messages = [
            ask,
            *(
                {"type": "function_call", "call_id": id_, "name": f"f_{id_}", "arguments": '{"n":1}'}
                for id_ in ("a", "b")
            ),
            {"type": "function_call_output", "call_id": "a", "output": "out"},
            {"type": "function_call_output", "call_id": "b", "output": "Error: bad\n"},
        ]
    return {"id": "c", "messages": [*messages, {"role": "assistant", "content": text}]}


@pytest.mark.parametrize("target", PROVIDERS)
@pytest.mark.parametrize("source", PROVIDERS)
def test_tool_calls_stay_paired_from_each_to_each(source: str, target: str) -> None:
    """Parallel calls and their results are told in every format as that format tells them."""
    exported = FORMATS[target].render(FORMATS[source].parse(conversation_of_two_calls(source)))
    expected = conversation_of_two_calls(target)
    if "anthropic" == target != source:  # the others have no flag for a failure, only its text
        expected["messages"][2]["content"][1] = {"type": "tool_result", "tool_use_id": "b", "content": "Error: bad\n"}
    assert exported == expected


@pytest.mark.parametrize("name", sorted(FORMATS))
@given(st.lists(messages, max_size=5), forms)
def test_any_message_is_exported_to_any_format(name: str, given: list[Message], metadata: dict[str, Any]) -> None:
    """No message breaks an export, whoever wrote it, and whatever stands in its metadata."""
    archive = SessionArchive(info=SessionInfo(id="s", metadata=metadata), messages=given)
    json.loads(render_line(archive, name))


@pytest.mark.parametrize("source", PROVIDERS)
@given(st.data())
def test_what_is_exported_elsewhere_is_read_there(source: str, data: st.DataObject) -> None:
    """A conversation of one provider, exported for another, is one of that: it comes back exactly from there."""
    archive = FORMATS[source].parse(data.draw(conversations[source]))
    for name in PROVIDERS:
        exported = json.loads(render_line(archive, name))
        again = FORMATS[name].render(FORMATS[name].parse({"id": "s", **exported}))
        assert json.dumps(again) == json.dumps({"id": "s", **exported})


@pytest.mark.parametrize("name", PROVIDERS)
@given(st.lists(messages, max_size=5))
def test_no_text_and_no_call_is_lost(name: str, given: list[Message]) -> None:
    """Every text, call and result of messages without a provider's form is in every export."""
    marked = "text 7e1d"
    for index, message in enumerate(given):
        message.metadata = {}
        for part in message.parts:
            part.metadata = {}
        message.parts = [part for part in message.parts if not isinstance(part, TextPart)]
        message.parts.append(TextPart(content=f"{marked} {index}"))
    archive = SessionArchive(info=SessionInfo(id="s"), messages=given)
    exported = FORMATS[name].parse(FORMATS[name].render(archive)).messages
    found = "\n".join(message.get_text_content() for message in exported)
    assert found.count(marked) == len(given)
    for kind in (ToolCallPart, ToolResultPart):
        before, after = (
            sorted(part.tool_call_id for message in side for part in message.parts if isinstance(part, kind))
            for side in (given, exported)
        )
        assert after == before


def test_the_chat_format_joins_what_others_cut_apart() -> None:
    """An answer's text and parallel calls share a message, with the results behind it; texts alone don't."""
    call_a, call_b = (ToolCallPart(tool_call_id=id_, tool_name="f", arguments={}) for id_ in ("a", "b"))
    result_a, result_b = (ToolResultPart(tool_call_id=id_, tool_name="f", output=id_) for id_ in ("a", "b"))
    given = [
        Message(session_id="s", role=role, parts=[part])
        for role, part in (
            ("assistant", TextPart(content="One.")),
            ("assistant", TextPart(content="Two.")),
            ("assistant", call_a),
            ("assistant", call_b),
            ("user", TextPart(content="Meanwhile")),
            ("tool", result_b),
            ("tool", result_a),
        )
    ]
    exported = FORMATS["openai-chat"].render(SessionArchive(info=SessionInfo(id="s"), messages=given))["messages"]
    assert [message["role"] for message in exported] == ["assistant", "assistant", "tool", "tool", "user"]
    assert exported[1]["content"] == "Two."
    assert [call["id"] for call in exported[1]["tool_calls"]] == ["a", "b"]
    assert [message["tool_call_id"] for message in exported[2:4]] == ["b", "a"]


def test_raw_parts_are_written_only_where_they_came_from() -> None:
    """An item or block that is kept as it is stays out of the other formats, also if it looks like theirs."""
    items = [{"type": "additional_tools", "role": "developer", "tools": []}, {"role": "user", "content": 5}]
    archive = FORMATS["openai-responses"].parse({"id": "c", "messages": items})
    assert [FORMATS[name].render(archive)["messages"] for name in PROVIDERS] == [[], [], items]


def test_a_repeated_call_id_is_answered_by_the_latest() -> None:
    """A result goes behind the latest call with its id that has none, and stays where its call was read in place."""
    call = ToolCallPart(tool_call_id="a", tool_name="f", arguments={})
    given = [
        Message(session_id="s", role="assistant", parts=[call]),
        Message(session_id="s", role="user", parts=[TextPart(content="Hm")]),
        Message(session_id="s", role="assistant", parts=[call]),
        Message(session_id="s", role="user", parts=[TextPart(content="Hm")]),
        Message(session_id="s", role="tool", parts=[ToolResultPart(tool_call_id="a", tool_name="f", output="2")]),
        Message(session_id="s", role="tool", parts=[ToolResultPart(tool_call_id="a", tool_name="f", output="1")]),
    ]
    exported = FORMATS["openai-chat"].render(SessionArchive(info=SessionInfo(id="s"), messages=given))["messages"]
    assert [(message["role"], message["content"]) for message in exported] == [
        ("assistant", None),
        ("tool", "1"),
        ("user", "Hm"),
        ("assistant", None),
        ("tool", "2"),
        ("user", "Hm"),
    ]


def test_a_conversation_that_another_system_continues_keeps_its_messages() -> None:
    """What was read stays as it is, between messages of others; their results of its calls come where they are."""
    use = {"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": "x"}
    read = [{"role": "user", "content": "Go"}, {"role": "assistant", "content": [use], "stop_reason": "tool_use"}]
    archive = FORMATS["anthropic"].parse({"id": "s", "messages": read})
    archive.messages += [
        Message(session_id="s", role="assistant", parts=[ToolCallPart(tool_call_id="b", tool_name="f", arguments={})]),
        Message(session_id="s", role="user", parts=[TextPart(content="Meanwhile")]),
        Message(session_id="s", role="tool", parts=[ToolResultPart(tool_call_id="a", tool_name="f", output="1")]),
        Message(session_id="s", role="tool", parts=[ToolResultPart(tool_call_id="b", tool_name="f", output="2")]),
    ]
    before = archive.model_copy(deep=True)
    result = {"type": "tool_result", "tool_use_id": "a", "content": "1"}
    assert FORMATS["anthropic"].render(archive)["messages"] == [
        *read,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "b", "name": "f", "input": {}}]},
        {"role": "user", "content": [result | {"tool_use_id": "b", "content": "2"}]},
        {"role": "user", "content": "Meanwhile"},
        {"role": "user", "content": [result]},
    ]
    assert archive == before


def test_the_native_format_is_among_them() -> None:
    assert set(FORMATS) == {*PROVIDERS, NATIVE}
