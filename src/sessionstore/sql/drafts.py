"""Drafts: messages that are stored while they arrive.

A draft is a message with status `in_progress`; its parts are, after each flush, exactly what
saving the same parts would have stored. A flush locks the message's row, then its parts, and
never the session's: appends to the session go on meanwhile. It carries only what is new, and
twice is the same as once. The draft's end counts its tokens, and so locks the session first,
as every writer of a session does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Executable, Integer, Text, bindparam, func, select, update

from sessionstore.errors import MessageConflict, SessionStoreError
from sessionstore.models import Message
from sessionstore.sql import changing, sessions
from sessionstore.sql import messages as reading
from sessionstore.sql.dialect import Capabilities, now
from sessionstore.sql.messages import IN_SESSION
from sessionstore.sql.part_rows import COLUMNS
from sessionstore.sql.prepared import Prepared
from sessionstore.sql.rows import grouped, message_of
from sessionstore.sql.schema import messages, parts
from sessionstore.sql.sessions import OWNED
from sessionstore.sql.transaction import Transaction

Columns = dict[str, Any]
"""A part's columns, as `rows.part_columns` gives them."""

# One that `recover` took for dead is taken back: its writer lives, after all.
_SIGN_OF_LIFE = (
    update(messages)
    .where(
        IN_SESSION,
        messages.c.seq == bindparam("at_seq"),
        messages.c.id == bindparam("message"),
        messages.c.status != "complete",
        OWNED,
    )
    .values(status="in_progress", updated_at=now())
)


def _grown(column: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    kept = func.substr(column, 1, bindparam(f"keep_{name}", type_=Integer), type_=Text)
    return func.coalesce(kept, "", type_=Text) + bindparam(f"more_{name}", type_=Text)


_PART = (
    parts.c.session_id == bindparam("session"),
    parts.c.message_seq == bindparam("at_seq"),
    parts.c.position == bindparam("at_position"),
    parts.c.id == bindparam("part"),
)
_FIND = select(parts.c.position).where(*_PART)
# Whoever saves an older copy of a draft gives its last part the same id, and less in it.
_FIND_AS_IT_WAS = _FIND.where(
    *(
        func.coalesce(func.length(parts.c[name]), 0) == bindparam(f"{name}_length", type_=Integer)
        for name in ("text", "payload")
    )
)
_GROW = (
    update(parts)
    .where(
        *_PART,
        # As it was known to be, or as an attempt whose outcome isn't known has made it.
        func.length(parts.c.text).between(bindparam("shortest"), bindparam("longest")),
    )
    .values(
        {
            parts.c.text: _grown(parts.c.text, "text"),
            parts.c.payload: func.nullif(_grown(parts.c.payload, "payload"), ""),
        }
    )
)


@cache
def _put(capabilities: Capabilities) -> Executable:
    statement = capabilities.insert(parts)
    return statement.on_conflict_do_update(
        index_elements=["session_id", "message_seq", "position"],
        set_={name: statement.excluded[name] for name in COLUMNS},
    )


@dataclass(frozen=True)
class Place:
    """Where a draft is stored. A message of the same id in another place is another one."""

    session_id: str
    seq: int
    message_id: str


@dataclass(frozen=True)
class Changes:
    """What makes the parts that are stored the present ones."""

    last: dict[str, Any] | None
    """Where the last part is that is stored, if one is."""

    lengths: dict[str, int] | None
    """How long that part is, unless it changes too."""

    growth: dict[str, Any] | None
    """The parameters that let it grow."""

    rows: list[Columns]
    """Parts to be stored as a whole, with their positions."""


def changes_of(stored: Sequence[Columns], present: Sequence[Columns]) -> Changes | None:
    """Return what makes the stored parts the present ones; `None` when some went, which a flush can't do."""
    if len(present) < len(stored):
        return None
    growth: dict[str, Any] | None = None
    rows: list[Columns] = []
    for position, columns in enumerate(present):
        old = stored[position] if position < len(stored) else None
        if old == columns:
            continue
        if old is not None and position == len(stored) - 1 and _has_grown(old, columns):
            growth = _growth(old, columns)
        else:
            rows.append({"position": position, **columns})
    if not stored:
        return Changes(None, None, None, rows)
    last = {"at_position": len(stored) - 1, "part": stored[-1]["id"]}
    return Changes(last, _lengths(stored[-1]) if stored[-1] == present[len(stored) - 1] else None, growth, rows)


def _lengths(columns: Columns) -> dict[str, int]:
    return {f"{name}_length": len(columns[name] or "") for name in ("text", "payload")}


def _has_grown(old: Columns, new: Columns) -> bool:
    others = (name for name in COLUMNS if name not in ("text", "payload"))
    return bool(old["text"]) and (new["text"] or "").startswith(old["text"]) and all(old[n] == new[n] for n in others)


def _growth(old: Columns, new: Columns) -> dict[str, Any]:
    keep_text = len(old["text"])
    keep_payload = _kept(old["payload"] or "", new["payload"] or "")
    return {
        "shortest": keep_text,
        "longest": len(new["text"]),
        "keep_text": keep_text,
        "more_text": new["text"][keep_text:],
        "keep_payload": keep_payload,
        "more_payload": (new["payload"] or "")[keep_payload:],
    }


def _kept(old: str, new: str) -> int:
    """Return how much of a payload stays: all, or all but what closes its text (`"}`), or nothing."""
    return next((length for length in (len(old), len(old) - 2) if length > 0 and new.startswith(old[:length])), 0)


async def begin(t: Transaction, session_id: str, prepared: Prepared) -> Message:
    """Append a draft. Raises `SessionNotFound`, and `MessageConflict` for an id that is stored."""
    locked = await sessions.lock_existing(t, session_id)
    for row, part_rows in grouped(await reading.rows_of(t, session_id, [prepared.message.id])):
        if t.earlier is not None and prepared.is_stored_as(row, part_rows):  # by an attempt whose outcome wasn't known
            return message_of(session_id, row, part_rows)
        raise changing.conflict(prepared.message.id)
    return (await changing.insert_new(t, session_id, locked, [prepared]))[0]


async def flush(t: Transaction, place: Place, changes: Changes) -> None:
    """Store what is new, and give a sign of life, under a lock on the message's row.

    Raises `SessionNotFound` or `MessageNotFound` for a draft that is gone, and
    `MessageConflict` for one that somebody has replaced.
    """
    found = await t.run(_SIGN_OF_LIFE, session=place.session_id, at_seq=place.seq, message=place.message_id)
    if not found:
        raise await _reason(t, place)
    if changes.growth or changes.rows:
        await _change_parts(t, place, changes)


async def settle(t: Transaction, place: Place, changes: Changes | None, prepared: Prepared) -> Message:
    """Store the whole message, status and usage too, and bring the session's turns and counters to it.

    Raises what `flush` does.
    """
    session_id = place.session_id
    locked = await sessions.lock_existing(t, session_id)
    old = await changing.counted(t, session_id, place.message_id)
    if old is None or old.seq != place.seq:
        raise reading.not_found(session_id, place.message_id)
    shift = 0
    if old.status != "complete":
        if changes is None:
            await changing.rewrite(t, session_id, place.seq, prepared, locked.now)
        else:
            await _change_parts(t, place, changes)
            await changing.set_content(t, session_id, place.seq, prepared, locked.now)
        shift = await changing.recount(t, session_id, locked, old, prepared)
    elif t.earlier is None or not await _is_stored(t, prepared):
        raise _replaced(place)
    if prepared.message.status != "in_progress":
        t.announce("message.saved", session_id=session_id, message_id=place.message_id, seq=place.seq)
    return prepared.message.model_copy(update={"turn": old.turn + shift})


async def _change_parts(t: Transaction, place: Place, changes: Changes) -> None:
    """Write what is new. Raises `MessageConflict` when the last part isn't as the writer has stored it."""
    if changes.last is not None:
        last = {"session": place.session_id, "at_seq": place.seq, **changes.last}
        if changes.growth:
            found = await t.run(_GROW, **last, **changes.growth)
        elif changes.lengths:
            found = await t.row(_FIND_AS_IT_WAS, **last, **changes.lengths)
        else:
            found = await t.row(_FIND, **last)
        if not found:
            raise _replaced(place)
    key = {"session_id": place.session_id, "message_seq": place.seq}
    await t.run_many(_put(t.capabilities), [{**key, **row} for row in changes.rows])


async def _is_stored(t: Transaction, prepared: Prepared) -> bool:
    """Whether an earlier attempt, whose outcome wasn't known, has stored the message."""
    found = grouped(await reading.rows_of(t, prepared.message.session_id, [prepared.message.id]))
    return any(prepared.is_stored_as(row, part_rows) for row, part_rows in found)


async def _reason(t: Transaction, place: Place) -> SessionStoreError:
    """Return the error that says what became of a draft."""
    if await sessions.get(t, place.session_id) is None:
        return sessions.not_found(place.session_id)
    row = await changing.counted(t, place.session_id, place.message_id)
    if row is None or row.seq != place.seq:
        return reading.not_found(place.session_id, place.message_id)
    return _replaced(place)


def _replaced(place: Place) -> MessageConflict:
    return MessageConflict(
        f"message {place.message_id!r} was replaced while it was being streamed; what was put in its place stays"
    )
