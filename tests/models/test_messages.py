"""`Message`: its fields, and the helpers that build and read its parts."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from sessionstore import ImagePart, Message, TextPart, ToolCallPart, ToolResultPart
from sessionstore.models.usage import MAX_TOKENS


def _message(role: Any = "user", **fields: Any) -> Message:
    return Message(session_id="s", role=role, **fields)


def test_defaults() -> None:
    before = datetime.now(UTC)
    message = _message()
    assert (message.parts, message.metadata, message.status) == ([], {}, "complete")
    assert {message.model, message.provider, message.usage, message.seq, message.turn} == {None}
    assert before <= message.created_at <= datetime.now(UTC)


def test_ids_are_made_in_order() -> None:
    ids = [_message().id for _ in range(50)]
    assert ids == sorted(set(ids))


def test_defaults_are_not_shared() -> None:
    one, two = _message(), _message()
    one.add_text("x")
    one.metadata["k"] = 1
    assert (two.parts, two.metadata) == ([], {})


def test_helpers_append_and_return_the_part() -> None:
    message = _message("assistant")
    parts = [
        message.add_text("one"),
        message.add_image("image/png", data="aGk="),
        message.add_image("image/png", url="https://x", detail="low"),
        message.add_tool_call("c", "read", {"path": "/a"}),
        message.add_tool_result("c", "read", "out", title="Read", error="bad"),
        message.add_text("two"),
    ]
    assert all(added is part for added, part in zip(message.parts, parts, strict=True))
    assert message.get_text_content() == "one\ntwo"
    assert message.get_images() == [
        ImagePart(id=parts[1].id, media_type="image/png", data="aGk=", detail="auto"),
        ImagePart(id=parts[2].id, media_type="image/png", url="https://x", detail="low"),
    ]
    assert message.has_images()
    assert message.get_tool_calls() == [
        ToolCallPart(id=parts[3].id, tool_call_id="c", tool_name="read", arguments={"path": "/a"})
    ]
    assert message.get_tool_results() == [
        ToolResultPart(id=parts[4].id, tool_call_id="c", tool_name="read", title="Read", output="out", error="bad")
    ]


def test_an_empty_message_has_nothing() -> None:
    message = _message()
    assert message.get_text_content() == ""
    assert message.get_images() == message.get_tool_calls() == message.get_tool_results() == []
    assert not message.has_images()


def test_empty_texts_are_joined_too() -> None:
    message = _message(parts=[TextPart(content=""), TextPart(content="x"), TextPart(content="")])
    assert message.get_text_content() == "\nx\n"


@pytest.mark.parametrize(
    ("role", "results", "starts"),
    [("user", 0, True), ("user", 1, False), ("assistant", 0, False), ("system", 0, False), ("tool", 1, False)],
)
def test_what_starts_a_turn(role: str, results: int, starts: bool) -> None:
    message = _message(role)
    message.add_text("hello")
    for _ in range(results):
        message.add_tool_result("c", "t", "o")
    assert message.starts_turn is starts


def test_times_come_to_utc() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    moment = datetime(2024, 1, 1, 2, 3, 4, 567890, tzinfo=east)
    message = _message(created_at=moment)
    assert message.created_at == moment
    assert message.created_at.tzinfo is UTC


NAIVE = datetime(2024, 1, 1)
AT_THE_END = datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))


@pytest.mark.parametrize(
    "fields",
    [
        {"id": ""},
        {"id": "x" * 256},
        {"id": "a\0"},
        {"id": "\ud800"},
        {"id": None},
        {"session_id": ""},
        {"role": "robot"},
        {"role": None},
        {"status": "done"},
        {"created_at": NAIVE},
        {"created_at": AT_THE_END},
        {"model": "a\0"},
        {"provider": "\udfff"},
        {"usage": {"input_tokens": 1.5}},
        {"usage": {"input_tokens": True}},
        {"usage": {"input_tokens": "1"}},
        {"usage": {"input_tokens": MAX_TOKENS + 1}},
        {"usage": {1: 1}},
        {"metadata": {1: 1}},
        {"metadata": {b"k": 1, "k": 2}},
        {"metadata": []},
        {"parts": [{"type": "text"}]},
        {"parts": ["text"]},
        {"parts": "text"},
        {"seq": "one"},
        {"unknown": 1},
    ],
    ids=repr,
)
def test_bad_values_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Message.model_validate({"session_id": "s", "role": "user", **fields})


@pytest.mark.parametrize(("field", "value"), [("role", "robot"), ("created_at", NAIVE), ("id", ""), ("parts", [1])])
def test_assignments_are_checked(field: str, value: Any) -> None:
    message = _message()
    before = message.model_copy(deep=True)
    with pytest.raises(ValidationError):
        setattr(message, field, value)
    assert message == before


def test_content_is_any_string() -> None:
    content = "\0 \ud83d \ud83d\ude00 \U0001f600"
    message = _message()
    message.add_text(content)
    message.add_tool_result(content, content, content, title=content, error=content)
    assert message.get_text_content() == message.get_tool_results()[0].output == content


def test_nested_values_are_left_to_the_store() -> None:
    value = {"nested": {1: (1, 2), "set": {1}}}
    assert _message(metadata=value).metadata == value
