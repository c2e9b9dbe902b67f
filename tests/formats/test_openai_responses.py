"""Responses items become typed parts, can be edited, and tell what others wrote."""

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
    UnknownPart,
)
from sessionstore.formats import FORMATS
from sessionstore.formats.openai_responses import items_of_message, items_of_messages, message_of_item

parse, render = FORMATS["openai-responses"]

CALL = {
    "arguments": '{"city":"Oslo"}',
    "call_id": "call_1",
    "name": "get_weather",
    "type": "function_call",
    "id": "fc_1",
    "status": "completed",
}
OUTPUT = {"call_id": "call_1", "output": "Rain", "type": "function_call_output"}
ANSWER = {
    "id": "msg_1",
    "content": [{"annotations": [{"type": "url_citation", "url": "u"}], "text": "Rainy.", "type": "output_text"}],
    "role": "assistant",
    "status": "completed",
    "type": "message",
}


def read(item: dict[str, Any], **tools: str) -> Message:
    """Read the item, and see that it comes back exactly."""
    message = message_of_item(item, "s", tools)
    assert json.dumps(items_of_message(message)) == json.dumps([item])
    return message


def only_part(item: dict[str, Any], **tools: str) -> Any:
    [part] = read(item, **tools).parts
    return part


def written(role: Any, *parts: Any, **fields: Any) -> list[dict[str, Any]]:
    """Give the items of a message that another system wrote."""
    return items_of_message(Message(session_id="s", role=role, parts=list(parts), **fields))


def test_a_conversation_is_typed_and_comes_back() -> None:
    """An item is one message; what has a typed form gets it, and results are named after their calls."""
    items = [
        {"role": "user", "content": "How is Oslo?"},
        {"id": "rs_1", "summary": [], "type": "reasoning", "encrypted_content": "gAAAA"},
        CALL,
        OUTPUT,
        ANSWER,
    ]
    conversation = {"id": "c", "endpoint": "/v1/responses", "messages": items}
    archive = parse(conversation)
    assert json.dumps(render(archive)) == json.dumps(conversation)
    assert [message.role for message in archive.messages] == ["user", "assistant", "assistant", "tool", "assistant"]
    kinds = [part.type for message in archive.messages for part in message.parts]
    assert kinds == ["text", "reasoning", "tool_call", "tool_result", "text"]
    [result] = archive.messages[3].get_tool_results()
    assert (result.tool_call_id, result.tool_name, result.output) == ("call_1", "get_weather", "Rain")
    assert archive.info.title == "How is Oslo?"
    assert not archive.messages[0].metadata


def test_a_functions_arguments_are_a_dict() -> None:
    """Arguments are parsed when they are a JSON object; their text is kept only where it would change."""
    part = only_part(CALL)
    assert isinstance(part, ToolCallPart)
    assert (part.tool_call_id, part.tool_name, part.arguments) == ("call_1", "get_weather", {"city": "Oslo"})
    assert '"Oslo' not in json.dumps(read(CALL).metadata)
    spaced = read(CALL | {"arguments": '{"city": "Oslo"}'})
    assert spaced.get_tool_calls()[0].arguments == {"city": "Oslo"}
    assert json.dumps('{"city": "Oslo"}') in json.dumps(spaced.metadata)
    assert only_part(CALL | {"arguments": "[1]"}).arguments == {}


def test_content_blocks_are_text_images_and_raw() -> None:
    """Text, refusals and images are typed; a file or anything else is kept as it is among them."""
    blocks = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
        {"type": "input_image", "detail": "auto", "image_url": "https://example.org/a.png"},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "input_file", "file_data": "aGk=", "filename": "a.txt"},
        {"type": "refusal", "refusal": "No."},
    ]
    message = read({"role": "user", "content": blocks})
    assert [part.type for part in message.parts] == ["text", "image", "image", "raw", "raw", "text"]
    assert message.get_text_content() == "What is this?\nNo."
    embedded, linked = message.get_images()
    assert (embedded.media_type, embedded.data, embedded.detail) == ("image/png", "aGk=", "low")
    assert (linked.url, linked.detail) == ("https://example.org/a.png", "auto")


def test_output_blocks_have_their_text() -> None:
    """A tool's output in blocks is its text, a line each."""
    blocks = [{"type": "input_text", "text": "Rain"}, {"type": "input_image", "image_url": "u"}]
    part = only_part(OUTPUT | {"output": [*blocks, {"type": "input_text", "text": "12 °C"}]}, call_1="get_weather")
    assert isinstance(part, ToolResultPart)
    assert (part.output, part.tool_name) == ("Rain\n12 °C", "get_weather")


def test_a_custom_tools_input_is_an_argument() -> None:
    """A custom tool's call and output pair like a function's."""
    call = {"type": "custom_tool_call", "call_id": "call_2", "name": "sh", "input": "ls -l"}
    assert only_part(call).arguments == {"input": "ls -l"}
    assert only_part({"type": "custom_tool_call_output", "call_id": "call_2", "output": "a"}).output == "a"


def test_each_summary_of_reasoning_is_a_part() -> None:
    """Summaries, or else the reasoning's own text, are parts; the encrypted content signs the first."""
    summary = [{"text": "First.", "type": "summary_text"}, {"type": "summary_text", "text": "Then."}]
    item = {"id": "rs_1", "summary": summary, "type": "reasoning", "encrypted_content": "gAAAA", "status": None}
    parts = read(item).parts
    assert [(part.content, part.signature) for part in parts if isinstance(part, ReasoningPart)] == [
        ("First.", "gAAAA"),
        ("Then.", None),
    ]
    own = {"id": "rs_2", "summary": [], "type": "reasoning", "content": [{"text": "Hm.", "type": "reasoning_text"}]}
    assert only_part(own).content == "Hm."


@pytest.mark.parametrize(
    ("item", "role"),
    [
        ({"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}}, "assistant"),
        ({"type": "computer_call_output", "call_id": "c", "output": {}}, "tool"),
        ({"type": "compaction", "encrypted_content": "x"}, "assistant"),
        ({"type": "item_reference", "id": "msg_1"}, "assistant"),
        ({"type": "additional_tools", "role": "developer", "tools": []}, "developer"),
        ({"type": "hologram", "role": "user"}, "user"),
        ({"__enc__": 1, "payload": "x"}, "assistant"),
    ],
)
def test_other_items_are_kept_whole(item: dict[str, Any], role: str) -> None:
    """Hosted tools' calls and kinds not invented yet are one raw part; no open call comes of them."""
    message = read(item)
    [part] = message.parts
    assert isinstance(part, RawPart)
    assert (message.role, part.data) == (role, item)


def test_what_was_edited_shows_and_the_rest_stays() -> None:
    """Typed values are kept once: an edited one is written in the item's own form."""
    answer, call, output, thought = (
        read(ANSWER),
        read(CALL | {"arguments": '{"city": "Oslo"}'}),
        read(OUTPUT | {"output": [{"type": "input_text", "text": "Rain"}]}),
        read({"type": "reasoning", "id": "rs", "summary": [{"text": "Hm", "type": "summary_text"}]}),
    )
    answer.parts[0] = answer.parts[0].model_copy(update={"content": "Sunny."})
    call.get_tool_calls()[0].arguments = {"city": "Bergen"}
    output.get_tool_results()[0].error = "Offline"
    thought.parts[0] = thought.parts[0].model_copy(update={"content": "Aha"})
    [edited] = items_of_message(answer)
    assert edited == ANSWER | {"content": [ANSWER["content"][0] | {"text": "Sunny."}]}
    assert items_of_message(call) == [CALL | {"arguments": '{"city":"Bergen"}'}]
    assert items_of_message(output) == [OUTPUT | {"output": "Error: Offline\nRain"}]
    assert items_of_message(thought)[0]["summary"] == [{"text": "Aha", "type": "summary_text"}]


def test_text_that_is_added_is_a_block_of_its_speaker() -> None:
    """Text added to blocks is `output_text` of an assistant, and `input_text` of anyone else."""
    asked, answered = (
        read({"role": role, "content": [{"type": "input_text", "text": "Hi"}]}) for role in ("user", "assistant")
    )
    for message, kind in ((asked, "input_text"), (answered, "output_text")):
        message.add_text("Ho")
        [item] = items_of_message(message)
        assert item["content"] == [{"type": "input_text", "text": "Hi"}, {"type": kind, "text": "Ho"}]


def test_a_message_changed_to_several_items_is_written_as_those() -> None:
    """What no longer fits the item that it was made of is written as a message of others is."""
    answer, custom = (
        read(ANSWER),
        read({"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls"}),
    )
    answer.add_tool_call("call_1", "get_weather", {})
    assert [item.get("type") for item in items_of_message(answer)] == [None, "function_call"]
    custom.get_tool_calls()[0].arguments = {"input": "ls", "cwd": "/"}
    assert [item.get("type") for item in items_of_message(custom)] == ["function_call"]


def test_messages_of_others_are_written_as_input() -> None:
    """Text, images, calls and results become items in their order, errors told as such."""
    image = ImagePart(media_type="image/png", data="aGk=")
    text, call = TextPart(content="Hi"), ToolCallPart(tool_call_id="c", tool_name="f", arguments={"a": "é"})
    result = ToolResultPart(tool_call_id="c", tool_name="f", output="out", error="bad")
    picture = {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"}
    assert written("user", text) == [{"role": "user", "content": "Hi"}]
    assert written("user", text, image) == [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}, picture]},
    ]
    assert written("assistant", text, image, text) == [{"role": "assistant", "content": "Hi\nHi"}]
    assert written("assistant", text, call, result, text) == [
        {"role": "assistant", "content": "Hi"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":"é"}'},
        {"type": "function_call_output", "call_id": "c", "output": "Error: bad\nout"},
        {"role": "assistant", "content": "Hi"},
    ]
    assert written("tool", text) == [{"role": "user", "content": "Hi"}]


def test_what_the_api_has_no_place_for_is_left_out() -> None:
    """Reasoning and raw parts of others, an assistant's images and empty messages give no item."""
    assert written("assistant", ReasoningPart(content="Hm", signature="sig")) == []
    assert written("user", RawPart(data={"type": "web_search_call"}), UnknownPart(type="new")) == []
    assert written("assistant", ImagePart(media_type="image/*", url="u")) == []
    assert written("user") == []
    assert written("user", TextPart(content="Hi"), metadata={"openai_responses": "mine"}) != []


def test_a_custom_tools_call_is_answered_in_kind() -> None:
    """A result that another system wrote becomes the output that a custom tool's call wants."""
    messages = [
        read({"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls"}),
        Message(session_id="s", role="tool", parts=[ToolResultPart(tool_call_id="c", tool_name="sh", output="a")]),
        Message(session_id="s", role="tool", parts=[ToolResultPart(tool_call_id="d", tool_name="f", output="b")]),
    ]
    assert items_of_messages(messages)[1:] == [
        {"type": "custom_tool_call_output", "call_id": "c", "output": "a"},
        {"type": "function_call_output", "call_id": "d", "output": "b"},
    ]


def test_an_archive_of_others_is_a_conversation() -> None:
    """A session that was never imported exports with its id and items alone."""
    message = Message(session_id="s", role="user", parts=[TextPart(content="Hi")])
    archive = SessionArchive(info=SessionInfo(id="s"), messages=[message])
    assert render(archive) == {"id": "s", "messages": [{"role": "user", "content": "Hi"}]}
