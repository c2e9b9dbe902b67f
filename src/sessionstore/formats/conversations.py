"""What the formats of providers share: a conversation's object, read and written message by message.

Whatever an object looks like, it comes back exactly: one that can't be told in typed parts is
kept whole in a `RawPart`, and each message that was read is written again to see that it does.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast, get_args

from sessionstore import jsontext
from sessionstore.errors import InvalidValue
from sessionstore.formats.reading import message_items, validated
from sessionstore.formats.residue import WHOLE, fill, kept_in, template_of
from sessionstore.models import Message, Part, RawPart, SessionArchive, SessionInfo, new_id
from sessionstore.models.message import Role
from sessionstore.models.usage import NO_TOKENS, count_tokens

ROLES: tuple[Role, ...] = get_args(Role)
_TITLE_LENGTH = 80
_OWN_KEYS = ("id", "messages")


class Vocabulary(NamedTuple):
    """A provider's messages: what they are called in metadata, and how each is read and written."""

    key: str
    read: Callable[[dict[str, Any], str, dict[str, str]], Message]
    """Gives the message of an object in a session; the last argument names tools by the ids of their calls."""
    write: Callable[[Sequence[Message]], list[dict[str, Any]]]


def parse(vocabulary: Vocabulary, conversation: dict[str, Any]) -> SessionArchive:
    """Return the conversation as a session; a missing id is generated, the title is its first user text.

    Raises `InvalidValue`, naming the place.
    """
    items = message_items(conversation)
    session_id = conversation.get("id")
    info = validated(SessionInfo, {"id": new_id() if session_id is None else session_id})
    if tuple(conversation) != _OWN_KEYS:
        whole = conversation if "id" in conversation else {"id": info.id, **conversation}
        info.metadata = {vocabulary.key: template_of(whole, _OWN_KEYS)}
    messages = _messages(vocabulary, items, info.id)
    info.title = _title(messages) or info.title
    tokens = NO_TOKENS
    for message in messages:
        tokens = tokens.plus(count_tokens(message.usage))
    return SessionArchive(info=info.model_copy(update=tokens._asdict()), messages=messages)


def render(vocabulary: Vocabulary, info: SessionInfo, messages: Sequence[Message], **fields: Any) -> dict[str, Any]:
    """Return the conversation; what `parse` made comes out as it went in. `fields` stand beside its messages."""
    ours = {"id": info.id, **fields, "messages": vocabulary.write(messages)}
    return fill(kept_in(info.metadata, vocabulary.key) or dict.fromkeys(ours), ours)


def whole_message(key: str, item: dict[str, Any], session_id: str) -> Message:
    """Return a message that keeps an object whole, with its own role if that is one of ours."""
    role: Any = item.get("role")
    if role not in ROLES:
        kind: Any = item.get("type")
        answers = role == "function" or (isinstance(kind, str) and kind.endswith("_output"))
        role = "tool" if answers else "assistant"
    return Message(session_id=session_id, role=role, parts=[RawPart(data=item)], metadata={key: WHOLE})


def whole_of(parts: Sequence[Part], metadata: dict[str, Any], key: str) -> list[dict[str, Any]] | None:
    """Return the object that `whole_message` kept, in a list; `None` when the message holds something else."""
    match parts:
        case [RawPart() as part] if metadata.get(key) is WHOLE:
            data: Any = part.data
            return [cast("dict[str, Any]", data)] if isinstance(data, dict) else None
        case _:
            return None


def _messages(vocabulary: Vocabulary, items: list[dict[str, Any]], session_id: str) -> list[Message]:
    """Return the messages, with their forms where we would write another one, alone or in their order."""
    texts = [jsontext.dumps(item, f"messages[{index}]") for index, item in enumerate(items)]
    tools: dict[str, str] = {}
    marked: list[Message] = []
    for item, text in zip(items, texts, strict=True):
        message = vocabulary.read(item, session_id, tools)
        exact = _is_written_as(vocabulary, [message], [text])
        marked.append(message if exact else whole_message(vocabulary.key, item, session_id))
    plain = [_plain(vocabulary, message, text) for message, text in zip(marked, texts, strict=True)]
    return plain if _is_written_as(vocabulary, plain, texts) else marked


def _plain(vocabulary: Vocabulary, message: Message, text: str) -> Message:
    """Return the message without its form, if it needs none."""
    if any(part.metadata for part in message.parts):
        return message
    plain = message.model_copy(update={"metadata": {}})
    return plain if _is_written_as(vocabulary, [plain], [text]) else message


def _is_written_as(vocabulary: Vocabulary, messages: Sequence[Message], texts: list[str]) -> bool:
    try:
        for owner in (owner for message in messages for owner in (message, *message.parts)):
            jsontext.dumps(owner.metadata)
        return [jsontext.dumps(item) for item in vocabulary.write(messages)] == texts
    except InvalidValue:  # our wrapping took a value beyond the depth that can be kept
        return False


def _title(messages: list[Message]) -> str:
    """Return the beginning of the first user text: one line of printable characters."""
    for message in messages:
        text = message.get_text_content()[: 10 * _TITLE_LENGTH] if message.role == "user" else ""
        title = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        if title:
            return title if len(title) <= _TITLE_LENGTH else title[: _TITLE_LENGTH - 1].rstrip() + "…"
    return ""
