"""OpenAI chat messages become typed parts and come out as they went in."""

import json
from typing import Any

import pytest

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
)
from sessionstore.errors import InvalidValue
from sessionstore.formats import FORMATS
from tests.formats.strategies import nested

parse, render = FORMATS["openai-chat"]

CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}


def parsed(*items: dict[str, Any]) -> list[Message]:
    """Parse the messages, and see that they come back exactly."""
    conversation = {"id": "c", "messages": list(items)}
    archive = parse(conversation)
    assert json.dumps(render(archive)) == json.dumps(conversation)
    return archive.messages


def only_part(item: dict[str, Any]) -> Any:
    [message] = parsed(item)
    [part] = message.parts
    return part


def rendered(*messages: Message) -> list[dict[str, Any]]:
    return render(SessionArchive(info=SessionInfo(id="c"), messages=list(messages)))["messages"]


def test_plain_messages_need_no_metadata() -> None:
    items = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "How is Oslo?"},
        CALLING,
        {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
        {"role": "assistant", "content": "Rainy."},
    ]
    messages = parsed(*items)
    assert [message.role for message in messages] == ["system", "developer", "user", "assistant", "tool", "assistant"]
    assert [part.type for message in messages for part in message.parts] == [
        "text",
        "text",
        "text",
        "tool_call",
        "tool_result",
        "text",
    ]
    assert not any(owner.metadata for message in messages for owner in (message, *message.parts))


def test_content_blocks_become_text_and_images() -> None:
    blocks = [
        {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"image_url": {"detail": "low", "url": "data:image/png;base64,aGk="}, "type": "image_url"},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        "stray",
    ]
    [message] = parsed({"role": "user", "content": blocks})
    text, linked, embedded, audio, stray = message.parts
    assert isinstance(text, TextPart)
    assert text.content == "What is this?"
    assert isinstance(linked, ImagePart)
    assert (linked.url, linked.data, linked.detail) == ("https://example.org/a.png", None, "auto")
    assert isinstance(embedded, ImagePart)
    assert (embedded.media_type, embedded.data, embedded.url, embedded.detail) == ("image/png", "aGk=", None, "low")
    assert isinstance(audio, RawPart)
    assert audio.data == blocks[3]
    assert isinstance(stray, RawPart)


@pytest.mark.parametrize("url", ["data:image/png;base64,a\nb", "data:,hello", "data:image/png;base64,"])
def test_a_data_url_that_is_no_clean_base64_stays_a_url(url: str) -> None:
    part = only_part({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})
    assert isinstance(part, ImagePart)
    assert part.url == url


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('{"a": 1}', {"a": 1}),
        ('{"a":1,"a":2}', {"a": 2}),
        ("", {}),
        ("{oops", {}),
        ("[1]", {}),
        (json.dumps({"deep": nested(500)}), {}),
    ],
)
def test_the_text_of_arguments_is_kept(text: str, arguments: dict[str, Any]) -> None:
    call = CALL | {"function": {"name": "get_weather", "arguments": text}}
    part = only_part(CALLING | {"tool_calls": [call]})
    assert isinstance(part, ToolCallPart)
    assert part.arguments == arguments


def test_a_call_of_another_kind_is_raw_and_stays_among_the_calls() -> None:
    custom = {"id": "call_2", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    [message] = parsed({"role": "assistant", "content": "Both.", "tool_calls": [custom, CALL]})
    assert [part.type for part in message.parts] == ["text", "raw", "tool_call"]


def test_a_result_is_named_after_the_latest_call_with_its_id() -> None:
    other = CALL | {"function": {"name": "get_time", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "x"}
    messages = parsed(CALLING, result, CALLING | {"tool_calls": [other]}, result, result | {"tool_call_id": "lost"})
    names = [part.tool_name for message in messages for part in message.get_tool_results()]
    assert names == ["get_weather", "get_time", ""]


def test_a_result_in_blocks_has_their_text() -> None:
    blocks = [{"type": "text", "text": "Rain"}, {"type": "text", "text": "12 °C"}]
    part = only_part({"role": "tool", "tool_call_id": "call_1", "content": blocks, "name": "get_weather"})
    assert isinstance(part, ToolResultPart)
    assert (part.output, part.tool_name) == ("Rain\n12 °C", "get_weather")


def test_one_message_may_answer_several_calls() -> None:
    [message] = parsed({"role": "tool", "content": "Rain", "tool_call_ids": ["call_1", "call_2"], "agent": "main"})
    results = message.get_tool_results()
    assert [(part.tool_call_id, part.output) for part in results] == [("call_1", "Rain"), ("call_2", "")]


@pytest.mark.parametrize(
    ("item", "role"),
    [
        ({}, "assistant"),
        ({"role": "critic", "content": "Hm."}, "assistant"),
        ({"role": "function", "name": "f", "content": "1"}, "tool"),
        ({"role": ["user"]}, "assistant"),
        ({"role": "user", "content": 5}, "user"),
        ({"role": "tool", "content": "whose?"}, "tool"),
    ],
)
def test_what_has_no_typed_form_is_one_raw_part(item: dict[str, Any], role: str) -> None:
    [message] = parsed(item)
    [part] = message.parts
    assert message.role == role
    assert isinstance(part, RawPart)
    assert part.data == item


def test_messages_that_we_would_join_stay_apart() -> None:
    """Calls in messages of their own, and results that come late, stay as they are told."""
    result = {"role": "tool", "tool_call_id": "call_1", "content": "Rain"}
    other = CALLING | {"tool_calls": [CALL | {"id": "call_2"}]}
    late = {"role": "user", "content": "And?"}
    messages = parsed(CALLING, other, late, result, result | {"tool_call_id": "call_2"})
    assert all(message.metadata for message in messages)


def test_the_old_function_call_is_kept_beside_the_text() -> None:
    function_call = {"name": "get_weather", "arguments": "{}"}
    [message] = parsed({"role": "assistant", "content": "Looking.", "function_call": function_call})
    assert message.get_text_content() == "Looking."


def test_what_was_edited_shows_and_the_rest_stays() -> None:
    first, calling, answer = parsed(
        {"content": "How is Oslo?", "role": "user", "name": "ada"},
        CALLING | {"content": "Looking.", "tool_calls": [CALL | {"function": {"arguments": "{ }", "name": "f"}}]},
        {"role": "assistant"},
    )
    first.parts = [TextPart(content="How is Bergen?")]
    calling.get_tool_calls()[0].arguments = {"city": "Bergen"}
    answer.add_text("Rainy.")
    assert json.dumps(rendered(first, calling, answer)) == json.dumps(
        [
            {"content": "How is Bergen?", "role": "user", "name": "ada"},
            CALLING
            | {
                "content": "Looking.",
                "tool_calls": [CALL | {"function": {"arguments": '{"city":"Bergen"}', "name": "f"}}],
            },
            {"role": "assistant", "content": "Rainy."},
        ]
    )


def test_a_result_added_to_a_users_message_is_not_lost() -> None:
    [message] = parsed({"role": "user", "content": "hi", "name": "ada"})
    message.add_tool_result("call_1", "get_weather", "Rain")
    assert rendered(message) == message.to_llm_messages()


def test_messages_from_elsewhere_are_written_as_for_a_model() -> None:
    message = Message(session_id="c", role="assistant")
    message.parts.append(ReasoningPart(content="Let me see."))
    message.add_text("Looking.")
    message.add_tool_call("call_1", "get_weather", {"city": "Oslo"})
    message.add_tool_result("call_1", "get_weather", "Rain")
    assert rendered(message) == message.to_llm_messages()


def test_what_the_chat_format_has_no_place_for_is_left_out() -> None:
    reasoning = Message(session_id="c", role="assistant", parts=[ReasoningPart(content="Hm.")])
    raw = Message(session_id="c", role="assistant", parts=[RawPart(data={"type": "web_search_call"})])
    chat = Message(session_id="c", role="user", parts=[RawPart(data={"role": "user", "content": "hi"})])
    odd = Message(session_id="c", role="user", parts=[TextPart(content="hi")], metadata={"openai_chat": "mine"})
    assert rendered(reasoning, raw, chat, odd) == [{"role": "user", "content": "hi"}] * 2


def test_other_keys_of_a_line_and_their_order_are_kept() -> None:
    conversation = {"meta": {"source": "test"}, "messages": [], "id": "c", "endpoint": "/chat"}
    archive = parse(conversation)
    assert archive.info.id == "c"
    assert json.dumps(render(archive)) == json.dumps(conversation)


@pytest.mark.parametrize("conversation", [{"messages": []}, {"id": None, "messages": []}])
def test_a_missing_id_is_generated_and_written(conversation: dict[str, Any]) -> None:
    archive = parse(conversation)
    assert render(archive) == {"id": archive.info.id, "messages": []}


@pytest.mark.parametrize(
    ("texts", "title"),
    [
        ([], "New Session"),
        (["  ", "How is\n Oslo?"], "How is Oslo?"),
        (["a\0b\ud800c\x1b[1m"], "a b c [1m"),
        (["word " * 50], "word " * 15 + "word…"),
    ],
)
def test_the_title_is_the_first_user_text(texts: list[str], title: str) -> None:
    items = [{"role": "system", "content": "Be brief."}, *({"role": "user", "content": text} for text in texts)]
    info = parse({"id": "c", "messages": items}).info
    assert info.title == title
    assert len(info.title) <= 80


@pytest.mark.parametrize(
    ("conversation", "place"),
    [
        ({"id": "c"}, "messages: is missing"),
        ({"id": "c", "messages": None}, "messages: is null, not a list"),
        ({"id": "c", "messages": [{}, []]}, r"messages\[1\]: is a list, not an object"),
        ({"id": "c", "messages": ["hi"]}, r"messages\[0\]: is text, not an object"),
        ({"id": 5, "messages": []}, "id: .* valid string"),
        ({"id": "", "messages": []}, "id: .* at least 1 "),
        ({"id": "a\0", "messages": []}, "id: .*NUL"),
        ({"id": "c", "messages": [{"deep": nested(500)}]}, r"messages\[0\].*deeper than 500"),
    ],
)
def test_bad_conversations_are_refused_with_the_place(conversation: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidValue, match=place):
        parse(conversation)


def test_values_as_deep_as_can_be_kept_come_back() -> None:
    part = only_part({"role": "user", "content": "hi", "extra": nested(499)})
    assert isinstance(part, RawPart)
