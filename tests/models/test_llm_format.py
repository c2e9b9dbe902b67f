"""`to_llm_format` and `to_llm_messages`: the chat format of OpenAI's API."""

import json
import math
from typing import Any

import pytest

from sessionstore import Message, ReasoningPart

CALL = {"id": "c", "type": "function", "function": {"name": "read", "arguments": '{"path":"/a"}'}}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "out"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://x", "detail": "auto"}}
INLINE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}}


def _message(role: Any, *texts: str) -> Message:
    message = Message(session_id="s", role=role)
    for text in texts:
        message.add_text(text)
    return message


@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant"])
def test_text(role: str) -> None:
    message = _message(role, "one", "two")
    assert message.to_llm_format() == {"role": role, "content": "one\ntwo"}
    assert message.to_llm_messages() == [message.to_llm_format()]


def test_no_text() -> None:
    assert _message("user").to_llm_messages() == [{"role": "user", "content": ""}]
    assert _message("assistant").to_llm_messages() == [{"role": "assistant", "content": ""}]


def test_images_follow_the_text() -> None:
    message = _message("user")
    message.add_image("image/png", url="https://x")
    message.add_text("one")
    message.add_image("image/png", data="aGk=", detail="low")
    message.add_text("two")
    text = {"type": "text", "text": "one\ntwo"}
    assert message.to_llm_format() == {"role": "user", "content": [text, IMAGE, INLINE]}
    assert message.to_llm_messages() == [message.to_llm_format()]


def test_images_alone() -> None:
    message = _message("user")
    message.add_image("image/png", url="https://x")
    assert message.to_llm_format() == {"role": "user", "content": [IMAGE]}


def test_tool_calls() -> None:
    message = _message("assistant")
    message.add_tool_call("c", "read", {"path": "/a"})
    assert message.to_llm_format() == {"role": "assistant", "content": None, "tool_calls": [CALL]}
    message.add_text("let me see")
    assert message.to_llm_format() == {"role": "assistant", "content": "let me see", "tool_calls": [CALL]}


def test_arguments_are_json() -> None:
    arguments = {"z": [True, None, 1.5], "a": {"quote": "'\"", "nul": "\0", "umlaut": "ü"}, "nan": math.inf}
    message = _message("assistant")
    message.add_tool_call("c", "t", arguments)
    text = message.to_llm_format()["tool_calls"][0]["function"]["arguments"]
    assert json.loads(text) == arguments
    assert list(json.loads(text)) == ["z", "a", "nan"]


def test_results_stand_behind_their_message() -> None:
    message = _message("assistant", "let me see")
    message.add_tool_call("c", "read", {"path": "/a"})
    message.add_tool_result("c", "read", "out")
    message.add_tool_result("d", "read", "partly", error="broken")
    failed = {"role": "tool", "tool_call_id": "d", "content": "Error: broken\npartly"}
    assert message.to_llm_messages() == [message.to_llm_format(), RESULT, failed]
    assert message.to_llm_format() == {"role": "assistant", "content": "let me see", "tool_calls": [CALL]}


@pytest.mark.parametrize("role", ["user", "assistant", "tool"])
def test_results_alone(role: str) -> None:
    message = _message(role)
    message.add_tool_result("c", "read", "out")
    message.add_tool_result("c", "read", "out")
    assert message.to_llm_messages() == [RESULT, RESULT]


def test_an_empty_error_is_an_error() -> None:
    message = _message("tool")
    message.add_tool_result("c", "read", "out", error="")
    assert message.to_llm_messages() == [{**RESULT, "content": "Error: \nout"}]


def test_a_users_results_and_text() -> None:
    message = _message("user", "here it is")
    message.add_tool_result("c", "read", "out")
    assert message.to_llm_messages() == [{"role": "user", "content": "here it is"}, RESULT]


def test_a_tools_message_is_its_first_result() -> None:
    message = _message("tool")
    message.add_tool_result("c", "read", "out")
    message.add_tool_result("d", "read", "more")
    assert message.to_llm_format() == RESULT


def test_reasoning_is_not_sent() -> None:
    message = _message("assistant", "answer")
    message.parts.insert(0, ReasoningPart(content="hm"))
    assert message.to_llm_messages() == [{"role": "assistant", "content": "answer"}]


def test_building_the_format_changes_nothing() -> None:
    message = _message("assistant", "x")
    message.add_tool_call("c", "read", {"path": "/a"})
    before = message.model_copy(deep=True)
    message.to_llm_messages()
    assert message == before
