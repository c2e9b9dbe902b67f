"""The pieces that every provider's messages are made of: content, tool arguments, tool output, images.

Each `read_…` function takes a provider's value and gives the typed one and a note, which is
what stands in the template in its place; its `write_…` counterpart gives the value back exactly
as long as the typed one is what the note reads as, and otherwise writes the typed one anew.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

from pydantic_core import from_json

from sessionstore import jsontext
from sessionstore.models import ImagePart, Part, TextPart, ToolCallPart

PLAIN_ARGUMENTS = "{}"
_UNPARSED = "unparsed_arguments"
"""In a call's metadata the text of arguments that are no JSON object, for the formats of others to tell."""
_BASE64_URL = re.compile("data:([^;,]+);base64,([A-Za-z0-9+/]+={0,2})")


# Content


def read_content(content: Any, read_block: Callable[[Any], Part]) -> list[Part] | None:
    """Return the parts of a message's content: text, blocks or nothing; `None` for anything else."""
    if isinstance(content, str):
        return [TextPart(content=content)]
    if isinstance(content, list):
        return [read_block(block) for block in cast("list[Any]", content)]
    return [] if content is None else None


def write_content(parts: Sequence[Part], noted: Any, write_block: Callable[[Any], Any]) -> Any:
    """Return the content of parts in the form that was noted; in blocks when it isn't all text."""
    if isinstance(noted, list) or not all(isinstance(part, TextPart) for part in parts):
        return [write_block(part) for part in parts]
    if not parts:
        return None if noted is None else ""
    return "\n".join(part.content for part in parts if isinstance(part, TextPart))


# Arguments of a tool call


def read_arguments(given: Any) -> tuple[dict[str, Any], Any]:
    """Return a call's arguments, JSON text or an object; `{}` for what is no object, or can't be kept."""
    if isinstance(given, dict):
        return cast("dict[str, Any]", given), {}
    arguments, text = _parsed(given) or ({}, PLAIN_ARGUMENTS)
    return arguments, PLAIN_ARGUMENTS if text == given else given


def unparsed(given: Any) -> dict[str, Any]:
    """Return what the metadata of a call with such arguments says to all formats."""
    is_unparsed = isinstance(given, str) and given.strip() and _parsed(given) is None
    return {_UNPARSED: given} if is_unparsed else {}


def unparsed_of(part: ToolCallPart) -> str | None:
    """Return the text of a call's arguments if it is no JSON object, and they haven't been edited since."""
    text = part.metadata.get(_UNPARSED)
    return text if isinstance(text, str) and not part.arguments else None


def write_arguments(arguments: dict[str, Any], noted: Any = PLAIN_ARGUMENTS) -> Any:
    """Return a call's arguments in the form that was noted; as JSON text when that is no longer true."""
    if isinstance(noted, dict):
        return arguments
    text = json_text(arguments)
    _, noted_as = _parsed(noted) or ({}, PLAIN_ARGUMENTS)
    return noted if noted != PLAIN_ARGUMENTS and noted_as == text else text


def json_text(value: Any) -> str:
    """Return the text of a value for whoever reads JSON; a split surrogate pair is joined by that reader."""
    text = jsontext.dumps(value)
    return json.dumps(value) if text.startswith(" ") else text


def _parsed(given: Any) -> tuple[dict[str, Any], str] | None:
    """Return the JSON object of a text, and its text as we write it; `None` for anything else."""
    try:
        value = _loaded(given) if isinstance(given, str) else None
        if isinstance(value, dict):
            return cast("dict[str, Any]", value), json_text(value)
    except (ValueError, RecursionError):  # no JSON, or too large or deep to be kept
        pass
    return None


def _loaded(text: str) -> Any:
    try:
        return from_json(text, cache_strings="keys")
    except (ValueError, TypeError):  # it knows no lone surrogates and no deep nesting
        return json.loads(text)


# A tool's output


def read_output(given: Any) -> tuple[str, Any]:
    """Return the text of a tool's output: itself, or that of its text blocks, a line each."""
    return (given, "") if isinstance(given, str) else (_text_of(given), given)


def write_output(text: str, noted: Any = "") -> Any:
    """Return a tool's output in the form that was noted; as text when that is no longer true."""
    return text if isinstance(noted, str) or _text_of(noted) != text else noted


def _text_of(given: Any) -> str:
    blocks = cast("list[Any]", given) if isinstance(given, list) else []
    return "\n".join(text for block in blocks if isinstance(text := _text_of_block(block), str))


def _text_of_block(given: Any) -> Any:
    match given:
        case str():
            return given
        case {"type": "text" | "input_text" | "output_text", "text": text}:
            return text
        case _:
            return None


# Images


def image_part(url: str, detail: str) -> ImagePart:
    """Return the image of a URL; what a ``data:`` URL holds as clean base64, as base64."""
    embedded = _BASE64_URL.fullmatch(url)
    if embedded:
        return ImagePart(media_type=embedded[1], data=embedded[2], detail=detail)
    return ImagePart(media_type="image/*", url=url, detail=detail)
