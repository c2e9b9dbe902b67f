"""OpenAI's Responses items: ``{"id", "messages": [{"type", …}, …]}``, and each item as a message.

An item is one message. Messages become text, images and raw blocks; function and custom tools'
calls, their outputs and reasoning become parts of their own, so that text, tool names and call
ids can be queried and other formats can tell them. A custom tool's input is the argument
``input``; a refusal is text. All other items (hosted tools' calls, compaction, references, kinds
not invented yet) are kept whole as one `RawPart`, and so are those whose keys aren't as the
API has them. Any item comes back exactly, key order and the text of arguments included: what our
own rendering would change is kept in ``metadata["openai_responses"]`` of the message and its parts.

Messages that came from elsewhere are written as the API takes them for input: an item for text
and images, one for each call and each result, errors as ``Error: …``. An assistant's images,
times, usage, reasoning (the API takes none but its own) and raw parts of other systems have no
place and are left out. The native format keeps them.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from sessionstore.collecting import collector_paused
from sessionstore.formats import conversations
from sessionstore.formats.conversations import Vocabulary, whole_message, whole_of
from sessionstore.formats.residue import fits, kept_in
from sessionstore.formats.responses_items import CUSTOM_CALL, CUSTOM_OUTPUT, KEY, KINDS, foreign_items, kind_of_item
from sessionstore.models import Message, Part, SessionArchive, ToolCallPart, ToolResultPart
from sessionstore.models.message import Role

_PLAIN_MESSAGE = ("role", "content")


def parse(conversation: dict[str, Any]) -> SessionArchive:
    """Return the conversation as a session. Raises `InvalidValue`, naming the place."""
    return conversations.parse(_RESPONSES, conversation)


def render(archive: SessionArchive) -> dict[str, Any]:
    """Return the conversation; what `parse` made comes out as it went in, with its id."""
    return conversations.render(_RESPONSES, archive.info, archive.messages)


def message_of_item(item: dict[str, Any], session_id: str, tools: dict[str, str] | None = None) -> Message:
    """Return the message of an item, a dict with text keys; `items_of_message` gives the item back exactly.

    `tools` tells the names of the tools by the ids of their calls, for an item that answers one,
    and learns that of an item that calls one. What JSON can't hold is refused as the message is saved.
    """
    read, _ = KINDS.get(kind_of_item(item), (None, None))
    try:
        found = read(item, {} if tools is None else tools) if read else None
    except ValidationError:  # a call's arguments aren't JSON
        found = None
    if found is None:
        return whole_message(KEY, item, session_id)
    role, parts, template = found
    plain = tuple(item) == _PLAIN_MESSAGE and isinstance(item["content"], str)
    metadata = {} if plain else {KEY: template}
    if not fits(metadata):
        return whole_message(KEY, item, session_id)
    return Message(session_id=session_id, role=role, parts=parts, metadata=metadata)


def items_of_message(message: Message) -> list[dict[str, Any]]:
    """Return the items of a message: the one it was made of, or those that tell what another system wrote.

    Those may be several, or none. `items_of_messages` tells a whole conversation better.
    """
    return items_of(message.role, message.parts, message.metadata)


def items_of(role: Role, parts: Sequence[Part], metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what `items_of_message` does, for who has these and no message."""
    template = kept_in(metadata, KEY)
    if template is None:
        return whole_of(parts, metadata, KEY) or list(foreign_items(role, parts))
    _, write = KINDS.get(kind_of_item(template), (None, None))
    item = write(role, parts, template) if write else None
    return list(foreign_items(role, parts)) if item is None else [item]


def items_of_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return the items of a conversation: those of each message, in order.

    A result that another system wrote for a custom tool's call becomes an output of that kind, as the API wants it.
    """
    telling = Telling()
    with collector_paused(len(messages)):
        return [item for m in messages for item in telling.items_of(m.role, m.parts, m.metadata)]


class Telling:
    """Tells a conversation message by message."""

    def __init__(self) -> None:
        self.custom: set[str] = set()
        """The ids of those calls so far that were custom tools'."""

    def items_of(self, role: Role, parts: Sequence[Part], metadata: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the items of the next message."""
        items = items_of(role, parts, metadata)
        template = kept_in(metadata, KEY)
        if template is not None and template.get("type") == CUSTOM_CALL:
            self.custom.update(part.tool_call_id for part in parts if isinstance(part, ToolCallPart))
        elif template is None and self.custom and any(isinstance(part, ToolResultPart) for part in parts):
            return [_for_custom_tool(item, self.custom) for item in items]
        return items


def _for_custom_tool(item: dict[str, Any], call_ids: set[str]) -> dict[str, Any]:
    is_output = item.get("type") == "function_call_output" and item["call_id"] in call_ids
    return item | {"type": CUSTOM_OUTPUT} if is_output else item


_RESPONSES = Vocabulary(KEY, message_of_item, items_of_messages)
