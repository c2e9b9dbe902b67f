"""Tool calls and their results: a result answers the latest unanswered call with its id before it."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Subquery, and_, bindparam, case, func, literal_column, select

from sessionstore.models import Message, ToolCallPart
from sessionstore.sql import changing, sessions
from sessionstore.sql.dialect import any_of
from sessionstore.sql.messages import part_columns
from sessionstore.sql.prepared import prepare
from sessionstore.sql.rows import part_of
from sessionstore.sql.schema import parts
from sessionstore.sql.transaction import Transaction

_CALL: ColumnElement[str] = literal_column("'tool_call'")
_RESULT: ColumnElement[str] = literal_column("'tool_result'")


def answered(*conditions: ColumnElement[Any]) -> Subquery:
    """Return the calls and results, as a subquery for statements with the parameter `session`.

    A call's `answer_seq` is the `seq` of its result's message, NULL for one that is unanswered. The
    conditions may leave out the beginning of a session, and nothing else: what is left is answered as before.

    Calls and results of one id nest like brackets: counting a call up and a result down, a call
    is closed by the next event at its own level. Results that sink below all that was before
    answer nothing: they are at level 0, and levels are counted from the lowest of them on.
    """
    events = select(
        parts.c.message_seq,
        parts.c.position,
        parts.c.type,
        parts.c.tool_call_id,
        case((parts.c.type == _CALL, 1), else_=-1).label("step"),
    ).where(
        parts.c.session_id == bindparam("session"),
        parts.c.type.in_([_CALL, _RESULT]),
        *conditions,
    )
    e = events.subquery("events").c
    balance = func.sum(e.step).over(partition_by=e.tool_call_id, order_by=_place(e))
    b = select(*e, balance.label("balance")).subquery("balanced").c
    before = func.min(b.balance).over(partition_by=b.tool_call_id, order_by=_place(b), rows=(None, -1))
    s = select(*b, before.label("lowest")).subquery("sunk").c
    floor = case((s.lowest < 0, s.lowest), else_=0)
    level = s.balance - floor + case((s.type == _CALL, 0), else_=1)
    leveled = select(*s, level.label("level")).subquery("leveled").c
    answer = func.lead(leveled.message_seq).over(
        partition_by=(leveled.tool_call_id, leveled.level), order_by=_place(leveled)
    )
    return select(leveled.message_seq, leveled.position, leveled.type, answer.label("answer_seq")).subquery("answered")


def _place(columns: Any) -> tuple[Any, Any]:
    return columns.message_seq, columns.position


_answered = answered(parts.c.tool_call_id.is_not(None))  # as the index on calls has it
# Found once, then looked up by key, and sorted at last: with statistics of an empty table, or none, Postgres would go
# through the session's parts in their order, and ask of each.
_open = (
    select(_answered.c.message_seq, _answered.c.position)
    .where(_answered.c.type == _CALL, _answered.c.answer_seq.is_(None))
    .cte("open_calls")
    .prefix_with("MATERIALIZED")
)
_its_place = and_(parts.c.message_seq == _open.c.message_seq, parts.c.position == _open.c.position)
_PENDING = (
    select(*part_columns())
    .join_from(parts, _open, _its_place)
    .where(
        parts.c.session_id == bindparam("session"),
        any_of(parts.c.message_seq, select(_open.c.message_seq).scalar_subquery()),
        sessions.OWNED,
    )
    .order_by(parts.c.message_seq + literal_column("0"), parts.c.position)
)


async def pending(t: Transaction, session_id: str) -> list[ToolCallPart]:
    """Return the calls without a result, in order."""
    found = (part_of(session_id, row) for row in await t.rows(_PENDING, session=session_id))
    return [part for part in found if isinstance(part, ToolCallPart)]


async def repair(t: Transaction, session_id: str, answer: Callable[[ToolCallPart], Message]) -> list[Message]:
    """Append an answer to each call without a result. Raises `SessionNotFound`."""
    await sessions.lock_existing(t, session_id)
    answers = [prepare(answer(call)) for call in await pending(t, session_id)]
    return await changing.append(t, session_id, answers) if answers else []
