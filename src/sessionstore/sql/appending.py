"""Appending in as few round trips as there can be, for the usual case: new messages of a stored session.

It does nothing at all when a message is stored already or the session isn't there: then
`changing.append` takes its time, and says what is wrong.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from operator import attrgetter, itemgetter
from typing import Any, cast

from sqlalchemy import Row

from sessionstore.models import Message
from sessionstore.models.base import maker
from sessionstore.models.usage import TOKEN_FIELDS
from sessionstore.sql import changing, part_rows, sessions
from sessionstore.sql.append_statements import (
    CONTENT,
    MESSAGE_PARAMETERS,
    MOST_SCALARS,
    PART_PARAMETERS,
    counters_first,
    one,
    several,
)
from sessionstore.sql.prepared import Prepared, total
from sessionstore.sql.transaction import Transaction

_MICROSECOND = timedelta(microseconds=1)

_content_of = cast("Callable[[Any], tuple[Any, ...]]", itemgetter(*CONTENT))
_NAMES = [
    (
        *(f"new_{name}" for name in (*CONTENT, "turns", "given_time")),
        *(f"part_{position}_{name}" for position in range(count) for name in part_rows.COLUMNS),
    )
    for count in range(MOST_SCALARS + 1)
]
"""The parameters of a message with so many parts."""

_MORE_TOKENS = [f"more_{field}" for field in TOKEN_FIELDS]
_message = maker(Message)
_columns_of = itemgetter(*part_rows.COLUMNS)


async def append(t: Transaction, session_id: str, batch: Sequence[Prepared]) -> list[Message] | None:
    """Append new messages and return them as stored; or do nothing, and return `None`.

    Where the database writes in CTEs this is one statement, but for a lock before it that several
    messages need inside a transaction.
    """
    if len({prepared.message.id for prepared in batch}) < len(batch):
        return None
    if len({prepared.time is None for prepared in batch}) > 1:
        return None  # a time of the store's own depends on those that were given before it
    stored = await (_whole if t.capabilities.writes_in_ctes else _counters_first)(t, session_id, batch)
    for message in stored or ():
        t.announce("message.saved", session_id=session_id, message_id=message.id, seq=message.seq)
    return stored


async def _whole(t: Transaction, session_id: str, batch: Sequence[Prepared]) -> list[Message] | None:
    added = await (_one(t, session_id, batch[0]) if len(batch) == 1 else _several(t, session_id, batch))
    if not added:
        return None
    return [
        _stored(prepared, row.seq, row.turn, row.created_at)
        for prepared, row in zip(batch, sorted(added, key=attrgetter("seq")), strict=True)
    ]


async def _one(t: Transaction, session_id: str, prepared: Prepared) -> Sequence[Row[Any]]:
    values = [*_content_of(prepared.columns), int(prepared.starts_turn), prepared.time]
    count = len(prepared.parts)
    if count > MOST_SCALARS:
        named = dict(zip(_NAMES[0], values, strict=True)) | _part_lists([prepared])
        return await t.rows_of(one(t.capabilities, None), {**named, "session": session_id})
    for columns in prepared.parts:
        values += _columns_of(columns)
    named = dict(zip(_NAMES[count], values, strict=True))
    named["session"] = session_id
    return await t.rows_of(one(t.capabilities, count), named)


async def _several(t: Transaction, session_id: str, batch: Sequence[Prepared]) -> Sequence[Row[Any]]:
    count = len(batch)
    place: dict[str, list[Any]] = {
        "turns": [*accumulate(int(prepared.starts_turn) for prepared in batch)],
        "given_time": [prepared.time for prepared in batch],
        "ordinal": [*range(1, count + 1)],
        "time_offset": [offset * _MICROSECOND for offset in range(count)],
    }
    values = {name: [prepared.columns[name] for prepared in batch] for name in CONTENT} | place
    if t.begun:  # so that the statement sees what others stored until the lock was had
        await sessions.lock(t, session_id)
    named = {f"new_{name}": values[name] for name in MESSAGE_PARAMETERS}
    return await t.rows_of(several(), {"session": session_id, **named, **_more(batch), **_part_lists(batch)})


def _part_lists(batch: Sequence[Prepared]) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {
        "ordinal": [ordinal for ordinal, prepared in enumerate(batch, 1) for _ in prepared.parts],
        "position": [position for prepared in batch for position in range(len(prepared.parts))],
    }
    rows = [columns for prepared in batch for columns in prepared.parts]
    return {
        f"part_{name}": values[name] if name in values else [columns[name] for columns in rows]
        for name in PART_PARAMETERS
    }


def _more(batch: Sequence[Prepared]) -> dict[str, Any]:
    return {"more_messages": len(batch), **dict(zip(_MORE_TOKENS, total(batch), strict=True))}


def _stored(prepared: Prepared, seq: int, turn: int, time: datetime) -> Message:
    return _message({**vars(prepared.message), "seq": seq, "turn": turn, "created_at": time})


async def _counters_first(t: Transaction, session_id: str, batch: Sequence[Prepared]) -> list[Message] | None:
    given = [prepared.time for prepared in batch if prepared.time is not None]
    times: dict[str, Any] = {"latest_time": max(given)} if given else {"later": len(batch) - 1}
    turns = sum(prepared.starts_turn for prepared in batch)
    ids = [prepared.message.id for prepared in batch]
    many = len(ids) > 1
    new = {"new_id": ids if many else ids[0], "more_turns": turns}
    statement = counters_first(given_times=bool(given), several_ids=many)
    found = await t.rows_of(statement, {**_more(batch), **times, **new, "session": session_id})
    if not found:
        return None
    moved = found[0]
    turn = moved.turn_count - turns
    placed: list[tuple[Prepared, Message]] = []
    for behind, prepared in zip(range(len(batch) - 1, -1, -1), batch, strict=True):
        turn += prepared.starts_turn
        time = prepared.time or moved.last_message_at - behind * _MICROSECOND
        placed.append((prepared, _stored(prepared, moved.last_seq - behind, turn, time)))
    await changing.insert_placed(t, session_id, placed, moved.now)
    return [message for _, message in placed]
