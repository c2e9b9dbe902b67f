"""One line of text, one conversation."""

import json
from typing import Any, cast

from sessionstore import jsontext
from sessionstore.errors import InvalidValue
from sessionstore.formats import native
from sessionstore.formats.reading import kind_of
from sessionstore.formats.registry import DEFAULT, FORMATS, NATIVE
from sessionstore.models import SessionArchive, SessionInfo

_MAX_DEPTH = jsontext.MAX_DEPTH + 10  # a conversation's own levels around values that may have them all


def parse_line(text: str, name: str | None = None) -> SessionArchive:
    """Return the conversation of one line.

    `name` is its format; left out, a line that `render_line` wrote in the native format is
    recognised by its marker, and any other is taken for OpenAI chat messages. Raises
    `InvalidValue`, naming the place and a remedy.
    """
    value = _decode(text)
    if not isinstance(value, dict):
        raise InvalidValue(f"is {kind_of(value)}, not an object; a line is one conversation with id and messages")
    conversation = cast("dict[str, Any]", value)
    name = name or (NATIVE if native.is_marked(conversation) else DEFAULT)
    if name == NATIVE and text.startswith(" "):
        conversation = jsontext.loads(text)
    return FORMATS[name].parse(conversation)


def render_line(archive: SessionArchive, name: str) -> str:
    """Return the conversation as a line of text, without its end.

    In the native format text is exact; in the others it is what JSON readers make of it, who
    join a high surrogate with a low one right behind it.
    """
    conversation = FORMATS[name].render(archive)
    return jsontext.dumps(conversation, max_depth=_MAX_DEPTH) if name == NATIVE else _plain_json(conversation)


def info_line(info: SessionInfo) -> str:
    """Return a session's metadata alone as a line of text, its fields as the native format has them."""
    return _plain_json(native.fields_of(info))


def _plain_json(value: Any) -> str:
    """Return the text of a value for whoever reads JSON; a split surrogate pair is joined by that reader."""
    text = jsontext.dumps(value, max_depth=_MAX_DEPTH)
    return json.dumps(value) if text.startswith(" ") else text


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidValue(f"is no JSON: {error.msg} at character {error.pos + 1}; a line is one object") from error
    except RecursionError as error:
        raise InvalidValue(f"is nested too deeply; up to {jsontext.MAX_DEPTH} levels can be kept") from error
    except ValueError as error:
        raise InvalidValue("holds an integer too long to read; write it as text") from error
