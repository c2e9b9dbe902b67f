"""How many tokens messages take, estimated: with tiktoken where it is installed and knows the model, else by length."""

import asyncio
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from math import ceil
from typing import Any

from sessionstore import jsontext
from sessionstore.models import (
    ImagePart,
    Message,
    Part,
    RawPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

CHARACTERS_PER_TOKEN = 4
TOKENS_PER_IMAGE = 1_000
"""Between what providers count for a small image and for a large one."""

_LONGEST = 100_000
"""Characters of a text that tiktoken is given: some texts take it a time that grows with their square."""


async def estimated(messages: Sequence[Message], model: str | None) -> int:
    """Return the tokens that the messages' parts take, without keeping the event loop waiting."""
    return await asyncio.to_thread(estimate, messages, model) if messages else 0


def estimate(messages: Sequence[Message], model: str | None) -> int:
    """Return the tokens that the messages' parts take."""
    encode = None if model is None else _encoder(model)
    tokens = characters = 0
    for part in (part for message in messages for part in message.parts):
        tokens += TOKENS_PER_IMAGE if isinstance(part, ImagePart) else 0
        for text in _texts(part):
            if encode is None or len(text) > _LONGEST:
                characters += len(text)
            else:
                tokens += encode(text)
    return tokens + ceil(characters / CHARACTERS_PER_TOKEN)


def _texts(part: Part) -> Iterable[str]:
    match part:
        case TextPart() | ReasoningPart():
            return (part.content,)
        case ToolCallPart():
            return (part.tool_name, jsontext.dumps(part.arguments, "arguments"))
        case ToolResultPart():
            return (part.output, part.error or "")
        case RawPart():
            return (jsontext.dumps(part.data, "data"),)
        case ImagePart():
            return ()
        case unknown:
            return (unknown.text or "", "" if unknown.data is None else jsontext.dumps(unknown.data, "data"))


@cache
def _encoder(model: str) -> Callable[[str], int] | None:
    """Return what counts a text's tokens as this model does, if tiktoken is installed and has its encoding."""
    if importlib.util.find_spec("tiktoken") is None:
        return None
    tiktoken: Any = importlib.import_module("tiktoken")
    try:
        encoding = tiktoken.encoding_for_model(model)
    except Exception:  # noqa: BLE001 - an unknown model, or an encoding that can't be fetched: an estimate will do
        return None

    def count(text: str) -> int:
        return len(encoding.encode(text, disallowed_special=()))

    return count
