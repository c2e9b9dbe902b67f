"""Making true again what `sessionstore.sql.invariants` asks.

Messages and their parts are what counts; counters, numbers and records are brought to them.
What people or models said is never deleted: what can't be read, and parts and rows that belong
to nothing, stay for a person to look at.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from sessionstore import jsontext
from sessionstore.models.usage import TOKEN_FIELDS, count_tokens
from sessionstore.sql import sessions as session_statements
from sessionstore.sql.messages import IN_SESSION
from sessionstore.sql.rows import COUNTERS
from sessionstore.sql.schema import messages, parts, sessions, summaries
from sessionstore.sql.transaction import Transaction

_AT = (IN_SESSION, messages.c.seq == bindparam("at_seq"))
_COUNTED = (*TOKEN_FIELDS, "turn", "starts_turn")
_MESSAGES = (
    select(
        messages.c.seq,
        messages.c.role,
        messages.c.usage,
        messages.c.created_at,
        *(messages.c[name] for name in _COUNTED),
    )
    .where(IN_SESSION)
    .order_by(messages.c.seq)
)
_RESULTS = (
    select(parts.c.message_seq)
    .distinct()
    .where(parts.c.session_id == bindparam("session"), parts.c.type == "tool_result")
)
_RECOUNT = update(messages).where(*_AT).values({messages.c[name]: bindparam(f"new_{name}") for name in _COUNTED})
_PARTS = (
    select(parts.c.message_seq, parts.c.position)
    .where(parts.c.session_id == bindparam("session"))
    .order_by(parts.c.message_seq, parts.c.position)
)
_THIS_PART = (
    parts.c.session_id == bindparam("session"),
    parts.c.message_seq == bindparam("at_seq"),
    parts.c.position == bindparam("at_position"),
)
_MOVE_PART = update(parts).where(*_THIS_PART).values(position=bindparam("new_position"))
_LIVING = select(messages.c.id).where(
    messages.c.session_id == summaries.c.session_id, messages.c.id == summaries.c.message_id
)
_DROP_POINTLESS = delete(summaries).where(
    summaries.c.session_id == bindparam("session"), summaries.c.message_id.is_not(None), ~_LIVING.exists()
)
_AT_SEQS = select(summaries.c.at_seq).where(summaries.c.session_id == bindparam("session"))
_ROW = select(sessions).where(*session_statements.THIS)
_MENDED = ("message_count", "last_message_at", *COUNTERS, *TOKEN_FIELDS)
_RECOUNT_SESSION = (
    update(sessions)
    .where(*session_statements.THIS)
    .values({sessions.c[name]: bindparam(f"new_{name}") for name in _MENDED})
)


@dataclass
class _Counted:
    """What a session's messages come to, as far as they can be read."""

    messages: int = 0
    turns: int = 0
    highest: int = 0
    latest: datetime | None = None
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOKEN_FIELDS, 0))


async def repair(t: Transaction, session_id: str) -> None:
    """Bring a session's counters, numbers and records to its messages."""
    if await session_statements.hold(t, session_id) is None:
        return
    await t.run(_DROP_POINTLESS, session=session_id)
    await _close_gaps(t, session_id)
    await _recount_session(t, session_id, await _recount(t, session_id))


async def _close_gaps(t: Transaction, session_id: str) -> None:
    moved: list[dict[str, Any]] = []
    message_seq, expected = None, 0
    for part in await t.rows(_PARTS, session=session_id):
        message_seq, expected = part.message_seq, expected + 1 if part.message_seq == message_seq else 0
        if part.position != expected:
            place = {"session": session_id, "at_seq": message_seq, "at_position": part.position}
            moved.append({**place, "new_position": expected})
    await t.run_many(_MOVE_PART, moved)


async def _recount(t: Transaction, session_id: str) -> _Counted:
    """Bring the messages' own numbers to their content, and count them."""
    with_results = {row.message_seq for row in await t.rows(_RESULTS, session=session_id)}
    changed: list[dict[str, Any]] = []
    counted = _Counted()
    for row in await t.rows(_MESSAGES, session=session_id):
        starts_turn = row.role == "user" and row.seq not in with_results
        counted.messages += 1
        counted.turns += starts_turn
        counted.highest = max(_whole(counted.highest, row.seq))
        counted.latest = max(_times(counted.latest, row.created_at), default=None)
        true = {**_tokens(row), "turn": counted.turns, "starts_turn": starts_turn}
        for name in TOKEN_FIELDS:
            counted.tokens[name] += sum(_whole(true[name]))
        if any(getattr(row, name) != value for name, value in true.items()):
            changed.append({"session": session_id, "at_seq": row.seq, **{f"new_{k}": v for k, v in true.items()}})
    await t.run_many(_RECOUNT, changed)
    return counted


async def _recount_session(t: Transaction, session_id: str, counted: _Counted) -> None:
    """Bring a session's counters to its messages; what isn't even a number is made anew from the rest."""
    row = (await t.rows(_ROW, session=session_id))[0]
    at_seqs = [record.at_seq for record in await t.rows(_AT_SEQS, session=session_id)]
    true: dict[str, Any] = {
        "message_count": counted.messages,
        "turn_count": counted.turns,
        "last_seq": max(_whole(counted.highest, row.last_seq, *at_seqs)),
        "last_message_at": next(iter(_times(row.last_message_at)), counted.latest),
    }
    for name, tokens in counted.tokens.items():
        total, base = getattr(row, name), getattr(row, f"base_{name}")
        known = [*_whole(base), *(whole - tokens for whole in _whole(total)), 0][0]
        true |= {f"base_{name}": known, name: known + tokens}
    await t.run(_RECOUNT_SESSION, session=session_id, **{f"new_{name}": value for name, value in true.items()})


def _whole(*values: Any) -> list[int]:
    return [value for value in values if type(value) is int]


def _times(*values: Any) -> list[datetime]:
    return [value for value in values if isinstance(value, datetime) and value.tzinfo]


def _tokens(row: Any) -> dict[str, int]:
    try:
        return count_tokens(None if row.usage is None else jsontext.loads(row.usage))._asdict()
    except (ValueError, TypeError, AttributeError):
        return {name: getattr(row, name) for name in TOKEN_FIELDS}  # unreadable: it stays as it is
