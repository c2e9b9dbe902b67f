"""What is always true of the tables, asked session by session, and how to make it true again.

Tests ask it after every fault that they inject; `sessionstore.doctor` asks it of a database.
Each question is one statement, hence one snapshot: a session in use gives no false alarm.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, case, func, literal_column, select

from sessionstore.errors import CorruptRecord
from sessionstore.models.usage import TOKEN_FIELDS, count_tokens
from sessionstore.sql import sessions as session_statements
from sessionstore.sql.dialect import Key
from sessionstore.sql.info_rows import info_of
from sessionstore.sql.messages import AFTER_SEQ, IN_SESSION, reading
from sessionstore.sql.rows import (
    COUNTERS,
    check_counters,
    check_numbers,
    grouped,
    message_of,
    read_file_of,
    summary_of,
)
from sessionstore.sql.schema import messages, parts, read_files, sessions, summaries
from sessionstore.sql.transaction import Transaction

_PAGE = 500
_SESSION = bindparam("session", type_=Key)

_HALF: ColumnElement[int] = literal_column(str(2**32))


def _sum_of(field: str) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return the sum of a message's counts in two parts: SQLite raises an error where a sum leaves 64 bits."""
    count = messages.c[field]
    return func.sum(count.op("/")(_HALF)).label(f"high_{field}"), func.sum(count % _HALF).label(f"low_{field}")


_counted = (
    select(
        messages.c.session_id,
        func.count().label("messages"),
        func.max(messages.c.seq).label("highest"),
        *chain.from_iterable(map(_sum_of, TOKEN_FIELDS)),
    )
    .where(IN_SESSION)
    .group_by(messages.c.session_id)
    .subquery()
)
_last_turn = select(messages.c.turn).where(IN_SESSION).order_by(messages.c.seq.desc()).limit(1).scalar_subquery()
_COUNTERS = (
    select(
        *session_statements.INFO,
        *(sessions.c[name] for name in COUNTERS),
        sessions.c.last_message_at,
        *(_counted.c[f"{part}_{field}"] for field in TOKEN_FIELDS for part in ("high", "low")),
        _counted.c.messages,
        _counted.c.highest,
        _last_turn.label("last_turn"),
    )
    .select_from(sessions.outerjoin(_counted, _counted.c.session_id == sessions.c.id))
    .where(*session_statements.THIS)
)
_numbered = (
    select(
        messages.c.seq,
        messages.c.turn,
        func.sum(case((messages.c.starts_turn, 1), else_=0)).over(order_by=messages.c.seq).label("expected"),
    )
    .where(IN_SESSION)
    .subquery()
)
_TURNS = select(_numbered).where(_numbered.c.turn != _numbered.c.expected).order_by(_numbered.c.seq)
_POSITIONS = (
    select(parts.c.message_seq, func.count().label("parts"), func.max(parts.c.position).label("highest"))
    .where(parts.c.session_id == _SESSION)
    .group_by(parts.c.message_seq)
    .having((func.max(parts.c.position) != func.count() - 1) | (func.min(parts.c.position) != 0))
)
_OWNER = and_(messages.c.session_id == parts.c.session_id, messages.c.seq == parts.c.message_seq)
_LOOSE_PARTS = (
    select(parts.c.message_seq, parts.c.position)
    .outerjoin(messages, _OWNER)
    .where(parts.c.session_id == _SESSION, messages.c.seq.is_(None))
)
_POINTED = and_(messages.c.session_id == summaries.c.session_id, messages.c.id == summaries.c.message_id)
_SUMMARIES = (
    select(summaries, messages.c.seq.label("message_seq"), sessions.c.last_seq)
    .select_from(summaries.outerjoin(messages, _POINTED).join(sessions, sessions.c.id == summaries.c.session_id))
    .where(summaries.c.session_id == _SESSION)
    .order_by(summaries.c.number)
)
_FILES = select(read_files).where(read_files.c.session_id == _SESSION)
_MESSAGES = reading(AFTER_SEQ, first_by=messages.c.seq, more=("starts_turn", *TOKEN_FIELDS))
_BELOW = (messages, parts, read_files, summaries)
_LOOSE = {
    table.name: select(table.c.session_id)
    .distinct()
    .where(~select(sessions.c.id).where(sessions.c.id == table.c.session_id).exists())
    for table in _BELOW
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that isn't as it always should be, in the row of `table` with `key`."""

    session_id: str
    table: str
    key: tuple[object, ...]
    message: str


async def problems_of(t: Transaction, session_id: str) -> list[Problem]:
    """Return what is wrong with a session; nothing for one that isn't there (any more)."""
    row = await t.row(_COUNTERS, session=session_id)
    if row is None:
        return []
    found = [Problem(session_id, sessions.name, (session_id,), message) for message in _miscounted(row)]
    for turn in await t.rows(_TURNS, session=session_id):
        message = f"turn is {turn.turn}, and {turn.expected} turns start up to here"
        found.append(Problem(session_id, messages.name, (session_id, turn.seq), message))
    for one in await t.rows(_POSITIONS, session=session_id):
        message = f"positions aren't dense: there are {one.parts} parts, up to position {one.highest}"
        found.append(Problem(session_id, parts.name, (session_id, one.message_seq), message))
    for one in await t.rows(_LOOSE_PARTS, session=session_id):
        key = (session_id, one.message_seq, one.position)
        found.append(Problem(session_id, parts.name, key, "the part's message isn't there"))
    for summary in await t.rows(_SUMMARIES, session=session_id):
        key = (session_id, summary.number)
        found += (Problem(session_id, summaries.name, key, message) for message in _misplaced(session_id, summary))
    for file in await t.rows(_FILES, session=session_id):
        try:
            read_file_of(file)
        except CorruptRecord as error:
            found.append(Problem(session_id, error.table, error.key, error.reason))
    return found + await _unreadable(t, session_id)


async def loose_rows(t: Transaction) -> list[Problem]:
    """Return tables' rows of sessions that aren't there, of any tenant, by session."""
    found = [
        Problem(row.session_id, table, (row.session_id,), "rows of a session that isn't there")
        for table, statement in _LOOSE.items()
        for row in await t.rows(statement)
    ]
    return sorted(found, key=lambda problem: problem.session_id)


def _miscounted(row: Row[Any]) -> Iterator[str]:
    try:
        check_counters(row.id, row)
        check_numbers(sessions.name, (row.id,), row, ("message_count", *TOKEN_FIELDS))
    except CorruptRecord as error:
        yield error.reason
        return  # what isn't a number equals none
    if row.message_count != (row.messages or 0):
        yield f"message_count is {row.message_count}, and there are {row.messages or 0} messages"
    if type(row.highest) is int and row.last_seq < row.highest:
        yield f"last_seq is {row.last_seq}, and the highest seq {row.highest}"
    if row.turn_count != (row.last_turn or 0):
        yield f"turn_count is {row.turn_count}, and the last message is of turn {row.last_turn or 0}"
    for field in TOKEN_FIELDS:
        total, base = getattr(row, field), getattr(row, f"base_{field}")
        high, low = (int(getattr(row, f"{part}_{field}") or 0) for part in ("high", "low"))
        added = high * 2**32 + low
        if total != base + added:
            yield f"{field} is {total}, and base and messages make {base + added}"
    try:
        info_of(row)
    except CorruptRecord as error:
        yield error.reason


def _misplaced(session_id: str, row: Row[Any]) -> Iterator[str]:
    if row.message_id is not None and row.message_seq is None:
        yield f"its message {row.message_id!r} isn't there"
    try:
        summary_of(session_id, row)
    except CorruptRecord as error:
        yield error.reason
    else:
        if row.at_seq > row.last_seq:
            yield f"at_seq is {row.at_seq}, and the session's last_seq {row.last_seq}"


async def _unreadable(t: Transaction, session_id: str) -> list[Problem]:
    """Read every message as its readers would, a page at a time."""
    found: list[Problem] = []
    after = -1
    while page := grouped(await t.rows(_MESSAGES, session=session_id, after_seq=after, page_size=_PAGE)):
        for row, part_rows in page:
            found += _misread(session_id, row, part_rows)
        after = page[-1][0].seq
    return found


def _misread(session_id: str, row: Row[Any], part_rows: Sequence[Row[Any]]) -> Iterator[Problem]:
    key = (session_id, row.seq)
    try:
        message = message_of(session_id, row, part_rows)
    except CorruptRecord as error:
        yield Problem(session_id, error.table, error.key, error.reason)
        return
    if message.starts_turn != row.starts_turn:
        yield Problem(session_id, messages.name, key, f"starts_turn is {row.starts_turn}, and its parts say otherwise")
    for field, count in count_tokens(message.usage)._asdict().items():
        if getattr(row, field) != count:
            yield Problem(session_id, messages.name, key, f"{field} is {getattr(row, field)}, and usage says {count}")
