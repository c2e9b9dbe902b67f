"""Pydantic AI's model messages, as its type adapter dumps them, and each as messages of ours.

A response is one message: text, thinking, tool calls, images and transcripts of speech are parts, and all else is
raw. A request is a message for each of its parts, with the role that this has: system prompts and summaries, the
user's prompts (text, structured values as their text, images, raw items) and transcripts, and what tools returned
(structured values as JSON text; failures and retries as errors). Feedback on an answer is a user's message, as
Pydantic AI sends it. Any item comes back exactly, key order included: what the typed
fields don't hold is kept in ``metadata["pydantic_ai"]`` of the messages and their parts. One that can't be told so
is kept whole as one `RawPart`.

Messages that came from elsewhere become requests and responses, calls paired with their results; with text, images that
are bytes or URLs, reasoning, calls and results, their times, models and token counts. Other raw parts are left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid5

from pydantic import ValidationError

from sessionstore import jsontext
from sessionstore.formats.conversations import whole_of
from sessionstore.formats.grouping import grouped
from sessionstore.formats.pieces import unparsed_of
from sessionstore.formats.pydantic_ai_content import KEY, is_base64, written_content_part
from sessionstore.formats.pydantic_ai_parts import (
    SYSTEM_PROMPT,
    TOOL_RETURN,
    USER_PROMPT,
    request_part,
    response_part,
    written_request_part,
    written_response_part,
)
from sessionstore.formats.residue import WHOLE, fill, fits, kept_in, template_of
from sessionstore.models import (
    ImagePart,
    Message,
    Part,
    RawPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
)
from sessionstore.models.llm_format import result_text
from sessionstore.models.usage import count_tokens

_NAMES = UUID("2f1b7a52-52a6-5c9c-9d0e-6a2f5bb1c0de")
"""The namespace of the ids that messages get."""

_REQUEST: dict[str, Any] = {"parts": [], "kind": "request"}
_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
"""The token counts that both have under one name."""


class Told(NamedTuple):
    """A model message, and the messages that it is made of."""

    item: dict[str, Any]
    messages: list[Message]


# Reading


def messages_of_items(items: Sequence[dict[str, Any]], session_id: str) -> list[Message]:
    """Return the messages of dumped model messages; `items_of_messages` gives the items back exactly.

    Their ids are made from what the items hold, times and run ids included, so that the same items give the
    same messages. Equal items in one list are told apart. Raises `InvalidValue` for what JSON can't hold.
    """
    seen: dict[str, int] = {}
    messages: list[Message] = []
    for index, item in enumerate(items):
        text = jsontext.dumps(item, f"messages[{index}]")
        seen[text] = number = seen.get(text, 0) + 1
        pieces = _pieces(item, text, session_id)
        for place, piece in enumerate(pieces):
            piece.id = str(uuid5(_NAMES, f"{number} {place} {text}"))
        messages.extend(pieces)
    return messages


def _pieces(item: dict[str, Any], text: str, session_id: str) -> list[Message]:
    """Return the messages of an item, or one that keeps it whole."""
    pieces = _read(item, session_id)
    owners = [owner for piece in pieces for owner in (piece, *piece.parts)]
    written = [told.item for told in items_of_messages(pieces)]
    if len(written) == 1 and jsontext.dumps(written[0]) == text and all(fits(owner.metadata) for owner in owners):
        return pieces
    role = "assistant" if item.get("kind") == "response" else "system"
    return [Message(session_id=session_id, role=role, parts=[RawPart(data=item)], metadata={KEY: WHOLE})]


def _read(item: dict[str, Any], session_id: str) -> list[Message]:
    """Return the messages of an item; none if it isn't made of parts."""
    given: Any = item.get("parts")
    parts = cast("list[Any]", given) if isinstance(given, list) else []
    form = template_of(item, ("parts",))
    if item.get("kind") == "response":
        return [_read_response(item, [response_part(part) for part in parts], form, session_id)]
    pieces: list[Message] = []
    for part in parts:
        read = request_part(part)
        metadata = {} if pieces else {"request": form}
        metadata |= {} if read.template is None else {"part": read.template}
        piece = Message(session_id=session_id, role=read.role, parts=read.parts, metadata={KEY: metadata})
        _set(piece, created_at=_time((read.template or {}).get("timestamp")) or _time(item.get("timestamp")))
        pieces.append(piece)
    return pieces


def _read_response(item: dict[str, Any], parts: list[Part], form: dict[str, Any], session_id: str) -> Message:
    message = Message(session_id=session_id, role="assistant", parts=parts, metadata={KEY: {"response": form}})
    _set(
        message,
        created_at=_time(item.get("timestamp")),
        model=item.get("model_name"),
        provider=item.get("provider_name"),
        usage=_usage(item.get("usage")),
    )
    return message


def _set(message: Message, **fields: Any) -> None:
    """Set the fields that have a value; what isn't valid stays in the form, whatever it is."""
    for name, value in fields.items():
        if value is not None:
            with suppress(ValidationError):
                setattr(message, name, value)


def _time(given: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        return None


def _usage(given: Any) -> dict[str, int] | None:
    """Return the token counts under our names."""
    if not isinstance(given, dict):
        return None
    counts = cast("dict[str, Any]", given)
    details = kept_in(counts, "details") or {}
    reasoning: Any = counts.get("output_reasoning_tokens") or details.get("reasoning_tokens")
    ours = {name: counts.get(name) for name in _COUNTS} | {"reasoning_tokens": reasoning}
    return {name: count for name, count in ours.items() if count} or None


# Writing


def items_of_messages(messages: Iterable[Message]) -> list[Told]:
    """Return a conversation's model messages, dumped, each with the messages that it tells.

    Messages that were one request are one again where they stand together.
    """
    told: list[Told] = []
    all_of_them = list(messages)
    own = {id(message): item for message in all_of_them if (item := _own(message)) is not None}
    names: dict[str, str] = {}
    for message in grouped(all_of_them, lambda message: id(message) in own, to_send=True):
        names.update((call.tool_call_id, call.tool_name) for call in message.get_tool_calls())
        item = own[id(message)] if id(message) in own else _foreign(message, names)
        if item is None:
            continue
        before = told[-1].messages[-1] if told else None
        if before is not None and _goes_on(message) and _is_piece(before) and {id(before), id(message)} <= own.keys():
            told[-1].item["parts"].extend(item["parts"])
            told[-1].messages.append(message)
        else:
            told.append(Told(item, [message]))
    return told


def foreign_items(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Return what the typed fields of the messages tell, whoever wrote them."""
    return [item for message in messages if (item := _foreign(message, {})) is not None]


def _own(message: Message) -> dict[str, Any] | None:
    """Return the item of a message that was made of one, or a request with the part that it was made of.

    `None` for other messages, and for those that have been changed to what isn't one.
    """
    form = kept_in(message.metadata, KEY)
    if form is None:
        whole = whole_of(message.parts, message.metadata, KEY)
        return whole[0] if whole else None
    response = kept_in(form, "response")
    if response is not None:
        elsewhere = any(isinstance(part, ToolResultPart | UnknownPart) for part in message.parts)
        if elsewhere or message.role != "assistant":
            return None
        return fill(response, {"parts": [written_response_part(part) for part in message.parts]})
    part = written_request_part(message.role, message.parts, kept_in(form, "part"))
    return None if part is None else fill(kept_in(form, "request") or _REQUEST, {"parts": [part]})


def _is_piece(message: Message) -> bool:
    """Whether the message is a part of a request."""
    form = kept_in(message.metadata, KEY)
    return form is not None and kept_in(form, "response") is None


def _goes_on(message: Message) -> bool:
    """Whether the message is a part of a request that began with the message before it."""
    form = kept_in(message.metadata, KEY)
    return form is not None and _is_piece(message) and kept_in(form, "request") is None


# What other systems wrote


def _foreign(message: Message, names: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the request or response of a message, all calls or all results; `None` if there is nothing to tell."""
    time = message.created_at.isoformat()
    if message.role == "assistant":
        parts = [told for part in message.parts if (told := _foreign_answer(part, message)) is not None]
        counts = count_tokens(message.usage)._asdict()
        usage = {name: counts[name] for name in _COUNTS}
        form = {"usage": usage, "model_name": message.model, "timestamp": time, "provider_name": message.provider}
        return {"parts": parts, **form, "kind": "response"} if parts else None
    if message.role == "tool":
        parts = [_foreign_result(part, names, time) for part in message.get_tool_results()]
    elif message.role == "user":
        content = [told for part in message.parts if (told := _foreign_content(part)) is not None]
        text: Any = content[0] if len(content) == 1 and isinstance(content[0], str) else content
        parts = [{"content": text, "timestamp": time, "part_kind": USER_PROMPT}] if content else []
    else:
        text = message.get_text_content()
        parts = [{"content": text, "timestamp": time, "part_kind": SYSTEM_PROMPT}] if text else []
    return {"parts": parts, "kind": "request"} if parts else None


def _foreign_answer(part: Part, message: Message) -> dict[str, Any] | None:
    match part:
        case TextPart() | ReasoningPart() if not part.content:
            return None
        case ReasoningPart() if message.provider:  # a signature is worth something to its provider only
            signed = {"signature": part.signature, "provider_name": message.provider}
            return {"content": part.content, **signed, "part_kind": "thinking"}
        case ReasoningPart():
            return {"content": part.content, "part_kind": "thinking"}
        case ToolCallPart() if (text := unparsed_of(part)) is not None:
            told = {"tool_name": part.tool_name, "args": text, "tool_call_id": part.tool_call_id}
            return {**told, "part_kind": "tool-call"}
        case TextPart() | ToolCallPart():
            return written_response_part(part.model_copy(update={"metadata": {}}))
        case ImagePart() if part.data is not None:
            content = _foreign_content(part)
            return None if content is None else {"content": content, "part_kind": "file"}
        case _:
            return None


def _foreign_content(part: Part) -> Any:
    match part:
        case TextPart():
            return part.content or None
        case ImagePart() if part.data is None or is_base64(part.data):
            return written_content_part(part.model_copy(update={"metadata": {}}))
        case _:
            return None


def _foreign_result(part: ToolResultPart, names: Mapping[str, str], time: str) -> dict[str, Any]:
    name = part.tool_name or names.get(part.tool_call_id, "")
    result = {"tool_name": name, "content": result_text(part), "tool_call_id": part.tool_call_id}
    return {**result, "timestamp": time, "part_kind": TOOL_RETURN}
