"""The native format loses nothing."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from sessionstore import (
    ImagePart,
    Message,
    RawPart,
    ReadFile,
    ReasoningPart,
    SessionArchive,
    SessionInfo,
    SessionTime,
    Summary,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
)
from sessionstore.errors import InvalidValue
from sessionstore.formats import FORMATS, parse_line, render_line
from tests.formats.strategies import json_values, nested, texts

parse, render = FORMATS["sessionstore"]

THEN = datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)


def archive_of(*parts: Any, **fields: Any) -> SessionArchive:
    message = Message(session_id="s", role="user", parts=list(parts), seq=1, turn=1, created_at=THEN)
    return SessionArchive(info=SessionInfo(id="s", **fields), messages=[message], last_seq=1)


def everything() -> SessionArchive:
    """Return an archive that uses every field."""
    info = SessionInfo(
        id="weather/1",
        title="Vær i Oslo",
        project_dir="/p",
        working_dir="/p/w",
        time=SessionTime(created=THEN, updated=datetime(1, 1, 3, tzinfo=UTC), archived=THEN),
        model_id="m",
        provider_id="p",
        root_session_id="root",
        parent_session_id="parent",
        user_id="ada",
        summary_message_id="b",
        message_count=2,
        input_tokens=2**53,
        output_tokens=2,
        total_tokens=3,
        cache_read_tokens=4,
        cache_write_tokens=5,
        reasoning_tokens=6,
        metadata={"z": 1, "a": [None, True, -0.0, 10**100]},
    )
    parts = [
        TextPart(content="NUL \0, half a pair \ud800", metadata={"lang": "nb"}),
        ImagePart(media_type="image/png", data="aGk=", detail="low"),
        ImagePart(media_type="image/*", url="https://example.org/a.png"),
        ToolCallPart(tool_call_id="c", tool_name="t", arguments={"b": 1, "a": {}}),
        ToolResultPart(tool_call_id="c", tool_name="t", title="T", output="o", error="e"),
        ReasoningPart(content="r", signature="sig"),
        RawPart(data=[[1, 2], {"type": "text"}]),
        UnknownPart(type="hologram", data={"x": 1}, text="t", tool_call_id="c", tool_name="t", metadata={"k": 0}),
    ]
    first = Message(
        id="a",
        session_id="weather/1",
        role="assistant",
        parts=parts,
        created_at=THEN,
        model="m",
        provider="p",
        usage={"input_tokens": 2, "custom": 7},
        status="interrupted",
        metadata={"m": {}},
        seq=3,
        turn=0,
    )
    second = Message(id="b", session_id="weather/1", role="developer", created_at=THEN, seq=5, turn=1)
    file = ReadFile(path="caf\udce9.txt", read_at=THEN, mtime_ns=2**62, size=1, content_hash="h")
    summary = Summary(
        number=1,
        message_id="b",
        from_seq=1,
        through_seq=4,
        kept=[(2, 2), (3, 3)],
        at_seq=5,
        active=False,
        strategy="s",
        trigger="manual",
        tokens_before=9,
        tokens_after=1,
        details={"d": None},
        created_at=THEN,
    )
    return SessionArchive(
        info=info,
        messages=[first, second],
        read_files=[file, ReadFile(path="x", read_at=THEN)],
        summaries=[summary],
        last_seq=9,
    )


def test_every_field_comes_back() -> None:
    archive = everything()
    line = render_line(archive, "sessionstore")
    assert "\n" not in line
    again = parse_line(line)
    assert again == archive
    assert [type(part) for part in again.messages[0].parts] == [type(part) for part in archive.messages[0].parts]
    assert render_line(again, "sessionstore") == line


def test_times_are_iso_8601_with_microseconds() -> None:
    conversation = render(everything())
    assert conversation["info"]["time"]["created"] == "2024-02-29T23:59:59.999999Z"
    assert conversation["messages"][0]["created_at"] == "2024-02-29T23:59:59.999999Z"


@given(json_values)
def test_json_values_come_back_exactly(value: Any) -> None:
    archive = archive_of(RawPart(data=value), metadata={"": value})
    again = parse_line(render_line(archive, "sessionstore").rstrip("\n"))
    assert json.dumps(again.messages[0].parts[0].data) == json.dumps(value)
    assert json.dumps(again.info.metadata) == json.dumps({"": value})


@given(texts)
def test_texts_come_back_exactly(text: str) -> None:
    again = parse_line(render_line(archive_of(TextPart(content=text)), "sessionstore"))
    assert again.messages[0].get_text_content() == text


def test_a_split_surrogate_pair_stays_split() -> None:
    text = "\ud83d" + "\ude00"
    line = render_line(archive_of(TextPart(content=text)), "sessionstore")
    assert line.startswith(" ")
    assert parse_line(line).messages[0].get_text_content() == text


def test_values_as_deep_as_can_be_kept_come_back() -> None:
    line = render_line(archive_of(RawPart(data=nested(500))), "sessionstore")
    assert render_line(parse_line(line), "sessionstore") == line


def test_nan_is_no_null() -> None:
    again = parse_line(render_line(archive_of(RawPart(data=[math.nan, -math.inf])), "sessionstore"))
    [part] = again.messages[0].parts
    assert isinstance(part, RawPart)
    assert repr(part.data) == "[nan, -inf]"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"version": 2}, "version: 2 is not 1"),
        ({"info": []}, "info: is a list"),
        ({"info": {"title": 5}}, r"info\.title: "),
        ({"id": ""}, r"info\.id: "),
        ({"messages": [5]}, r"messages\[0\]: is a number"),
        ({"messages": [{"role": "critic"}]}, r"messages\[0\]\.role: "),
        ({"messages": [{"role": "user", "parts": [{"type": "text"}]}]}, r"messages\[0\]\.parts\[0\]\.text\.content: "),
        ({"messages": [{"role": "user", "created_at": "2024-01-01T00:00:00"}]}, r"messages\[0\]\.created_at: "),
        ({"surprise": 1}, "surprise: Extra inputs"),
    ],
)
def test_bad_archives_are_refused_with_the_place(change: dict[str, Any], place: str) -> None:
    conversation = {"format": "sessionstore", "version": 1, "id": "s", "messages": []} | change
    with pytest.raises(InvalidValue, match=place):
        parse(conversation)


def test_an_error_shows_no_content() -> None:
    with pytest.raises(InvalidValue) as caught:
        parse({"id": "s", "messages": [{"role": "user", "parts": [{"type": "text", "content": ["a secret"]}]}]})
    assert "secret" not in str(caught.value)


def test_little_is_needed_by_hand() -> None:
    message = {"role": "user", "parts": [{"type": "text", "content": "hi"}]}
    archive = parse_line(json.dumps({"format": "sessionstore", "id": "s", "messages": [message]}))
    assert archive.messages[0].session_id == "s"
    assert archive.messages[0].seq is None
