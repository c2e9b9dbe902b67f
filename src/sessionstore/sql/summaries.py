"""Compaction records, and the pointer to the summary in force: the newest active one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from sessionstore import jsontext
from sessionstore.models import Summary
from sessionstore.models.summary import runs
from sessionstore.sql import messages as reading
from sessionstore.sql import sessions
from sessionstore.sql.messages import IN_SESSION, seq_by_id
from sessionstore.sql.rows import summary_of
from sessionstore.sql.schema import messages, summaries
from sessionstore.sql.transaction import Transaction

_IN_SESSION = summaries.c.session_id == bindparam("session")
_LIST = select(summaries).where(_IN_SESSION, sessions.OWNED).order_by(summaries.c.number)
_first = messages.alias("first_covered")
_FIRST_COVERED = (
    select(_first.c.turn)
    .where(_first.c.session_id == bindparam("session"), _first.c.seq == summaries.c.from_seq)
    .limit(1)  # by its key: as a join Postgres may read the session, while it has no statistics
    .scalar_subquery()
)
_IN_FORCE = (
    select(summaries, seq_by_id(summaries.c.message_id).label("message_seq"), _FIRST_COVERED.label("first_turn"))
    .where(_IN_SESSION, summaries.c.active, sessions.OWNED)
    .order_by(summaries.c.number.desc())
    .limit(1)
)
_MADE_BEFORE = (
    select(summaries.c.number)
    .where(_IN_SESSION, summaries.c.at_seq < bindparam("before_seq"))
    .order_by(summaries.c.number.desc())
    .limit(1)
)
_BY_MESSAGE = select(summaries.c.number).where(_IN_SESSION, summaries.c.message_id == bindparam("message")).limit(1)
_LAST_NUMBER = select(func.max(summaries.c.number).label("number")).where(_IN_SESSION)
_INSERT = insert(summaries)
_DEACTIVATE = update(summaries).where(_IN_SESSION, summaries.c.active).values(active=False)
_DEACTIVATE_ONE = _DEACTIVATE.where(summaries.c.number == bindparam("this_number"))
_LAST_SEQ = select(func.max(messages.c.seq).label("seq")).where(IN_SESSION)
_FIRST_TURN = (
    select(messages.c.seq)
    .where(IN_SESSION, messages.c.starts_turn, messages.c.turn >= 1)
    .order_by(messages.c.turn)
    .limit(1)
)


@dataclass(frozen=True)
class InForce:
    """The newest active record, where its message stands, and the turn of the first message that it covers."""

    record: Summary
    message_seq: int | None
    first_turn: int | None

    @property
    def identity(self) -> tuple[int, int]:
        """What no other record of the session has, nor ever had."""
        return self.record.number, self.record.at_seq


async def in_force(t: Transaction, session_id: str) -> InForce | None:
    """Return the record in force."""
    row = await t.row(_IN_FORCE, session=session_id)
    return None if row is None else InForce(summary_of(session_id, row), row.message_seq, row.first_turn)


async def made_before(t: Transaction, session_id: str, seq: int) -> int | None:
    """Return the number of the newest record, active or not, that was made before a message."""
    row = await t.row(_MADE_BEFORE, session=session_id, before_seq=seq)
    return None if row is None else row.number


async def is_summary(t: Transaction, session_id: str, message_id: str) -> bool:
    """Whether a message stands in for others, or once did."""
    return await t.row(_BY_MESSAGE, session=session_id, message=message_id) is not None


async def list_all(t: Transaction, session_id: str) -> list[Summary]:
    """Return all records, the oldest first."""
    return [summary_of(session_id, row) for row in await t.rows(_LIST, session=session_id)]


async def point(t: Transaction, session_id: str, message_id: str | None, covers_through: str | None) -> None:
    """Record a summary by hand, or clear the pointer. Raises `SessionNotFound` and `MessageNotFound`."""
    await sessions.lock_existing(t, session_id)
    await set_pointer(t, session_id, message_id, covers_through)
    await sessions.touch(t, session_id)


async def set_pointer(
    t: Transaction, session_id: str, message_id: str | None, covers_through: str | None = None
) -> None:
    """Point a locked session at a summary message, or at none. Saying it twice records it once."""
    if message_id is None:
        await t.run(_DEACTIVATE, session=session_id)
        return
    seq = await reading.seq_of(t, session_id, message_id)
    through = seq - 1 if covers_through is None else await reading.seq_of(t, session_id, covers_through)
    first = await t.row(_FIRST_TURN, session=session_id)
    start = seq if first is None else first.seq
    # What comes before turn 1 is never collected: a record that names only that covers nothing.
    through = start - 1 if first is None else max(through, start - 1)
    covered = (message_id, start, through)
    newest = await in_force(t, session_id)
    if newest and (newest.record.message_id, newest.record.from_seq, newest.record.through_seq) == covered:
        return
    await add(
        t,
        session_id,
        message_id=message_id,
        from_seq=covered[1],
        through_seq=through,
        strategy="manual",
        trigger="manual",
    )


async def undo(t: Transaction, session_id: str) -> Summary | None:
    """Put the record in force out of force; return the one that then is. Raises `SessionNotFound`."""
    await sessions.lock_existing(t, session_id)
    undone = await in_force(t, session_id)
    if undone is None:
        return None
    await t.run(_DEACTIVATE_ONE, session=session_id, this_number=undone.record.number)
    await sessions.touch(t, session_id)
    left = await in_force(t, session_id)
    return None if left is None else left.record


async def add(
    t: Transaction,
    session_id: str,
    *,
    message_id: str | None,
    from_seq: int,
    through_seq: int,
    kept: Sequence[tuple[int, int]] = (),
    strategy: str,
    trigger: str,
    tokens_before: int | None = None,
    tokens_after: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> Summary:
    """Put a new record of a locked session in force."""
    number = (await t.rows(_LAST_NUMBER, session=session_id))[0].number or 0
    last = (await t.rows(_LAST_SEQ, session=session_id))[0].seq
    record = Summary(
        number=number + 1,
        message_id=message_id,
        from_seq=from_seq,
        through_seq=through_seq,
        kept=list(kept),
        at_seq=last,
        strategy=strategy,
        trigger=trigger,
        tokens_before=tokens_before,
        tokens_after=tokens_after,
        details=dict(details or {}),
    )
    await restore(t, session_id, [record])
    return record


def renumbered(record: Summary, old: Mapping[int, str], new: Mapping[str, int]) -> Summary | None:
    """Return a record as it is when messages are numbered anew; `None` when too little of what it is about is left.

    `old` has the ids of the messages by the numbers that they had, and `new` the numbers by id. Messages that
    were put between those that it covers aren't covered.
    """
    left = {seq: new[id_] for seq, id_ in old.items() if id_ in new}
    through_then = [now for seq, now in left.items() if seq <= record.at_seq]
    if (
        not through_then
        or max(left) < record.at_seq
        or (record.message_id is not None and record.message_id not in new)
    ):
        return None
    covered = {now for seq, now in left.items() if record.covers(seq)}
    if covered:
        from_seq, through_seq = min(covered), max(covered)
    elif record.message_id is None:
        return None
    else:  # it covers nothing, and its message stands where it is
        from_seq = new[record.message_id]
        through_seq = from_seq - 1
    kept = runs(seq for seq in new.values() if from_seq < seq < through_seq and seq not in covered)
    places = {"from_seq": from_seq, "through_seq": through_seq, "kept": kept, "at_seq": max(through_then)}
    return record.model_copy(update=places)


async def restore(t: Transaction, session_id: str, records: list[Summary]) -> None:
    """Insert records as they are."""
    await t.run_many(_INSERT, [_row(session_id, record) for record in records])


def _row(session_id: str, record: Summary) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "number": record.number,
        "message_id": record.message_id,
        "from_seq": record.from_seq,
        "through_seq": record.through_seq,
        "kept": jsontext.dumps([list(kept) for kept in record.kept], "summary.kept"),
        "at_seq": record.at_seq,
        "active": record.active,
        "strategy": record.strategy,
        "trigger": record.trigger,
        "tokens_before": record.tokens_before,
        "tokens_after": record.tokens_after,
        "details": jsontext.dumps(record.details, "summary.details"),
        "created_at": record.created_at,
    }
