"""Parts: the union, told apart by `type`."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sessionstore import (
    ImagePart,
    Message,
    Part,
    RawPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
)

ANY_PART: TypeAdapter[Any] = TypeAdapter(Part)

PARTS = [
    TextPart(content="x"),
    ImagePart(media_type="image/png", data="aGk="),
    ImagePart(media_type="image/png", url="https://x"),
    ToolCallPart(tool_call_id="c", tool_name="t", arguments={"a": 1}),
    ToolResultPart(tool_call_id="c", tool_name="t", output="o"),
    ReasoningPart(content="hm", signature="s"),
    RawPart(data={"type": "text"}),
    UnknownPart(type="audio", data=[1], text="t", tool_call_id="c", tool_name="n"),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.type)
def test_a_part_is_known_by_its_type(part: Any) -> None:
    for given in (part, part.model_dump()):
        again = ANY_PART.validate_python(given)
        assert type(again) is type(part)
        assert again == part
    assert ANY_PART.validate_json(part.model_dump_json()) == part


def test_parts_have_ids_and_metadata() -> None:
    for part in PARTS:
        assert part.id
        assert part.metadata == {}
    assert len({part.id for part in PARTS}) == len(PARTS)


@pytest.mark.parametrize("data", [None, "aGk="])
def test_an_image_has_one_source(data: str | None) -> None:
    url = data and "https://x"
    with pytest.raises(ValidationError, match="either data"):
        ImagePart(media_type="image/png", data=data, url=url)
    with pytest.raises(ValidationError, match="either data"):
        ANY_PART.validate_python({"type": "image", "media_type": "image/png", "data": data, "url": url})


def test_an_image_keeps_one_source() -> None:
    image = ImagePart(media_type="image/png", url="https://x")
    with pytest.raises(ValidationError, match="either data"):
        image.url = None


@pytest.mark.parametrize("value", [None, 0, -0.0, True, "text", [], {}, [{"a": [None]}]])
def test_raw_data_is_any_value(value: Any) -> None:
    part = ANY_PART.validate_python({"type": "raw", "data": value})
    assert repr(part.data) == repr(value)


def test_raw_data_is_required() -> None:
    with pytest.raises(ValidationError):
        ANY_PART.validate_python({"type": "raw"})


def test_a_type_from_the_future_is_kept() -> None:
    message = Message.model_validate(
        {"session_id": "s", "role": "user", "parts": [{"type": "audio", "data": {"s": 3}}]}
    )
    (part,) = message.parts
    assert isinstance(part, UnknownPart)
    assert (part.type, part.data) == ("audio", {"s": 3})


@pytest.mark.parametrize("known", ["text", "image", "tool_call", "tool_result", "reasoning", "raw"])
def test_a_known_type_is_no_unknown_part(known: str) -> None:
    with pytest.raises(ValidationError, match="known part type"):
        UnknownPart(type=known)


@pytest.mark.parametrize(
    "value",
    [
        {"type": "text"},
        {"type": "text", "content": None},
        {"type": "text", "content": b"bytes"},
        {"type": "text", "content": "x", "unknown": 1},
        {"type": "text", "content": "x", "metadata": {1: 1}},
        {"type": "tool_call", "tool_call_id": "c", "tool_name": "t"},
        {"type": "tool_call", "tool_call_id": "c", "tool_name": "t", "arguments": "{}"},
        {"type": "tool_call", "tool_call_id": "c", "tool_name": "t", "arguments": [1]},
        {"type": "tool_call", "tool_call_id": "c", "tool_name": "t", "arguments": {b"k": 1, "k": 2}},
        {"type": "tool_result", "tool_call_id": "c", "tool_name": "t", "output": {}},
        {"type": None, "data": 1},
        {"type": 5},
        {"content": "x"},
        {},
        None,
    ],
    ids=repr,
)
def test_what_is_no_part(value: Any) -> None:
    with pytest.raises(ValidationError):
        ANY_PART.validate_python(value)


@pytest.mark.parametrize("kind", ["a\0b", "\ud800", ""])
def test_a_type_is_a_name(kind: str) -> None:
    with pytest.raises(ValidationError):
        UnknownPart(type=kind)
