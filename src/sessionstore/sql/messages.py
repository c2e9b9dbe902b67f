"""Reading messages.

One statement reads messages and their parts: two keyed scans in one snapshot, so that a
message that is replaced or popped meanwhile is seen whole or not at all, under every
isolation level. (A join of the two would repeat each message for each of its parts, and
planners get it wrong on long sessions.)
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    FromClause,
    Integer,
    Row,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    null,
    select,
    union_all,
    update,
)

from sessionstore.errors import CorruptRecord, MessageNotFound
from sessionstore.models import Message
from sessionstore.sql import part_rows
from sessionstore.sql.dialect import PAGE_SIZE, Instant, any_of, now, seconds_ago, texts_of
from sessionstore.sql.rows import check_numbers, grouped, message_of, messages_of
from sessionstore.sql.schema import messages, parts, sessions
from sessionstore.sql.sessions import OWNED, hold
from sessionstore.sql.transaction import Transaction

logger = logging.getLogger("sessionstore")

_PART_ONLY = part_rows.COLUMNS[2:]
_MESSAGE_ONLY = ("turn", "status", "model", "provider", "usage", "metadata", "created_at")

IN_SESSION = messages.c.session_id == bindparam("session")


def reading(
    *conditions: ColumnElement[Any],
    first_by: ColumnElement[Any] | None = None,
    scattered: bool = False,
    more: Sequence[str] = (),
) -> CompoundSelect[Any]:
    """Return a statement for messages of a session and their parts, for `rows.grouped` and `rows.messages_of`.

    Rows with a `position` are parts. Parameters are `session`, `tenant`, those of the
    conditions, and `page_size` with `first_by`: only the first so many in that order are read.
    `scattered` says that other messages may lie between the chosen ones, whose parts aren't to
    be read. `more` names columns of messages that models don't have.
    """
    if not conditions and first_by is None:
        return union_all(
            select(*message_columns(messages, more)).where(IN_SESSION, OWNED),
            select(*part_columns(more)).where(parts.c.session_id == bindparam("session"), OWNED),
        )
    chosen = _chosen(conditions, first_by, scattered=scattered)
    cte = chosen.cte("chosen")
    m = cte.c
    # The bounds are repeated on the parts' own key; without them a cached plan may scan the session.
    bounds = parts.c.message_seq.between(
        select(func.min(m.seq)).scalar_subquery(), select(func.max(m.seq)).scalar_subquery()
    )
    if scattered:
        bounds = and_(bounds, parts.c.message_seq.in_(select(m.seq)))
    return union_all(
        select(*message_columns(cte, more)),
        select(*part_columns(more)).where(parts.c.session_id == bindparam("session"), bounds),
    )


def message_columns(chosen: FromClause, more: Sequence[str] = ()) -> list[ColumnElement[Any]]:
    """Return the columns of a message's row, as `rows.grouped` takes it."""
    m = chosen.c
    return [
        m.seq,
        cast(null(), Integer).label("position"),  # its type, for Postgres to join several such statements
        m.id,
        m.role.label("type"),
        *(null().label(name) for name in _PART_ONLY),
        *(m[name] for name in (*_MESSAGE_ONLY, *more)),
    ]


def part_columns(more: Sequence[str] = ()) -> list[ColumnElement[Any]]:
    """Return the columns of a part's row, as `rows.grouped` takes it."""
    return [
        parts.c.message_seq,
        parts.c.position,
        *(parts.c[name] for name in part_rows.COLUMNS),
        *(null().label(name) for name in (*_MESSAGE_ONLY, *more)),
    ]


def mark_columns(seq: ColumnElement[int], position: int, more: Sequence[str] = ()) -> list[ColumnElement[Any]]:
    """Return the columns of a row that tells something else, beside those of messages and parts."""
    names = (*part_rows.COLUMNS, *_MESSAGE_ONLY, *more)
    return [seq, literal_column(str(position)).label("position"), *(null().label(name) for name in names)]


def _chosen(
    conditions: Sequence[ColumnElement[Any]], first_by: ColumnElement[Any] | None, *, scattered: bool
) -> Select[Any]:
    chosen = select(messages).where(IN_SESSION, OWNED, *conditions)
    if first_by is None:
        return chosen
    if scattered:
        # By its own index first: Postgres would walk the session in order, in hope of finding enough soon.
        found = chosen.cte("found").prefix_with("MATERIALIZED")
        return select(found).order_by(found.c.seq).limit(PAGE_SIZE)
    return chosen.order_by(first_by).limit(PAGE_SIZE)


def seq_by_id(id_: ColumnElement[str]) -> ScalarSelect[int]:
    """Return the `seq` of the message with an id.

    Asked for in the order of ids, since that leaves one index to go by: `id = …` Postgres may look for among all
    messages of the session, along the primary key, while it has no statistics of the table.
    """
    named = messages.alias("named")
    its_id = named.c.id >= id_, named.c.id <= id_
    found = select(named.c.seq).where(named.c.session_id == bindparam("session"), *its_id)
    return found.order_by(named.c.id).limit(literal_column("1")).scalar_subquery()


def seqs_of(ids: str) -> Select[Any]:
    """Return a query for the `seq` of each of some messages, NULL for those that aren't there; `ids` is a parameter."""
    given = texts_of(ids)
    return select(seq_by_id(given.c.value).label("seq")).select_from(given)


AFTER_SEQ = messages.c.seq > bindparam("after_seq")
_AFTER_TIME = messages.c.created_at > bindparam("after_time", type_=Instant())
_SEQ = seq_by_id(bindparam("message"))
ONE = messages.c.seq == _SEQ
"""The message whose id is the parameter `message`, beside `IN_SESSION`."""

_READ_ALL = reading()
_READ_LATEST = reading(first_by=messages.c.seq.desc())
_READ_ONE = reading(ONE)
_READ_SOME = reading(any_of(messages.c.seq, seqs_of("ids").scalar_subquery()), scattered=True)
_READ_AFTER = {
    (condition is _AFTER_TIME, limited): reading(
        condition, first_by=messages.c.seq if limited else None, scattered=condition is _AFTER_TIME
    )
    for condition in (AFTER_SEQ, _AFTER_TIME)
    for limited in (False, True)
}
_SEQ_OF = select(messages.c.seq).where(IN_SESSION, ONE, OWNED)
_place = messages.alias("place")
_AT_PLACE = (
    _place.c.session_id == bindparam("session"),
    _place.c.seq == _SEQ,
    OWNED,
)
_AFTER_MESSAGE = messages.c.seq > select(_place.c.seq).where(*_AT_PLACE).scalar_subquery()
# The row of the place itself is the last: it tells "nothing behind it" from "no such message" in the same snapshot.
_READ_AFTER_MESSAGE = {
    limited: union_all(
        *reading(_AFTER_MESSAGE, first_by=messages.c.seq if limited else None).selects,
        select(*message_columns(_place)).where(*_AT_PLACE),
    )
    for limited in (False, True)
}
# The status stands in the text, as in the drafts' index: with a parameter SQLite doesn't use that.
_STALE = (
    messages.c.status == literal_column("'in_progress'"),
    messages.c.updated_at < seconds_ago(bindparam("stale_after")),
    select(sessions.c.id)
    .where(sessions.c.id == messages.c.session_id, sessions.c.tenant_id == bindparam("tenant"))
    .exists(),
)
_STALE_SESSIONS = select(messages.c.session_id).distinct().where(*_STALE).order_by(messages.c.session_id)
_INTERRUPT = (
    update(messages)
    .where(*_STALE)
    .values(status="interrupted", updated_at=now())
    .returning(messages.c.session_id, messages.c.id)
)


async def get(t: Transaction, session_id: str, message_id: str) -> Message | None:
    """Return one message."""
    found = messages_of(session_id, await rows_of(t, session_id, [message_id]))
    return found[0] if found else None


async def rows_of(t: Transaction, session_id: str, message_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """Return the rows of those messages that there are, for `rows.grouped`."""
    if len(message_ids) == 1:
        return await t.rows(_READ_ONE, session=session_id, message=message_ids[0])
    return await t.rows(_READ_SOME, session=session_id, ids=list(message_ids))


async def rows_of_all(t: Transaction, session_id: str) -> Sequence[Row[Any]]:
    """Return the rows of all messages, for `rows.grouped`."""
    return await t.rows(_READ_ALL, session=session_id)


async def read(t: Transaction, session_id: str, limit: int | None = None) -> list[Message]:
    """Return all messages, or the latest so many."""
    if limit is None:
        return messages_of(session_id, await t.records(_READ_ALL, session=session_id))
    return messages_of(session_id, await t.records(_READ_LATEST, session=session_id, page_size=limit))


async def read_after(t: Transaction, session_id: str, after: datetime | str | int, limit: int | None) -> list[Message]:
    """Return the messages behind a place, or the first so many of them. Raises `MessageNotFound`."""
    given: dict[str, Any] = {} if limit is None else {"page_size": limit}
    if isinstance(after, str):
        rows = await t.rows(_READ_AFTER_MESSAGE[limit is not None], session=session_id, message=after, **given)
        if not rows:
            raise not_found(session_id, after)
        *rows, place = rows
        _check_seq(session_id, place)
    else:
        by_time = isinstance(after, datetime)
        given["after_time" if by_time else "after_seq"] = after
        rows = await t.records(_READ_AFTER[by_time, limit is not None], session=session_id, **given)
    return messages_of(session_id, rows)


async def seq_of(t: Transaction, session_id: str, message_id: str) -> int:
    """Return a message's `seq`. Raises `MessageNotFound`."""
    seq = await find_seq(t, session_id, message_id)
    if seq is None:
        raise not_found(session_id, message_id)
    return seq


async def find_seq(t: Transaction, session_id: str, message_id: str) -> int | None:
    """Return a message's `seq`, or `None`."""
    row = await t.row(_SEQ_OF, session=session_id, message=message_id)
    if row is None:
        return None
    _check_seq(session_id, row)
    return row.seq


def _check_seq(session_id: str, row: Row[Any]) -> None:
    check_numbers(messages.name, (session_id, row.seq), row, ("seq",))


def not_found(session_id: str, message_id: str) -> MessageNotFound:
    """Return the error for a message that isn't in the session."""
    return MessageNotFound(f"session {session_id!r} has no message {message_id!r}")


async def recover(t: Transaction, stale_after: float) -> list[Message]:
    """Mark drafts that gave no sign of life as interrupted, and return those that can be read."""
    if t.capabilities.locks_rows:  # like all writers of a session; in one order, so that nobody deadlocks
        for row in await t.rows(_STALE_SESSIONS, stale_after=stale_after):
            await hold(t, row.session_id)
    found: dict[str, list[str]] = {}
    for row in await t.rows(_INTERRUPT, stale_after=stale_after):
        found.setdefault(row.session_id, []).append(row.id)
    recovered: list[Message] = []
    for session_id in sorted(found):
        for row, its_parts in grouped(await rows_of(t, session_id, found[session_id])):
            t.announce("message.saved", session_id=session_id, message_id=row.id, seq=row.seq)
            try:
                recovered.append(message_of(session_id, row, its_parts))
            except CorruptRecord as error:  # one bad draft doesn't keep the others from being recovered
                logger.error("a draft was marked as interrupted, but can't be read: %s", error)  # noqa: TRY400
    return recovered
