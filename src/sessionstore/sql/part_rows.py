"""Parts to rows and back.

A part is stored once: what people search is in `text`, `tool_call_id` and `tool_name`, the
rest in `payload`, and `extra` holds the part's metadata. Where a column can't hold an exact
value (NUL, a lone surrogate, a call id too long for an index), it holds a readable stand-in
and JSON beside it the exact one.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Row

from sessionstore import jsontext
from sessionstore.errors import InvalidValue
from sessionstore.models import (
    ImagePart,
    Part,
    RawPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
)
from sessionstore.models.base import LONGEST_ID, maker
from sessionstore.sql.soundness import is_id, is_object, is_storable, is_text

COLUMNS = ("id", "type", "text", "tool_call_id", "tool_name", "payload", "extra")

PLACE = 2
"""Where these columns begin in the rows of `messages.reading` and `contents.read`, behind `seq` and `position`."""

END = PLACE + len(COLUMNS)
"""And where they end."""

_text, _tool_call, _tool_result = maker(TextPart), maker(ToolCallPart), maker(ToolResultPart)

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_LONGEST_KEY = LONGEST_ID
_OWN_EXTRAS = frozenset({"metadata", "text", "tool_call_id", "tool_name"})


_USUAL: Mapping[type, tuple[str, int]] = {
    TextPart: ("text", 4),
    ReasoningPart: ("reasoning", 5),
    ToolCallPart: ("tool_call", 6),
    ToolResultPart: ("tool_result", 8),
}
PART_KINDS = frozenset(_USUAL)
"""The kinds of parts that `encode_usual` knows; above, their types, and how many fields each has."""


def encode_usual(part: Part) -> dict[str, str | None] | None:
    """Return the columns of a part as nearly all are, which is found sound on the way; or `None`.

    What is wrong with others, and where, is said by a check and `encode`.
    """
    fields: Mapping[str, Any] = vars(part)
    type_, size = _USUAL.get(type(part), ("", 0))
    if len(fields) != size or fields["type"] != type_ or fields["metadata"] != {} or not is_id(fields["id"]):
        return None
    text = call_id = name = payload = None
    if size <= 5:
        text = fields["content"]
        if not is_text(text) or fields.get("signature") is not None:
            return None
    else:
        call_id, name = fields["tool_call_id"], fields["tool_name"]
        if not (is_text(call_id) and len(call_id) <= _LONGEST_KEY and is_text(name)):
            return None
        if type_ == "tool_result":
            text = fields["output"]
            if not is_text(text) or fields["title"] != "" or fields["error"] is not None:
                return None
        else:
            try:
                payload = jsontext.dumps(fields["arguments"]) if is_object(fields["arguments"]) else None
            except InvalidValue:
                return None
            if payload is None:
                return None
    return {
        "id": fields["id"],
        "type": type_,
        "text": text,
        "tool_call_id": call_id,
        "tool_name": name,
        "payload": payload,
        "extra": None,
    }


def encode(part: Part, place: str) -> dict[str, str | None]:
    """Return the columns of any checked part. Raises `InvalidValue`, which names the path from `place` on."""
    row: dict[str, str | None] = dict.fromkeys(COLUMNS)
    row.update(id=part.id, type=part.type)
    extra: dict[str, Any] = {"metadata": part.metadata} if part.metadata else {}
    match part:
        case TextPart():
            row["text"], exact = _readable(part.content)
            row["payload"] = _json({} if exact else {"content": part.content}, place)
        case ReasoningPart():
            row["text"], exact = _readable(part.content)
            rest = {} if part.signature is None else {"signature": part.signature}
            row["payload"] = _json(rest if exact else {"content": part.content, **rest}, place)
        case ToolCallPart():
            row["payload"] = jsontext.dumps(part.arguments, f"{place}.arguments")
            _encode_call(row, extra, part.tool_call_id, part.tool_name)
        case ToolResultPart():
            row["text"], exact = _readable(part.output)
            rest = {"title": part.title} if part.title else {}
            rest |= {} if part.error is None else {"error": part.error}
            row["payload"] = _json(rest if exact else {"output": part.output, **rest}, place)
            _encode_call(row, extra, part.tool_call_id, part.tool_name)
        case ImagePart():
            source = {"url": part.url} if part.data is None else {"data": part.data}
            row["payload"] = _json({"media_type": part.media_type, **source, "detail": part.detail}, place)
        case RawPart():
            row["payload"] = jsontext.dumps(part.data, f"{place}.data")
        case UnknownPart():
            row["payload"] = None if part.data is None else jsontext.dumps(part.data, f"{place}.data")
            row["text"], exact = _readable(part.text)
            extra |= part.extra if exact else {**part.extra, "text": part.text}
            _encode_call(row, extra, part.tool_call_id, part.tool_name)
    row["extra"] = _json(extra, place)
    return row


def decode(columns: Sequence[Any]) -> Part:
    """Return the part of a row's columns. Raises `ValueError` or `KeyError` for what nobody can have written."""
    part = _any(*columns)
    part.model_fields_set.update(type(part).model_fields)  # all is known of it, as of the usual ones
    return part


def decode_all(rows: Iterable[Sequence[Any]], other: Callable[[Any], Part]) -> list[Part]:
    """Return the parts of rows whose ids are sound: nearly all without pydantic's checks, the rest as `other` says.

    A long session has thousands of parts: hence one loop, with nothing in it that needn't be.
    """
    found: list[Part] = []
    for row in rows:
        _, position, id_, type_, text, call_id, name, payload, extra = row[:END]
        metadata: dict[str, Any] | None = {} if extra is None else _metadata_alone(extra)
        part: Part | None = None
        if metadata is None or type(position) is not int:
            pass
        elif type_ == "text":
            if payload is None and type(text) is str:
                part = _text({"id": id_, "metadata": metadata, "type": type_, "content": text})
        elif type(call_id) is not str or type(name) is not str:
            pass
        elif type_ == "tool_call":
            if (given := _object(payload)) is not None:
                call = {"id": id_, "metadata": metadata, "type": type_, "tool_call_id": call_id, "tool_name": name}
                part = _tool_call(call | {"arguments": given})
        elif type_ == "tool_result" and payload is None and type(text) is str:
            part = _tool_result(
                {
                    "id": id_,
                    "metadata": metadata,
                    "type": type_,
                    "tool_call_id": call_id,
                    "tool_name": name,
                    "title": "",
                    "output": text,
                    "error": None,
                }
            )
        found.append(part or other(row))
    return found


def _object(text: Any) -> dict[str, Any] | None:
    """Return the JSON object of a text, or `None` if it isn't one."""
    try:
        value: Any = jsontext.loads(text)
    except (ValueError, TypeError):
        return None
    return cast("dict[str, Any]", value) if type(value) is dict else None


def _metadata_alone(extra: Any) -> dict[str, Any] | None:
    """Return the metadata of a part of which `extra` holds nothing else."""
    match _object(extra):
        case {"metadata": metadata, **others} if not others and is_object(metadata):
            return metadata
        case _:
            return None


def _any(id_: Any, type_: Any, given_text: Any, call_id: Any, name: Any, given_payload: Any, given_extra: Any) -> Part:
    payload: Any = None if given_payload is None else jsontext.loads(given_payload)
    extra: dict[str, Any] = {} if given_extra is None else jsontext.loads(given_extra)
    common: dict[str, Any] = {"id": id_, "metadata": extra.get("metadata", {})}
    call: dict[str, Any] = {
        "tool_call_id": extra.get("tool_call_id", call_id),
        "tool_name": extra.get("tool_name", name),
    }
    match type_:
        case "text":
            return TextPart(**{"content": given_text, **(payload or {})}, **common)
        case "reasoning":
            return ReasoningPart(**{"content": given_text, **(payload or {})}, **common)
        case "tool_call":
            return ToolCallPart(arguments=payload, **call, **common)
        case "tool_result":
            return ToolResultPart(**{"output": given_text, **(payload or {})}, **call, **common)
        case "image":
            return ImagePart(**payload, **common)
        case "raw":
            return RawPart(data=payload, **common)
        case unknown:
            text = extra.get("text", given_text)
            rest = {name: value for name, value in extra.items() if name not in _OWN_EXTRAS}
            return UnknownPart(type=unknown, data=payload, text=text, extra=rest, **call, **common)


def copied(columns: Mapping[str, Any]) -> Part:
    """Return the part of a part's columns: equal to the first one, with no value in common that can change."""
    return decode([columns[name] for name in COLUMNS])


def call_of(row: Row[Any]) -> tuple[Any, Any]:
    """Return the exact id and name of a tool call, without its arguments."""
    extra: dict[str, Any] = {} if row.extra is None else jsontext.loads(row.extra)
    return extra.get("tool_call_id", row.tool_call_id), extra.get("tool_name", row.tool_name)


def storable(text: str) -> str:
    """Return text that every database holds, with U+FFFD for what it can't."""
    return text if is_storable(text) else _UNSTORABLE.sub("\ufffd", text)


def key_of(tool_call_id: str) -> str:
    """Return what the indexed column holds for a call's id: the id, or a stand-in that is as unique."""
    readable = storable(tool_call_id)
    if readable == tool_call_id and len(readable) <= _LONGEST_KEY:
        return tool_call_id
    digest = hashlib.sha256(tool_call_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{readable[:180]}~{digest}"


def _readable(text: str | None) -> tuple[str | None, bool]:
    stored = None if text is None else storable(text)
    return stored, stored == text


def _encode_call(row: dict[str, str | None], extra: dict[str, Any], call_id: str | None, name: str | None) -> None:
    row["tool_call_id"] = None if call_id is None else key_of(call_id)
    row["tool_name"], _ = _readable(name)
    exact = {"tool_call_id": call_id, "tool_name": name}
    extra.update({column: value for column, value in exact.items() if row[column] != value})


def _json(fields: Mapping[str, Any], place: str) -> str | None:
    # One level more than a value may have: its name here is the outermost.
    return jsontext.dumps(fields, place, max_depth=jsontext.MAX_DEPTH + 1) if fields else None
