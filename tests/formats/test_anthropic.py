"""Anthropic messages become typed parts, can be edited, and tell what others wrote."""

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
from sessionstore.errors import InvalidValue
from sessionstore.formats import FORMATS
from sessionstore.formats.openai_responses import message_of_item
from tests.formats.strategies import nested

parse, render = FORMATS["anthropic"]

USE = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Rain"}


def parsed(*items: dict[str, Any], **fields: Any) -> SessionArchive:
    """Parse the conversation, and see that it comes back exactly."""
    conversation = {"id": "c", **fields, "messages": list(items)}
    archive = parse(conversation)
    assert json.dumps(render(archive)) == json.dumps(conversation)
    return archive


def parts_of(role: str, *blocks: Any) -> list[Any]:
    return parsed({"role": role, "content": list(blocks)}).messages[0].parts


def rendered(*messages: Message) -> dict[str, Any]:
    return render(SessionArchive(info=SessionInfo(id="c"), messages=list(messages)))


def message(role: Any, *parts: Any, **fields: Any) -> Message:
    return Message(session_id="c", role=role, parts=list(parts), **fields)


def call(id: str) -> ToolCallPart:
    return ToolCallPart(tool_call_id=id, tool_name="f", arguments={"n": id})


def result(id: str, **fields: Any) -> ToolResultPart:
    return ToolResultPart(tool_call_id=id, tool_name="f", **{"output": f"out {id}", **fields})


def test_a_conversation_is_typed_and_comes_back() -> None:
    """A message is one message; a result is named after its call, and starts no turn."""
    archive = parsed(
        {"role": "user", "content": "How is Oslo?"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm", "signature": "sig"}, USE]},
        {"role": "user", "content": [RESULT]},
        {"role": "assistant", "content": "Rainy."},
    )
    question, calling, answering, _ = archive.messages
    assert not question.metadata
    thought, use = calling.parts
    assert isinstance(thought, ReasoningPart)
    assert (thought.content, thought.signature) == ("Hm", "sig")
    assert isinstance(use, ToolCallPart)
    assert (use.tool_call_id, use.tool_name, use.arguments) == ("toolu_1", "get_weather", {"city": "Oslo"})
    [answer] = answering.get_tool_results()
    assert (answer.tool_name, answer.output, answer.error) == ("get_weather", "Rain", None)
    assert (answering.role, answering.starts_turn) == ("user", False)
    assert archive.info.title == "How is Oslo?"


def test_blocks_of_known_kinds_are_typed() -> None:
    """Text with its citations, and images in base64 or behind a URL, are parts; all else is raw."""
    text, embedded, linked, *raw = parts_of(
        "user",
        {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}, "citations": None},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image", "source": {"url": "https://example.org/a.png", "type": "url"}},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "text", "data": "x"}},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        "stray",
    )
    assert isinstance(text, TextPart)
    assert isinstance(embedded, ImagePart)
    assert (embedded.media_type, embedded.data, embedded.metadata) == ("image/png", "aGk=", {})
    assert isinstance(linked, ImagePart)
    assert linked.url == "https://example.org/a.png"
    assert [type(part) for part in raw] == [RawPart] * 5


def test_a_results_content_is_text_blocks_or_nothing() -> None:
    """A failed result has its text as its error; content that is absent or null stays so."""
    blocks = [{"type": "text", "text": "a"}, {"type": "image", "source": {}}, {"type": "text", "text": "b"}]
    absent, null, several, failed, fine, odd = parts_of(
        "user",
        {"type": "tool_result", "tool_use_id": "1"},
        {"type": "tool_result", "tool_use_id": "2", "content": None},
        {"type": "tool_result", "tool_use_id": "3", "content": blocks},
        {"type": "tool_result", "tool_use_id": "4", "content": "boom", "is_error": True},
        {"type": "tool_result", "tool_use_id": "5", "content": "ok", "is_error": False},
        {"type": "tool_result", "tool_use_id": "6", "content": "ok", "is_error": "no"},
    )
    assert [part.output for part in (absent, null, several, failed, fine, odd)] == ["", "", "a\nb", "", "ok", "ok"]
    assert [part.error for part in (absent, null, several, failed, fine, odd)] == [None, None, None, "boom", None, None]


def test_the_system_prompt_is_a_message() -> None:
    """`system`, as text or in blocks, is a system message at the beginning, and goes back to its place."""
    first, _ = parsed({"role": "user", "content": "Hi"}, system="Be brief.").messages
    assert (first.role, first.get_text_content()) == ("system", "Be brief.")
    block = {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}
    archive = parsed({"role": "user", "content": "Hi"}, system=[block], model="claude")
    archive.messages[0].parts[0] = archive.messages[0].parts[0].model_copy(update={"content": "Be bold."})
    assert render(archive)["system"] == [block | {"text": "Be bold."}]
    assert list(render(archive)) == ["id", "system", "model", "messages"]
    assert [len(parsed(system=odd).messages) for odd in (None, [], 5, {"text": "x"})] == [0, 0, 0, 0]
    with pytest.raises(InvalidValue, match=r"system.* deeper than 500"):
        parse({"id": "c", "system": [{"type": "text", "text": "x", "extra": nested(499)}], "messages": []})
    inside = parsed({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"})
    assert len(inside.messages) == 2


def test_token_counts_and_model_are_the_messages() -> None:
    """Counts that are such are summed into the session's; the rest of `usage` is kept."""
    usage = {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 2, "service_tier": "standard"}
    archive = parsed(
        {"role": "assistant", "content": "a", "model": "claude", "usage": usage},
        {"role": "assistant", "content": "b", "model": "NUL \0", "usage": {"input_tokens": "many"}},
        {"role": "assistant", "content": "c", "model": 5, "usage": {"output_tokens": None, "x": 1}},
    )
    assert [(found.model, found.usage) for found in archive.messages] == [
        ("claude", {"input_tokens": 5, "output_tokens": 2, "cache_read_tokens": 3}),
        (None, None),
        (None, None),
    ]
    assert (archive.info.input_tokens, archive.info.total_tokens, archive.info.cache_read_tokens) == (5, 7, 3)


def test_what_was_edited_shows_and_the_rest_stays() -> None:
    """Typed values are kept once: an edited one is written in the block's own form."""
    archive = parsed(
        {"content": [{"text": "Hi", "type": "text", "citations": []}, USE], "role": "assistant", "stop_reason": "x"},
        {"role": "user", "content": [RESULT | {"is_error": True}, RESULT]},
    )
    calling, answering = archive.messages
    calling.parts[0] = calling.parts[0].model_copy(update={"content": "Ho"})
    calling.get_tool_calls()[0].arguments = {"city": "Bergen"}
    failed, fine = answering.get_tool_results()
    failed.error, failed.output, fine.error = None, "Sun", "Offline"
    assert json.dumps(render(archive)["messages"]) == json.dumps(
        [
            {
                "content": [{"text": "Ho", "type": "text", "citations": []}, USE | {"input": {"city": "Bergen"}}],
                "role": "assistant",
                "stop_reason": "x",
            },
            {
                "role": "user",
                "content": [
                    RESULT | {"content": "Sun", "is_error": False},
                    RESULT | {"content": "Offline\nRain", "is_error": True},
                ],
            },
        ]
    )


def test_an_image_may_become_one_of_the_other_kind() -> None:
    """What was kept of a link isn't said of data."""
    linked = {"source": {"url": "https://example.org/a.png", "type": "url"}, "type": "image", "cache_control": None}
    archive = parsed({"role": "user", "content": [linked]})
    archive.messages[0].parts = [
        part.model_copy(update={"url": None, "media_type": "image/png", "data": "aGk="})
        for part in archive.messages[0].parts
    ]
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    assert render(archive)["messages"][0]["content"] == [{"type": "image", "source": source}]


def test_a_part_where_the_api_has_none_is_written_where_it_has() -> None:
    """A result added to an assistant's message goes into the user's message behind it."""
    archive = parsed({"role": "assistant", "content": [USE], "stop_reason": "tool_use"})
    archive.messages[0].add_tool_result("toolu_1", "get_weather", "Rain")
    assert render(archive)["messages"] == [
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [RESULT]},
    ]


def test_parallel_calls_of_others_are_paired_with_their_results() -> None:
    """Calls that others cut apart share a message, and all their results the next one, late ones too."""
    conversation = rendered(
        message("user", TextPart(content="Go")),
        message("assistant", TextPart(content="Both.")),
        message("assistant", call("a")),
        message("assistant", call("b")),
        message("tool", result("a")),
        message("assistant", TextPart(content="Half way.")),
        message("tool", result("b", error="bad")),
        message("tool", result("lost")),
    )
    use = [{"type": "tool_use", "id": name, "name": "f", "input": {"n": name}} for name in ("a", "b")]
    assert conversation["messages"] == [
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": [{"type": "text", "text": "Both."}, *use]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "out a"},
                {"type": "tool_result", "tool_use_id": "b", "content": "bad\nout b", "is_error": True},
            ],
        },
        {"role": "assistant", "content": "Half way."},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "lost", "content": "out lost"}]},
    ]


def test_system_messages_of_others_stand_in_system() -> None:
    """One is text, several are blocks, in order."""
    brief, kind = (message("system", TextPart(content="Be brief.")), message("developer", TextPart(content="Be kind.")))
    hi = message("user", TextPart(content="Hi"))
    assert rendered(brief, hi) == {"id": "c", "system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]}
    assert rendered(hi, brief, kind)["system"] == [
        {"type": "text", "text": "Be brief."},
        {"type": "text", "text": "Be kind."},
    ]
    assert "system" not in rendered(hi, message("system"))


def test_what_the_api_has_no_place_for_is_left_out() -> None:
    """Empty text, an assistant's images, others' reasoning and raw parts give no block."""
    signed, image = ReasoningPart(content="Hm", signature="sig"), ImagePart(media_type="image/*", url="u")
    encrypted = message_of_item({"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "x"}, "c")
    conversation = rendered(
        message("assistant", ReasoningPart(content="Hm"), RawPart(data={"type": "text"}), UnknownPart(type="new")),
        message("assistant", signed, provider="openai"),
        message("assistant", image, TextPart(content="")),
        message("user"),
        encrypted,
        message("user", image, TextPart(content="Hi")),
        message("assistant", signed, TextPart(content="Ho")),
    )
    assert conversation["messages"] == [
        {
            "role": "user",
            "content": [{"type": "image", "source": {"type": "url", "url": "u"}}, {"type": "text", "text": "Hi"}],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "sig"},
                {"type": "text", "text": "Ho"},
            ],
        },
    ]
