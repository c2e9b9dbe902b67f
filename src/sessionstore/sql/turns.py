"""Turns, counted by the database: only the rows of those turns are read, and no content."""

from typing import Any

from sqlalchemy import BigInteger, Row, and_, bindparam, case, cast, func, literal_column, null, select, union_all

from sessionstore.models import ToolUse, Turn
from sessionstore.models.usage import TOKEN_FIELDS
from sessionstore.sql.dialect import PAGE_SIZE
from sessionstore.sql.messages import IN_SESSION
from sessionstore.sql.rows import OF_LAST, rank, tool_use_of, turn_of
from sessionstore.sql.schema import messages, parts, summaries
from sessionstore.sql.sessions import OWNED
from sessionstore.sql.tool_calls import answered
from sessionstore.sql.transaction import Transaction

_ALL = 2**63 - 1
_END = bindparam("end_seq", type_=BigInteger())
_latest = (
    select(messages.c.seq)
    .where(IN_SESSION, messages.c.starts_turn, OWNED)
    .order_by(messages.c.turn.desc())
    .limit(PAGE_SIZE)
    .subquery("latest")
)
_first = select(func.min(_latest.c.seq)).scalar_subquery()
# A summary is stored at the end of what is then the last turn, perhaps long after that has ended.
_SUMMARIES = select(summaries.c.message_id).where(
    summaries.c.session_id == bindparam("session"), summaries.c.message_id.is_not(None)
)
_said_at = case((messages.c.id.not_in(_SUMMARIES), messages.c.created_at))
_model_seq = func.max(case((messages.c.role == literal_column("'assistant'"), messages.c.seq)))
_counted = (
    select(
        messages.c.turn,
        func.min(messages.c.seq).label("first_seq"),
        func.max(messages.c.seq).label("last_seq"),
        func.count().label("message_count"),
        func.min(messages.c.created_at).label("started_at"),
        func.coalesce(func.max(_said_at), func.max(messages.c.created_at)).label("ended_at"),
        *(cast(func.sum(messages.c[field]), BigInteger).label(field) for field in TOKEN_FIELDS),
        _model_seq.label("model_seq"),
    )
    .where(IN_SESSION, messages.c.seq.between(_first, _END))
    .group_by(messages.c.turn)
    .subquery("counted")
)
_t = _counted.c
_model = messages.alias("last_model")
_call, _answer = messages.alias("call_message"), messages.alias("answer_message")
_a = answered(parts.c.message_seq.between(_first, _END))
_part = parts.alias("call")


def _at(table: Any, seq: Any) -> Any:
    # The bounds say nothing new, but keep Postgres from reading the session to look up a few of its messages.
    return and_(table.c.session_id == bindparam("session"), table.c.seq.between(_first, _END), table.c.seq == seq)


_TURNS = union_all(
    select(
        _t.turn,
        null().label("position"),
        _t.first_seq,
        _t.last_seq,
        _t.message_count,
        _t.started_at,
        _t.ended_at,
        *(_t[field] for field in TOKEN_FIELDS),
        *(_model.c[field].label(f"last_{field}") for field in OF_LAST),
        *(null().label(name) for name in ("tool_call_id", "tool_name", "extra")),
    ).outerjoin_from(_counted, _model, _at(_model, _t.model_seq)),
    select(
        _call.c.turn,
        _part.c.position,
        _part.c.message_seq,
        _part.c.message_seq,
        null(),
        _call.c.created_at,
        _answer.c.created_at,
        *(null() for _ in (*TOKEN_FIELDS, *OF_LAST)),
        _part.c.tool_call_id,
        _part.c.tool_name,
        _part.c.extra,
    )
    .join_from(_a, _call, _at(_call, _a.c.message_seq))
    .join(
        _part,
        and_(
            _part.c.session_id == bindparam("session"),
            _part.c.message_seq.between(_first, _END),
            _part.c.message_seq == _a.c.message_seq,
            _part.c.position == _a.c.position,
        ),
    )
    .outerjoin(_answer, _at(_answer, _a.c.answer_seq))
    .where(_a.c.type == literal_column("'tool_call'")),
)


async def read(t: Transaction, session_id: str, limit: int | None) -> list[Turn]:
    """Return the turns from turn 1 on, or the latest so many, in order."""
    rows = await t.rows(_TURNS, session=session_id, page_size=_ALL if limit is None else limit, end_seq=_ALL)
    calls: dict[int, list[ToolUse]] = {}
    for row in sorted((row for row in rows if row.position is not None), key=_place_of):
        calls.setdefault(row.turn, []).append(tool_use_of(session_id, row))
    turns = sorted((row for row in rows if row.position is None), key=lambda row: rank(row.turn))
    return [turn_of(session_id, row, calls.get(row.turn, [])) for row in turns]


def _place_of(call: Row[Any]) -> Any:
    return rank(call.first_seq), rank(call.position)
