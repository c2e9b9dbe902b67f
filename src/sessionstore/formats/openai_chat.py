"""OpenAI's Chat Completions messages: ``{"id", "messages": [{"role", "content", …}, …]}``.

What has a typed part becomes one: text, `image_url` blocks, tool calls, a tool's result (its
tool's name is that of the latest call with its id). Everything else comes back exactly too, key
order and the text of arguments included: what our own rendering of a message would change is
kept in ``metadata["openai_chat"]`` of the message and its parts. A message that even so can't
be told in parts (an unknown role, content that is neither text nor blocks, …) is kept as one
`RawPart`, with its own role if that is one of ours, `tool` for the old role `function`, and else
`assistant`.

`render` writes messages that came from elsewhere as `Message.to_llm_messages` does, an answer's
pieces around its tool calls joined into one message and the results right behind it. The chat
format has no place for times, reasoning, usage, titles and raw parts of other systems: they are
left out, and with them messages that hold nothing else. The native format keeps them.
"""

from collections.abc import Sequence
from typing import Any, cast

from sessionstore.formats import conversations
from sessionstore.formats.conversations import ROLES, Vocabulary, whole_message, whole_of
from sessionstore.formats.grouping import grouped
from sessionstore.formats.openai_parts import KEY, block, block_part, call, call_part, is_call, result_parts
from sessionstore.formats.pieces import read_content, read_output, write_content, write_output
from sessionstore.formats.residue import fill, kept_in, template_of
from sessionstore.models import (
    ImagePart,
    Message,
    RawPart,
    SessionArchive,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from sessionstore.models.llm_format import result_text

_SENDABLE = (TextPart, ImagePart, ToolCallPart, ToolResultPart)


def parse(conversation: dict[str, Any]) -> SessionArchive:
    """Return the conversation as a session. Raises `InvalidValue`, naming the place."""
    return conversations.parse(_CHAT, conversation)


def render(archive: SessionArchive) -> dict[str, Any]:
    """Return the conversation; what `parse` made comes out as it went in, with its id."""
    return conversations.render(_CHAT, archive.info, archive.messages)


# Reading


def _read(item: dict[str, Any], session_id: str, tools: dict[str, str]) -> Message:
    """Return the message in parts, or whole."""
    role: Any = item.get("role")
    if role not in ROLES:
        return whole_message(KEY, item, session_id)
    template = template_of(item, ("role", "content"))
    if role == "tool":
        parts = result_parts(item, tools)
        ids = _ids_key(item)
        template |= template_of({ids: item.get(ids)}, (ids,))
        if "content" in item:
            _, template["content"] = read_output(item["content"])
    else:
        parts = read_content(item.get("content"), block_part)
    if parts is None or (role == "tool" and not parts):
        return whole_message(KEY, item, session_id)
    calls = item.get("tool_calls")
    if role == "assistant" and isinstance(calls, list):
        parts.extend(call_part(given) for given in cast("list[Any]", calls))
        template["tool_calls"] = []
    tools.update((part.tool_call_id, part.tool_name) for part in parts if isinstance(part, ToolCallPart))
    return Message(session_id=session_id, role=role, parts=parts, metadata={KEY: template})


# Writing


def _write(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [item for message in grouped(messages, _is_own) for item in _items(message)]


def _is_own(message: Message) -> bool:
    """Whether the message has the form of one that was read, and hasn't been changed to what takes several."""
    if kept_in(message.metadata, KEY) is None:
        return whole_of(message.parts, message.metadata, KEY) is not None
    if message.role == "tool":
        return bool(message.parts) and all(isinstance(part, ToolResultPart) for part in message.parts)
    kinds = (TextPart, ImagePart, RawPart, *((ToolCallPart,) if message.role == "assistant" else ()))
    return all(isinstance(part, kinds) for part in message.parts)


def _items(message: Message) -> list[dict[str, Any]]:
    if _is_own(message):
        return whole_of(message.parts, message.metadata, KEY) or [_own(message, kept_in(message.metadata, KEY) or {})]
    if not message.parts or any(isinstance(part, _SENDABLE) for part in message.parts):
        return message.to_llm_messages()
    # Raw parts of a provider's message are in that provider's words; those of nobody may be in ours.
    raw = [part.data for part in message.parts if isinstance(part, RawPart) and not message.metadata]
    return [data for data in raw if isinstance(data, dict) and "role" in data]


def _own(message: Message, template: dict[str, Any]) -> dict[str, Any]:
    """Return the message in the form that it was read in."""
    noted = template.get("content")
    if message.role == "tool":
        results = message.get_tool_results()
        key = _ids_key(template)
        ids = [part.tool_call_id for part in results] if key == "tool_call_ids" else results[0].tool_call_id
        return fill(template, {"role": "tool", key: ids, "content": write_output(result_text(results[0]), noted)})
    content = write_content([part for part in message.parts if not is_call(part)], noted, block)
    calls = [call(part) for part in message.parts if isinstance(part, ToolCallPart | RawPart) and is_call(part)]
    return fill(template, {"role": message.role, "content": content} | ({"tool_calls": calls} if calls else {}))


def _ids_key(item: dict[str, Any]) -> str:
    """Return under which key a tool's message names what it answers: one call, or several."""
    return "tool_call_ids" if "tool_call_ids" in item and "tool_call_id" not in item else "tool_call_id"


_CHAT = Vocabulary(KEY, _read, _write)
