"""Which formats there are, by name."""

from collections.abc import Callable
from typing import Any, NamedTuple

from sessionstore.formats import anthropic, native, openai_chat, openai_responses
from sessionstore.models import SessionArchive


class Format(NamedTuple):
    """How conversations of one shape become archives and back."""

    parse: Callable[[dict[str, Any]], SessionArchive]
    render: Callable[[SessionArchive], dict[str, Any]]


NATIVE = "sessionstore"
"""The lossless format; its lines say so themselves and need not be named."""

DEFAULT = "openai-chat"
"""The format of lines that don't say what they are."""

FORMATS: dict[str, Format] = {
    DEFAULT: Format(openai_chat.parse, openai_chat.render),
    "openai-responses": Format(openai_responses.parse, openai_responses.render),
    "anthropic": Format(anthropic.parse, anthropic.render),
    NATIVE: Format(native.parse, native.render),
}
