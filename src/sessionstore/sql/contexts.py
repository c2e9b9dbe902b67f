"""Reading what no summary covers: its cost doesn't depend on what one covers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    Row,
    bindparam,
    case,
    literal_column,
    or_,
    select,
    union_all,
)

from sessionstore.models import Message
from sessionstore.sql import summaries as records
from sessionstore.sql.messages import AFTER_SEQ, IN_SESSION, mark_columns, message_columns, part_columns, reading
from sessionstore.sql.rows import grouped, messages_of, messages_of_groups
from sessionstore.sql.schema import messages, parts, sessions, summaries
from sessionstore.sql.sessions import OWNED, THIS
from sessionstore.sql.summaries import InForce
from sessionstore.sql.transaction import Transaction

_LAST = 2**63 - 1
_MOST_RANGES = 32
"""How many a statement may have. Where more is kept, what lies in the smallest gaps between is read too."""

_OTHER_SUMMARIES = select(summaries.c.message_id).where(
    summaries.c.session_id == bindparam("session"),
    summaries.c.message_id != bindparam("its_message"),
)
_WRITTEN = ("updated_at",)
_STILL_THERE = (
    select(summaries.c.number)
    .where(
        summaries.c.session_id == bindparam("session"),
        summaries.c.number == bindparam("in_force"),
        summaries.c.at_seq == bindparam("made_at"),
    )
    .exists()
)
_SHOWN = (
    IN_SESSION,
    OWNED,
    messages.c.id.not_in(_OTHER_SUMMARIES),
    or_(bindparam("in_force", type_=BigInteger) == 0, _STILL_THERE),
)
MARK = -1
RECORDS = summaries.alias("records")
COMPACTED = (RECORDS.c.session_id == bindparam("session"), OWNED)


def unless_compacted(seq: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition on a `seq` that nothing of the session was compacted."""
    # As a bound on the key, which is worked out once: SQLite would go through the session to ask of each message.
    return seq > case(
        (select(RECORDS.c.number).where(*COMPACTED).exists(), literal_column(str(_LAST), BigInteger)),
        else_=literal_column(str(-_LAST), BigInteger),
    )


# A mark in the place of all messages tells, in the same snapshot, that something was compacted.
_UNLESS_COMPACTED = {
    limited: union_all(
        *reading(
            unless_compacted(messages.c.seq),
            first_by=messages.c.seq.desc() if limited else None,
            more=_WRITTEN,
        ).selects,
        select(*mark_columns(RECORDS.c.number, MARK, _WRITTEN)).where(*COMPACTED),
    )
    for limited in (False, True)
}
_PARTS = (parts.c.session_id == bindparam("session"), OWNED)
_SESSION = select(sessions.c.model_id, sessions.c.turn_count).where(*THIS)
_REPORTED = (
    select(messages.c.seq, messages.c.model, messages.c.input_tokens, messages.c.output_tokens)
    .where(IN_SESSION, AFTER_SEQ, messages.c.role == literal_column("'assistant'"), messages.c.input_tokens > 0, OWNED)
    .order_by(messages.c.seq.desc())
    .limit(1)
)


# A statement a number of ranges, each read by key of its own: as a join with a table of ranges, or as alternatives in
# one condition, Postgres reads all that lies between once it plans without knowing the values.


@cache
def _read(size: int) -> Executable:
    """Return the statement for messages in so many ranges, and their parts."""
    return union_all(
        *(select(*message_columns(messages, _WRITTEN)).where(*_SHOWN, _in(messages.c.seq, n)) for n in range(size)),
        *(select(*part_columns(_WRITTEN)).where(*_PARTS, _in(parts.c.message_seq, n)) for n in range(size)),
    )


@cache
def _turn_starts(size: int) -> Executable:
    """Return the statement for the messages that start turns in so many ranges."""
    # Written so that the index on those of the whole session isn't taken for the better one.
    starts_turn = case((messages.c.starts_turn, 1), else_=0) == literal_column("1")
    starts = select(messages.c.seq).where(IN_SESSION, OWNED, starts_turn)
    return union_all(*(starts.where(_in(messages.c.seq, n)) for n in range(size)))


def _in(seq: ColumnElement[int], number: int) -> ColumnElement[bool]:
    return seq.between(bindparam(f"low_{number}"), bindparam(f"high_{number}"))


@dataclass(frozen=True)
class Context:
    """The messages that no summary covers, by `seq`, and the summary's where the first stood that it covers."""

    in_force: InForce | None
    messages: list[Message]
    written: dict[int, datetime]
    """When each message, by `seq`, was last written."""


@dataclass(frozen=True)
class Usage:
    """What is known of a context's size: what the model reported last, and the messages that this leaves out."""

    model: str | None
    turns: int
    reported: tuple[int, int] | None
    uncounted: list[Message]


async def read(t: Transaction, session_id: str, limit: int | None = None) -> Context:
    """Return the context, or the latest so many messages of it."""
    page = {} if limit is None else {"page_size": limit}
    rows = await t.rows(_UNLESS_COMPACTED[limit is not None], session=session_id, **page)
    if not any(row.position == MARK for row in rows):
        return _context(session_id, None, grouped(rows))
    context = await _compacted(t, session_id)
    return context if limit is None else replace(context, messages=context.messages[-limit:] if limit else [])


async def _compacted(t: Transaction, session_id: str) -> Context:
    while True:
        in_force = await records.in_force(t, session_id)
        found = grouped(await _rows(t, session_id, in_force, _shown(in_force)))
        # No message: there is none, or the record has just gone, with its message, and what it covered is back.
        if found or in_force is None or await _is_in_force(t, session_id, in_force):
            break
    shown = [(row, its_parts) for row, its_parts in found if _is_shown(in_force, row.seq)]
    if in_force is not None:
        place = (in_force.record.place, 0)
        shown.sort(key=lambda one: place if one[0].seq == in_force.message_seq else (one[0].seq, 1))
    return _context(session_id, in_force, shown)


def _context(session_id: str, in_force: InForce | None, shown: list[tuple[Row[Any], list[Row[Any]]]]) -> Context:
    written = {row.seq: row.updated_at for row, _ in shown}
    return Context(in_force, messages_of_groups(session_id, shown), written)


async def usage(t: Transaction, session_id: str) -> Usage:
    """Return what is known of the context's size."""
    session = await t.row(_SESSION, session=session_id)
    if session is None:
        return Usage(None, 0, None, [])
    in_force = await records.in_force(t, session_id)
    number, made_at = (None, 0) if in_force is None else in_force.identity
    turns = session.turn_count
    if in_force is not None:
        size, bounds = _sized(_shown(in_force))
        starts = await t.rows(_turn_starts(size), session=session_id, **bounds)
        turns = sum(_is_shown(in_force, row.seq) for row in starts)
    latest = await t.row(_REPORTED, session=session_id, after_seq=made_at)
    if latest is None:
        return Usage(session.model_id, turns, None, (await read(t, session_id)).messages)
    model = latest.model or session.model_id
    if await records.made_before(t, session_id, latest.seq) != number:  # it saw a summary that was undone since
        return Usage(model, turns, None, (await read(t, session_id)).messages)
    behind = messages_of(session_id, await _rows(t, session_id, in_force, [(latest.seq + 1, _LAST)]))
    return Usage(model, turns, (latest.input_tokens, latest.output_tokens), behind)


async def _is_in_force(t: Transaction, session_id: str, in_force: InForce) -> bool:
    now = await records.in_force(t, session_id)
    return now is not None and now.identity == in_force.identity


async def _rows(
    t: Transaction, session_id: str, in_force: InForce | None, shown: Sequence[tuple[int, int]]
) -> Sequence[Row[Any]]:
    number, made_at = (0, 0) if in_force is None else in_force.identity
    its_message = None if in_force is None else in_force.record.message_id
    size, bounds = _sized(shown)
    return await t.rows(
        _read(size),
        session=session_id,
        in_force=number,
        made_at=made_at,
        its_message=its_message or "",  # which no message has for an id
        **bounds,
    )


def _sized(shown: Sequence[tuple[int, int]]) -> tuple[int, dict[str, int]]:
    """Return how many ranges a statement is to have, a power of two, and their bounds; what is too much is empty."""
    size = 1 << max(0, len(shown) - 1).bit_length()
    padded = [*shown, *[(1, 0)] * (size - len(shown))]
    bounds = {f"low_{n}": low for n, (low, _) in enumerate(padded)}
    return size, bounds | {f"high_{n}": high for n, (_, high) in enumerate(padded)}


def _is_shown(in_force: InForce | None, seq: int) -> bool:
    return in_force is None or seq == in_force.message_seq or not in_force.record.covers(seq)


def _shown(in_force: InForce | None) -> list[tuple[int, int]]:
    """Return ranges, not too many, with all that isn't covered and the summary message, none overlapping another."""
    if in_force is None:
        return [(0, _LAST)]
    record = in_force.record
    shown = [(0, record.from_seq - 1), *record.kept, (max(record.through_seq + 1, record.from_seq), _LAST)]
    if in_force.message_seq is not None:
        shown.append((in_force.message_seq, in_force.message_seq))
    shown = sorted(pair for pair in shown if pair[0] <= pair[1])
    gaps = sorted((low - high for (_, high), (low, _) in pairwise(shown)), reverse=True)
    return _merged(shown, max(0, *gaps[_MOST_RANGES - 1 :]) if len(shown) > _MOST_RANGES else 0)


def _merged(ranges: Iterable[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Return the ranges, those joined that overlap or lie no further apart than the gap."""
    merged: list[tuple[int, int]] = []
    for low, high in ranges:
        if merged and low - merged[-1][1] <= gap:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged
