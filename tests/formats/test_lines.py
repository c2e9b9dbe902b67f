"""A line of text is recognised, read, and refused in words."""

import json

import pytest

from sessionstore import Message, SessionArchive, SessionInfo, TextPart
from sessionstore.errors import InvalidValue
from sessionstore.formats import FORMATS, info_line, parse_line, render_line


def archive_of(text: str) -> SessionArchive:
    return SessionArchive(
        info=SessionInfo(id="s"), messages=[Message(session_id="s", role="user", parts=[TextPart(content=text)])]
    )


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("named", [True, False])
def test_a_line_is_recognised(name: str, named: bool) -> None:
    archive = parse_line(render_line(archive_of("hi"), name), name if named else None)
    assert archive.messages[0].get_text_content() == "hi"


def test_a_chat_line_may_begin_with_a_space() -> None:
    archive = parse_line(r' {"id":"s","messages":[{"role":"user","content":"\\u0041"}]}')
    assert archive.messages[0].get_text_content() == r"\u0041"


def test_a_chat_line_is_what_json_readers_understand() -> None:
    line = render_line(archive_of("\ud83d" + "\ude00"), "openai-chat")
    assert json.loads(line)["messages"][0]["content"] == "\N{GRINNING FACE}"


def test_metadata_alone_is_json() -> None:
    info = SessionInfo(id="s", title="T", metadata={"a": "\ud83d" + "\ude00"})
    assert json.loads(info_line(info))["title"] == "T"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "is no JSON: .* at character 2"),
        ("[]", "is a list, not an object"),
        ("null", "is null, not an object"),
        ("[" * 100_000, "nested too deeply"),
        ('{"id":' + "1" * 5000 + "}", "integer too long"),
    ],
)
def test_bad_lines_are_refused_in_words(line: str, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        parse_line(line)
