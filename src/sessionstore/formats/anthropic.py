"""Anthropic's messages: ``{"id", "system", "messages": [{"role", "content"}, …]}``.

What has a typed part becomes one: text, images, thinking with its signature, tool calls and
results. A result with ``is_error`` has its text as its error; its tool's name is that of the
latest call with its id. The conversation's ``system`` becomes a system message at the beginning,
and the token counts of ``usage`` and the ``model`` those of the message. Blocks of other kinds (redacted thinking,
server tools, documents, kinds not invented yet) are raw parts, and a message that can't be told
in blocks is kept whole as one `RawPart`. Everything comes back exactly, key order included: what our own
rendering would change is kept in ``metadata["anthropic"]`` of the message and its parts.

Messages that came from elsewhere are written as the API wants them: system and developer
messages in ``system``, parallel calls in one message, and all their results together in the
user's message behind it. Reasoning is written if it is signed and of no other format. Empty
texts, an assistant's images, images' detail, times, other reasoning and raw parts of other systems have no place
and are left out, and with them messages that hold nothing else. The native format keeps them.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from pydantic import ValidationError

from sessionstore import jsontext
from sessionstore.formats import conversations, responses_items
from sessionstore.formats.anthropic_blocks import KEY, block, block_part
from sessionstore.formats.conversations import ROLES, Vocabulary, whole_message, whole_of
from sessionstore.formats.grouping import grouped
from sessionstore.formats.pieces import read_content, write_content
from sessionstore.formats.residue import fill, kept_in, template_of
from sessionstore.models import (
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    SessionArchive,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
)

_SYSTEM = "system"
_SYSTEM_ROLES = (_SYSTEM, "developer")
_PLACES = {"assistant": ToolCallPart, "user": ToolResultPart}
"""What stands only in messages of one role."""

_USAGE = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
}
"""Their token counts and ours."""


def parse(conversation: dict[str, Any]) -> SessionArchive:
    """Return the conversation as a session. Raises `InvalidValue`, naming the place."""
    archive = conversations.parse(_ANTHROPIC, conversation)
    message = _system_message(conversation.get(_SYSTEM), archive.info.id)
    if message is not None:
        form = kept_in(archive.info.metadata, KEY) or {}
        archive.info.metadata = {KEY: template_of(form, (_SYSTEM,))}
        archive.messages.insert(0, message)
    return archive


def render(archive: SessionArchive) -> dict[str, Any]:
    """Return the conversation; what `parse` made comes out as it went in, with its id."""
    system = _system([message for message in archive.messages if _is_system(message)])
    fields = {} if system is None else {_SYSTEM: system}
    return conversations.render(_ANTHROPIC, archive.info, archive.messages, **fields)


# Reading


def _read(item: dict[str, Any], session_id: str, tools: dict[str, str]) -> Message:
    """Return the message in parts, or whole."""
    role: Any = item.get("role")
    parts = read_content(item.get("content"), block_part) if role in ROLES else None
    if parts is None:
        return whole_message(KEY, item, session_id)
    for part in parts:
        if isinstance(part, ToolCallPart):
            tools[part.tool_call_id] = part.tool_name
        elif isinstance(part, ToolResultPart):
            part.tool_name = tools.get(part.tool_call_id, "")
    template = template_of(item, ("role", "content"))
    message = Message(session_id=session_id, role=role, parts=parts, metadata={KEY: template})
    for name, value in (("usage", _counts(item.get("usage"))), ("model", item.get("model"))):
        with suppress(ValidationError):  # it stays in the form, whatever it is
            setattr(message, name, value)
    return message


def _counts(usage: Any) -> dict[str, Any] | None:
    """Return the token counts under our names."""
    if not isinstance(usage, dict):
        return None
    given = cast("dict[str, Any]", usage)
    return {ours: given[name] for name, ours in _USAGE.items() if given.get(name) is not None} or None


def _system_message(system: Any, session_id: str) -> Message | None:
    """Return what the whole conversation is told, as a message; `None` when it isn't text or blocks."""
    parts = read_content(system, block_part)
    if not parts:
        return None
    form: dict[str, Any] = {_SYSTEM: [] if isinstance(system, list) else ""}
    message = Message(session_id=session_id, role="system", parts=parts, metadata={KEY: form})
    exact = jsontext.dumps(system, _SYSTEM) == jsontext.dumps(_system([message]))
    return message if exact else None


# Writing


def _write(messages: Sequence[Message]) -> list[dict[str, Any]]:
    told = [message if _is_own(message) else _for_the_api(message) for message in messages]
    return [item for message in grouped(told, _is_own) for item in _items(message)]


def _is_own(message: Message) -> bool:
    """Whether the message has the form of one that was read, and hasn't been changed to what takes several."""
    form = kept_in(message.metadata, KEY)
    if form is None:
        return whole_of(message.parts, message.metadata, KEY) is not None
    elsewhere = (UnknownPart, *(kind for role, kind in _PLACES.items() if role != message.role))
    return "role" in form and not any(isinstance(part, elsewhere) for part in message.parts)


def _is_system(message: Message) -> bool:
    """Whether the message's text belongs into the conversation's `system`."""
    return message.role in _SYSTEM_ROLES and not _is_own(message)


def _for_the_api(message: Message) -> Message:
    """Return a message that came from elsewhere with those of its parts that the API takes."""
    # OpenAI's encrypted reasoning has a signature as well, but one that only OpenAI reads.
    own_reasoning = message.provider is None or KEY in message.provider
    own_reasoning = own_reasoning and responses_items.KEY not in message.metadata
    parts = [part for part in message.parts if _is_sendable(part, message.role, own_reasoning)]
    return message.model_copy(update={"parts": parts})


def _is_sendable(part: Part, role: str, own_reasoning: bool) -> bool:
    match part:
        case TextPart():
            return bool(part.content) and role not in _SYSTEM_ROLES
        case ImagePart():
            return role in ("user", "tool")
        case ReasoningPart():
            return own_reasoning and role == "assistant" and part.signature is not None
        case _:
            return isinstance(part, ToolCallPart | ToolResultPart)


def _items(message: Message) -> list[dict[str, Any]]:
    if _is_own(message):
        form = kept_in(message.metadata, KEY) or {}
        content = write_content(message.parts, form.get("content"), block)
        return whole_of(message.parts, message.metadata, KEY) or [
            fill(form, {"role": message.role, "content": content})
        ]
    if not message.parts:
        return []
    role = "assistant" if message.role == "assistant" else "user"
    return [{"role": role, "content": _content(message.parts)}]


def _content(parts: Sequence[Part]) -> Any:
    """Return text as text, if it is all in one piece, and else blocks."""
    return write_content(parts, "" if len(parts) == 1 else [], block)


def _system(messages: Sequence[Message]) -> Any:
    """Return the conversation's `system`: of one message in its form, of several in blocks."""
    match messages:
        case [Message() as message] if (form := kept_in(message.metadata, KEY)) is not None:
            return write_content(message.parts, form.get(_SYSTEM), block)
        case _:
            parts = [part for message in messages for part in message.parts]
            texts = [part for part in parts if isinstance(part, TextPart) and part.content]
            return _content(texts) if texts else None


_ANTHROPIC = Vocabulary(KEY, _read, _write)
