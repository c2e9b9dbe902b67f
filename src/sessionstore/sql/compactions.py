"""Recording what a strategy has planned, if the conversation is still as the strategy saw it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select

from sessionstore.errors import CompactionConflict
from sessionstore.models import Summary
from sessionstore.sql import changing, sessions, summaries
from sessionstore.sql.contexts import Context
from sessionstore.sql.messages import IN_SESSION
from sessionstore.sql.prepared import Prepared
from sessionstore.sql.schema import messages
from sessionstore.sql.transaction import Transaction

_WRITTEN = select(messages.c.seq, messages.c.updated_at).where(
    IN_SESSION, messages.c.seq.between(bindparam("low"), bindparam("high"))
)


@dataclass(frozen=True)
class Compaction:
    """What is to be recorded: the newly covered messages, the record's fields, and the summary message, if any."""

    covered: frozenset[int]
    message: Prepared | None
    from_seq: int
    through_seq: int
    kept: Sequence[tuple[int, int]]
    strategy: str
    trigger: str
    tokens_before: int
    tokens_after: int
    details: Mapping[str, Any]


async def record(t: Transaction, session_id: str, seen: Context, compaction: Compaction) -> Summary:
    """Store a compaction of what was seen. Raises `SessionNotFound`, and `CompactionConflict` if that has changed."""
    await sessions.lock_existing(t, session_id)
    await _verify(t, session_id, seen, compaction.covered)
    if compaction.message is None:
        await sessions.touch(t, session_id)
    else:
        await changing.append(t, session_id, [compaction.message])
    stored = await summaries.add(
        t,
        session_id,
        message_id=None if compaction.message is None else compaction.message.message.id,
        from_seq=compaction.from_seq,
        through_seq=compaction.through_seq,
        kept=compaction.kept,
        strategy=compaction.strategy,
        trigger=compaction.trigger,
        tokens_before=compaction.tokens_before,
        tokens_after=compaction.tokens_after,
        details=compaction.details,
    )
    t.announce("session.compacted", session_id=session_id, number=stored.number)
    return stored


async def _verify(t: Transaction, session_id: str, seen: Context, covered: frozenset[int]) -> None:
    in_force = await summaries.in_force(t, session_id)
    before = None if seen.in_force is None else seen.in_force.identity
    if (None if in_force is None else in_force.identity) != before:
        raise CompactionConflict
    rows = await t.rows(_WRITTEN, session=session_id, low=min(covered), high=max(covered))
    if {row.seq: row.updated_at for row in rows if row.seq in covered} != {seq: seen.written[seq] for seq in covered}:
        raise CompactionConflict("the messages to be covered were changed while the strategy ran; nothing was recorded")
