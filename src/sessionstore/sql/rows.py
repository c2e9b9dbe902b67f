"""Rows to models: pure functions."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Row

from sessionstore import jsontext
from sessionstore.collecting import collector_paused
from sessionstore.errors import CorruptRecord
from sessionstore.models import Message, Part, ReadFile, Summary, ToolUse, Turn
from sessionstore.models.base import maker
from sessionstore.models.read_file import path_text
from sessionstore.models.usage import TOKEN_FIELDS
from sessionstore.sql import part_rows
from sessionstore.sql.part_rows import decode, decode_all
from sessionstore.sql.schema import messages, parts, read_files, sessions, summaries
from sessionstore.sql.soundness import is_id, is_object, is_usage, messages_sound

OF_LAST = tuple(field for field in TOKEN_FIELDS if field != "reasoning_tokens")
"""The counts of a turn's last model message that are given besides the turn's sums."""

COUNTERS = ("last_seq", "turn_count", *(f"base_{field}" for field in TOKEN_FIELDS))
"""What a session's row counts and nobody reads but writers."""


# Rows of messages and parts have their columns in these places, whatever follows.
_SEQ, _POSITION, _ID, _TYPE = range(4)
_OF_PART = slice(part_rows.PLACE, part_rows.END)
_OF_MESSAGE = slice(_OF_PART.stop, _OF_PART.stop + 7)
_PAGE = 64  # messages that are checked as one
_message = maker(Message)
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError)


def messages_of(session_id: str, rows: Sequence[Row[Any]]) -> list[Message]:
    """Return the messages of a `messages.reading` statement's rows, by `seq`."""
    with collector_paused(len(rows)):
        groups = grouped(rows)
        del rows
        return messages_of_groups(session_id, groups)


def messages_of_groups(session_id: str, groups: list[tuple[Row[Any], list[Row[Any]]]]) -> list[Message]:
    """Return the messages of `grouped` rows, in their order; the list is used up.

    What a page of messages was made of goes before the next one is made, unless the caller keeps it.
    """
    with collector_paused(len(groups)):
        groups.reverse()
        found: list[Message] = []
        while groups:
            page = groups[: -_PAGE - 1 : -1]
            del groups[-_PAGE:]
            sound = _are_sound(page)
            found += [_message_of(session_id, row, parts, sound=sound) for row, parts in page]
        return found


def _are_sound(page: Sequence[tuple[Row[Any], Sequence[Row[Any]]]]) -> bool:
    """Whether messages' rows are what the model allows, and the ids of their parts; but for what is JSON.

    Each column is checked as one, which costs a third of checking value by value.
    """
    columns = [*zip(*(row for row, _ in page), strict=True)]
    ids = [*columns[_ID], *[part[_ID] for _, parts in page for part in parts]]
    turns, statuses, models, providers, _, _, times = columns[_OF_MESSAGE]
    texts, numbers = chain(models, providers), chain(columns[_SEQ], turns)
    return messages_sound(ids, columns[_TYPE], statuses, texts, times, numbers)


def grouped(rows: Iterable[Row[Any]]) -> list[tuple[Row[Any], list[Row[Any]]]]:
    """Return each message's row with those of its parts, all in order.

    Rows of messages come first; parts of other messages than those are passed over.
    """
    found: dict[int, tuple[Row[Any], list[Row[Any]]]] = {}
    for row in rows:
        seq = row[_SEQ]
        if row[_POSITION] is None:
            found[seq] = (row, [])
        elif seq in found:
            found[seq][1].append(row)
    try:
        return _in_order(found, None, itemgetter(_POSITION))
    except TypeError:
        return _in_order(found, rank, lambda part: rank(part[_POSITION]))


def _in_order(
    found: dict[Any, tuple[Row[Any], list[Row[Any]]]],
    rank: Callable[[Any], Any] | None,
    rank_part: Callable[[Row[Any]], Any],
) -> list[tuple[Row[Any], list[Row[Any]]]]:
    for _, part_rows_ in found.values():
        if len(part_rows_) > 1:
            part_rows_.sort(key=rank_part)
    return [found[seq] for seq in sorted(found, key=rank)]


def rank(key: Any) -> tuple[int, Any]:
    """Return what sorts the values of a column of numbers, whatever it holds."""
    # SQLite lets anything into a column of numbers; and sorts numbers, text, bytes.
    return isinstance(key, str) + 2 * isinstance(key, bytes), key


def message_of(session_id: str, row: Row[Any], parts: Sequence[Row[Any]]) -> Message:
    """Return the message of its rows. Raises `CorruptRecord`, which names the bad one."""
    return _message_of(session_id, row, parts, sound=_are_sound([(row, parts)]))


def _message_of(session_id: str, row: Row[Any], parts: Iterable[Row[Any]], *, sound: bool) -> Message:
    decoded = _parts_of(session_id, parts, sound=sound)
    seq, id_, role = row[_SEQ], row[_ID], row[_TYPE]
    turn, status, model, provider, usage, metadata, created_at = row[_OF_MESSAGE]
    try:
        fields: dict[str, Any] = {
            "id": id_,
            "session_id": session_id,
            "role": role,
            "parts": decoded,
            "created_at": created_at,
            "model": model,
            "provider": provider,
            "usage": None if usage is None else jsontext.loads(usage),
            "status": status,
            "metadata": {} if metadata == "{}" else jsontext.loads(metadata),
            "seq": seq,
            "turn": turn,
        }
        sound = sound and (usage is None or is_usage(fields["usage"])) and is_object(fields["metadata"])
        return _message(fields) if sound else Message(**fields)
    except (ValueError, TypeError) as error:
        raise corrupt(messages.name, (session_id, seq), error) from error


def check_numbers(table: str, key: tuple[object, ...], row: Row[Any], names: Iterable[str]) -> None:
    """Raise `CorruptRecord` unless those columns hold whole numbers: SQLite lets anything in."""
    for name in names:
        if type(value := getattr(row, name)) is not int:
            raise CorruptRecord(table, key, f"{name}: is {type(value).__name__}, not a whole number")


def check_counters(session_id: str, row: Row[Any]) -> None:
    """Raise `CorruptRecord` unless the counters of a session's row are some that writers can go on from."""
    check_numbers(sessions.name, (session_id,), row, COUNTERS)
    time = row.last_message_at
    if time is not None and not (isinstance(time, datetime) and time.tzinfo):
        raise CorruptRecord(sessions.name, (session_id,), "last_message_at: isn't a time that can be counted on from")


def parts_of(session_id: str, rows: Sequence[Row[Any]]) -> list[Part]:
    """Return the parts of rows. Raises `CorruptRecord`, which names the bad one."""
    return _parts_of(session_id, rows, sound=all(is_id(row[_ID]) for row in rows))


def _parts_of(session_id: str, rows: Iterable[Row[Any]], *, sound: bool) -> list[Part]:
    checked = partial(part_of, session_id)
    return decode_all(rows, checked) if sound else [*map(checked, rows)]


def part_of(session_id: str, row: Row[Any]) -> Part:
    """Return the part of a row. Raises `CorruptRecord`."""
    key = (session_id, row[_SEQ], row[_POSITION])
    if type(row[_POSITION]) is not int:
        raise CorruptRecord(parts.name, key, "position: isn't a whole number")
    try:
        return decode(row[_OF_PART])
    except _UNREADABLE as error:
        raise corrupt(parts.name, key, error) from error


def read_file_of(row: Row[Any]) -> ReadFile:
    """Return the record of a read file, which is looked up by the hash of its path."""
    key = (row.session_id, row.path_hash.hex() if isinstance(row.path_hash, bytes) else row.path_hash)
    try:
        if hashlib.sha256(row.path_bytes).digest() != row.path_hash:
            raise CorruptRecord(read_files.name, key, "path_hash isn't that of path_bytes")
        return ReadFile(
            path=path_text(row.path_bytes),
            read_at=row.read_at,
            mtime_ns=row.mtime_ns,
            size=row.size,
            content_hash=row.content_hash,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise corrupt(read_files.name, key, error) from error


def summary_of(session_id: str, row: Row[Any]) -> Summary:
    """Return a compaction record."""
    try:
        return Summary(
            number=row.number,
            message_id=row.message_id,
            from_seq=row.from_seq,
            through_seq=row.through_seq,
            kept=jsontext.loads(row.kept),
            at_seq=row.at_seq,
            active=row.active,
            strategy=row.strategy,
            trigger=row.trigger,
            tokens_before=row.tokens_before,
            tokens_after=row.tokens_after,
            details=jsontext.loads(row.details),
            created_at=row.created_at,
        )
    except (ValueError, TypeError) as error:
        raise corrupt(summaries.name, (session_id, row.number), error) from error


def turn_of(session_id: str, row: Row[Any], tool_calls: list[ToolUse]) -> Turn:
    """Return a turn of a row of `turns`, with its tool calls. Raises `CorruptRecord`, by the turn's first message."""
    counted = (*TOKEN_FIELDS, *(f"last_{field}" for field in OF_LAST))
    try:
        return Turn(
            number=row.turn,
            first_seq=row.first_seq,
            last_seq=row.last_seq,
            message_count=row.message_count,
            started_at=row.started_at,
            ended_at=row.ended_at,
            duration_seconds=(row.ended_at - row.started_at).total_seconds(),
            tool_calls=tool_calls,
            **{field: int(getattr(row, field) or 0) for field in counted},
        )
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise corrupt(messages.name, (session_id, row.first_seq), error) from error


def tool_use_of(session_id: str, row: Row[Any]) -> ToolUse:
    """Return a tool call of a row of `turns`."""
    ended = row.ended_at
    try:
        call_id, name = part_rows.call_of(row)
        return ToolUse(
            name=name,
            tool_call_id=call_id,
            started_at=row.started_at,
            ended_at=ended,
            duration_seconds=None if ended is None else (ended - row.started_at).total_seconds(),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise corrupt(parts.name, (session_id, row.first_seq, row.position), error) from error


def corrupt(table: str, key: tuple[object, ...], error: Exception) -> CorruptRecord:
    """Return the error for a row that can't be read."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return CorruptRecord(table, key, f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}")
    return CorruptRecord(table, key, f"can't be read ({type(error).__name__}); restore it from a backup")
