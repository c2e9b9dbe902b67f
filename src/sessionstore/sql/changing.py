"""Changing a conversation: appending, replacing, popping, deleting.

Each works under a lock on the session's row, from which `seq` comes: commit order is `seq`
order, and the counters on the row follow in the same transaction.
"""

from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, update

from sessionstore.errors import MessageConflict, SessionExists, SessionNotFound
from sessionstore.models import Message, SessionInfo
from sessionstore.models.base import LATEST
from sessionstore.models.usage import TOKEN_FIELDS, Tokens
from sessionstore.sql import messages as reading
from sessionstore.sql import sessions
from sessionstore.sql.messages import IN_SESSION, ONE
from sessionstore.sql.prepared import Prepared, total
from sessionstore.sql.rows import check_numbers, grouped, message_of
from sessionstore.sql.schema import messages, parts, summaries
from sessionstore.sql.transaction import Transaction

_MICROSECOND = timedelta(microseconds=1)
_MOST_DELETIONS = 10
"""How often a session may be deleted by others between its making and the lock on it."""

_PARTS_IN_SESSION = parts.c.session_id == bindparam("session")

_INSERT_MESSAGE = insert(messages)
_INSERT_PART = insert(parts)
_BEHIND = messages.c.seq > bindparam("keep")
_COUNT_BEHIND = select(
    func.count().label("messages"),
    *(func.coalesce(func.sum(messages.c[field]), 0).label(field) for field in TOKEN_FIELDS),
).where(IN_SESSION, _BEHIND)
# Messages first: a draft's writer locks its message and then its parts, and so does whoever deletes them.
_DELETE_BEHIND = (
    delete(messages).where(IN_SESSION, _BEHIND),
    delete(parts).where(_PARTS_IN_SESSION, parts.c.message_seq > bindparam("keep")),
    delete(summaries).where(summaries.c.session_id == bindparam("session"), summaries.c.at_seq > bindparam("keep")),
)
_LAST_TURN = select(messages.c.turn, messages.c.seq).where(IN_SESSION).order_by(messages.c.seq.desc()).limit(1)
_COUNTED = ("seq", "turn", "status", "starts_turn", *TOKEN_FIELDS)
_OLD = select(*(messages.c[name] for name in _COUNTED)).where(IN_SESSION, ONE)
_CONTENT = ("role", "starts_turn", "status", "model", "provider", *TOKEN_FIELDS, "usage", "metadata")
_REPLACE = (
    update(messages)
    .where(IN_SESSION, messages.c.seq == bindparam("at_seq"))
    .values({messages.c[name]: bindparam(f"new_{name}") for name in (*_CONTENT, "updated_at")})
)
_DELETE_PARTS = delete(parts).where(_PARTS_IN_SESSION, parts.c.message_seq == bindparam("at_seq"))
_RENUMBER = (
    update(messages)
    .where(IN_SESSION, messages.c.seq >= bindparam("at_seq"))
    .values(turn=messages.c.turn + bindparam("shift"))
)


async def append(t: Transaction, session_id: str, batch: Sequence[Prepared]) -> list[Message]:
    """Append those that aren't stored; return all as stored.

    Raises `SessionNotFound`, and `MessageConflict` for an id that is stored, or in the batch,
    with other content. Nothing is written before all of that is known.
    """
    locked = await sessions.lock_existing(t, session_id)
    stored = await _stored(t, session_id, batch)
    new = without_repeats(batch, stored)
    if new:
        for message in await insert_new(t, session_id, locked, new):
            stored[message.id] = message
            _announce(t, message)
    elif not t.announce_earlier():  # that was all of them, or none
        for message in stored.values():
            _announce(t, message)
    return [stored[prepared.message.id] for prepared in batch]


async def append_anyway(t: Transaction, session_id: str, batch: Sequence[Prepared]) -> list[Message]:
    """Append as `append` does, to a session that is made if it isn't there.

    Raises `SessionExists` when another tenant has a session with this id.
    """
    for _ in range(_MOST_DELETIONS):
        with suppress(SessionExists):
            await sessions.create(t, SessionInfo(id=session_id))
        with suppress(SessionNotFound):  # somebody deleted it meanwhile, or it is another tenant's
            return await append(t, session_id, batch)
    raise sessions.taken(session_id)


def _announce(t: Transaction, message: Message) -> None:
    t.announce("message.saved", session_id=message.session_id, message_id=message.id, seq=message.seq)


async def _stored(t: Transaction, session_id: str, batch: Sequence[Prepared]) -> dict[str, Message]:
    """Return the messages of the batch that are stored already. Raises `MessageConflict`."""
    by_id = {prepared.message.id: prepared for prepared in batch}
    found: dict[str, Message] = {}
    for row, part_rows in grouped(await reading.rows_of(t, session_id, list(by_id))):
        if not by_id[row.id].same_content(row, part_rows):
            raise conflict(row.id)
        found[row.id] = message_of(session_id, row, part_rows)
    return found


def conflict(message_id: str) -> MessageConflict:
    """Return the error for an id that is stored with other content."""
    return MessageConflict(
        f"message {message_id!r} is stored with other content; use replace_message, or another id for another message"
    )


def without_repeats(batch: Sequence[Prepared], stored: Container[str] = ()) -> list[Prepared]:
    """Return those that aren't stored, each once. Raises `MessageConflict` for an id with two contents."""
    new: dict[str, Prepared] = {}
    for prepared in batch:
        first = new.setdefault(prepared.message.id, prepared)
        if first is not prepared and not first.same_as(prepared):
            raise conflict(prepared.message.id)
    return [prepared for id_, prepared in new.items() if id_ not in stored]


async def insert_new(t: Transaction, session_id: str, locked: Row[Any], new: Sequence[Prepared]) -> list[Message]:
    """Append messages that aren't stored to a locked session."""
    tokens = total(new)
    placed = place(new, locked.last_seq, locked.turn_count, locked.last_message_at, locked.now)
    await insert_placed(t, session_id, placed, locked.now)
    last = placed[-1][1]
    await sessions.set_counters(
        t,
        session_id,
        locked,
        turn_count=last.turn or 0,
        last_seq=last.seq,
        last_message_at=latest([locked.last_message_at, *(message.created_at for _, message in placed)]),
        more_messages=len(new),
        more_tokens=tokens,
    )
    return [message for _, message in placed]


def latest(times: Iterable[datetime | None]) -> datetime | None:
    """Return the latest of those times that there are."""
    return max((time for time in times if time is not None), default=None)


def place(
    new: Sequence[Prepared], last_seq: int, turn: int, last_time: datetime | None, now: datetime
) -> list[tuple[Prepared, Message]]:
    """Return each message with its `seq`, `turn` and time.

    The store's own times are later than every time before them in the session, by a
    microsecond if need be; one that the caller gave is kept.
    """
    placed: list[tuple[Prepared, Message]] = []
    for seq, prepared in enumerate(new, last_seq + 1):
        turn += prepared.starts_turn
        time = prepared.time or (now if last_time is None else min(max(now, last_time + _MICROSECOND), LATEST))
        last_time = time if last_time is None else max(time, last_time)
        placed.append((prepared, prepared.message.model_copy(update={"seq": seq, "turn": turn, "created_at": time})))
    return placed


async def insert_placed(
    t: Transaction, session_id: str, placed: Sequence[tuple[Prepared, Message]], now: datetime
) -> None:
    """Insert messages and their parts."""
    await t.run_many(
        _INSERT_MESSAGE,
        [
            {
                "session_id": session_id,
                "seq": message.seq,
                "turn": message.turn,
                "created_at": message.created_at,
                "updated_at": now,
                **prepared.columns,
            }
            for prepared, message in placed
        ],
    )
    await t.run_many(
        _INSERT_PART, [row for prepared, message in placed for row in _part_rows(session_id, message.seq, prepared)]
    )


def _part_rows(session_id: str, seq: int | None, prepared: Prepared) -> list[dict[str, Any]]:
    return [
        {"session_id": session_id, "message_seq": seq, "position": position, **columns}
        for position, columns in enumerate(prepared.parts)
    ]


async def replace(t: Transaction, session_id: str, prepared: Prepared) -> Message:
    """Give a stored message new content. Raises `MessageNotFound`."""
    message_id = prepared.message.id
    locked = await sessions.lock(t, session_id)
    old = None if locked is None else await counted(t, session_id, message_id)
    if locked is None or old is None:
        raise reading.not_found(session_id, message_id)
    await rewrite(t, session_id, old.seq, prepared, locked.now)
    await recount(t, session_id, locked, old, prepared)
    t.announce("message.saved", session_id=session_id, message_id=message_id, seq=old.seq)
    replaced = await reading.get(t, session_id, message_id)
    if replaced is None:
        raise reading.not_found(session_id, message_id)
    return replaced


async def counted(t: Transaction, session_id: str, message_id: str) -> Row[Any] | None:
    """Return a stored message's place and status, and what the session counts of it."""
    row = await t.row(_OLD, session=session_id, message=message_id)
    if row is not None:
        check_numbers(messages.name, (session_id, row.seq), row, ("seq", "turn", *TOKEN_FIELDS))
    return row


async def recount(t: Transaction, session_id: str, locked: Row[Any], old: Row[Any], prepared: Prepared) -> int:
    """Bring turns and counters of a locked session to a message's new content; return by how much its turn moved."""
    shift = int(prepared.starts_turn) - int(old.starts_turn)
    if shift:
        await t.run(_RENUMBER, session=session_id, at_seq=old.seq, shift=shift)
    await sessions.set_counters(
        t,
        session_id,
        locked,
        turn_count=locked.turn_count + shift,
        more_tokens=prepared.tokens.minus(Tokens(*(getattr(old, field) for field in TOKEN_FIELDS))),
    )
    return shift


async def rewrite(t: Transaction, session_id: str, seq: int, prepared: Prepared, now: datetime) -> None:
    """Write a message's content and parts over what is stored at `seq`."""
    await set_content(t, session_id, seq, prepared, now)
    await t.run(_DELETE_PARTS, session=session_id, at_seq=seq)
    await t.run_many(_INSERT_PART, _part_rows(session_id, seq, prepared))


async def set_content(t: Transaction, session_id: str, seq: int, prepared: Prepared, now: datetime) -> None:
    """Write a message's content, but for its parts, over what is stored at `seq`."""
    content = {f"new_{name}": prepared.columns[name] for name in _CONTENT}
    await t.run(_REPLACE, session=session_id, at_seq=seq, new_updated_at=now, **content)


async def pop(t: Transaction, session_id: str) -> Message | None:
    """Take the last message away."""
    locked = await sessions.lock(t, session_id)
    found = [] if locked is None else await reading.read(t, session_id, limit=1)
    if locked is None or not found:
        return None
    await delete_behind(t, session_id, locked, (found[0].seq or 0) - 1)
    return found[0]


async def delete_after(t: Transaction, session_id: str, after: str | int | None) -> int:
    """Delete the messages behind a place, or all. Raises `MessageNotFound`."""
    locked = await sessions.lock(t, session_id)
    if locked is None:
        return 0
    if isinstance(after, str):
        after = await reading.seq_of(t, session_id, after)
    return await delete_behind(t, session_id, locked, -1 if after is None else after)


async def delete_behind(t: Transaction, session_id: str, locked: Row[Any], keep: int) -> int:
    """Delete the messages of a locked session behind a `seq`; return how many went."""
    gone = (await t.rows(_COUNT_BEHIND, session=session_id, keep=keep))[0]
    if not gone.messages:
        return 0
    for statement in _DELETE_BEHIND:
        await t.run(statement, session=session_id, keep=keep)
    last = await t.row(_LAST_TURN, session=session_id)
    if last is not None:
        check_numbers(messages.name, (session_id, last.seq), last, ("turn",))
    await sessions.set_counters(
        t,
        session_id,
        locked,
        turn_count=0 if last is None else last.turn,
        more_messages=-gone.messages,
        more_tokens=Tokens().minus(Tokens(*(int(getattr(gone, field)) for field in TOKEN_FIELDS))),
    )
    t.announce("session.updated", session_id=session_id)
    return gone.messages
