"""Messages to columns: what is given, checked and ready to be written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from sessionstore import jsontext
from sessionstore.errors import InvalidValue
from sessionstore.models import Message, Part
from sessionstore.models.base import maker
from sessionstore.models.usage import MAX_TOTAL, NO_TOKENS, Tokens, count_tokens
from sessionstore.sql import part_rows
from sessionstore.sql.checks import check_model
from sessionstore.sql.part_rows import encode_usual
from sessionstore.sql.soundness import is_id, is_sound

# Columns that are a message's content, and what a reading statement calls them.
_MESSAGE_CONTENT = {"role": "type"} | {name: name for name in ("status", "model", "provider", "usage", "metadata")}
_SIZE = len(Message.model_fields)
_copy = maker(Message)
_NO_TOKENS = NO_TOKENS._asdict()
_PART_CONTENT = tuple(column for column in part_rows.COLUMNS if column not in ("id", "payload"))


@dataclass(slots=True)
class Prepared:
    """A message, checked and turned into columns, ready to be written."""

    message: Message
    columns: dict[str, Any]
    parts: list[dict[str, Any]]
    tokens: Tokens
    starts_turn: bool
    time: datetime | None
    """The time that the caller gave explicitly."""

    def same_content(self, row: Row[Any], part_rows_: Sequence[Row[Any]]) -> bool:
        """Whether the stored rows have the same content, part ids and times aside."""
        return self.part_content() == _part_content(
            [{name: getattr(part, name) for name in part_rows.COLUMNS} for part in part_rows_]
        ) and all(self.columns[column] == getattr(row, name) for column, name in _MESSAGE_CONTENT.items())

    def is_stored_as(self, row: Row[Any], part_rows_: Sequence[Row[Any]]) -> bool:
        """Whether the stored rows have the same content, part ids included."""
        ids = [part["id"] for part in self.parts]
        return ids == [part.id for part in part_rows_] and self.same_content(row, part_rows_)

    def same_as(self, other: "Prepared") -> bool:
        """Whether another message has the same content."""
        return self.part_content() == other.part_content() and all(
            self.columns[column] == other.columns[column] for column in _MESSAGE_CONTENT
        )

    def part_content(self) -> list[tuple[Any, ...]]:
        """Return the columns of the parts that are content."""
        return _part_content(self.parts)


def _part_content(parts: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    # No payload and the JSON value null are the same to a part of an unknown type, and to no other.
    return [(*(part[name] for name in _PART_CONTENT), part["payload"] or "null") for part in parts]


def prepare(message: Message, place: str = "message") -> Prepared:
    """Check a message and turn it into columns. Raises `InvalidValue`, which names the path."""
    checked = _checked(message, place)
    parts = [
        encode_usual(part) or _encoded(part, f"{place}.parts[{index}]") for index, part in enumerate(checked.parts)
    ]
    tokens = count_tokens(checked.usage)
    columns: dict[str, Any] = {
        "id": checked.id,
        "role": checked.role,
        "status": checked.status,
        "model": checked.model,
        "provider": checked.provider,
        "usage": None if checked.usage is None else jsontext.dumps(checked.usage, f"{place}.usage"),
        "metadata": jsontext.dumps(checked.metadata, f"{place}.metadata") if checked.metadata else "{}",
        "starts_turn": checked.starts_turn,
        **(_NO_TOKENS if tokens is NO_TOKENS else tokens._asdict()),
    }
    time = checked.created_at if "created_at" in message.model_fields_set else None
    return Prepared(checked, columns, parts, tokens, checked.starts_turn, time)


def _checked(message: Message, place: str) -> Message:
    """Return a checked copy of a message, which may have been changed since it was made."""
    if type(message) is Message and len(fields := vars(message)) == _SIZE and is_sound(fields):
        parts: Any = fields["parts"]
        if (
            is_id(fields["session_id"])
            and type(parts) is list
            and part_rows.PART_KINDS.issuperset(map(type, message.parts))
        ):
            own = {**fields, "parts": message.parts.copy(), "metadata": message.metadata.copy()}
            own["usage"] = None if message.usage is None else message.usage.copy()
            return _copy(own)
    return check_model(message, Message, place)


def total(batch: Sequence[Prepared]) -> Tokens:
    """Return the sums of the messages' token counts. Raises `InvalidValue` when a database can't hold them."""
    if len(batch) == 1:
        return batch[0].tokens
    sums = Tokens(*map(sum, zip(*(prepared.tokens for prepared in batch), strict=True)))
    if any(abs(count) > MAX_TOTAL for count in sums):
        raise InvalidValue(f"messages: their token counts add up to more than {MAX_TOTAL}")
    return sums


def part_columns(part: Part, place: str) -> dict[str, Any]:
    """Check a part and turn it into columns. Raises `InvalidValue`, which names the path."""
    return encode_usual(part) or _encoded(part, place)


def _encoded(part: Part, place: str) -> dict[str, Any]:
    return part_rows.encode(check_model(part, type(part), place), place)
