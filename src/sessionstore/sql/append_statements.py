"""The statements of `appending`: a whole append in one, and one that moves the counters first.

In the whole one the session's row is locked first. With its UPDATE first, writers that race with
one id would violate the unique key, which breaks a caller's transaction off.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Executable,
    FromClause,
    Integer,
    Interval,
    Select,
    TableValuedAlias,
    Text,
    bindparam,
    case,
    cast,
    column,
    func,
    insert,
    literal,
    literal_column,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.types import TypeEngine

from sessionstore.models.base import EARLIEST, LATEST
from sessionstore.models.usage import TOKEN_FIELDS
from sessionstore.sql import part_rows
from sessionstore.sql.dialect import Capabilities, Instant, now, strictly_after
from sessionstore.sql.messages import IN_SESSION, seqs_of
from sessionstore.sql.rows import COUNTERS
from sessionstore.sql.schema import messages, parts, sessions
from sessionstore.sql.sessions import THIS

_TEXT, _NUMBER, _TIME = Text(), BigInteger(), DateTime(timezone=True)
_LATEST = literal(LATEST, _TIME)
_CONTENT: dict[str, TypeEngine[Any]] = {
    "id": _TEXT,
    "role": _TEXT,
    "starts_turn": Boolean(),
    "status": _TEXT,
    "model": _TEXT,
    "provider": _TEXT,
    **dict.fromkeys(TOKEN_FIELDS, _NUMBER),
    "usage": _TEXT,
    "metadata": _TEXT,
}
"""What `rows.prepare` makes of a message."""

_PLACE: dict[str, TypeEngine[Any]] = {"turns": _NUMBER, "given_time": _TIME}
"""Where it comes: turns are counted from the session's last message on."""

_PLACE_AMONG_SEVERAL = _PLACE | {"ordinal": _NUMBER, "time_offset": Interval()}

_PART: dict[str, TypeEngine[Any]] = {
    "ordinal": _NUMBER,
    "position": Integer(),
    **dict.fromkeys(part_rows.COLUMNS, _TEXT),
}

CONTENT: Sequence[str] = tuple(_CONTENT)
"""The columns of a message that `prepare` makes, each a parameter behind `new_`."""

MESSAGE_PARAMETERS = (*CONTENT, *_PLACE_AMONG_SEVERAL)
"""Each a parameter behind `new_`: a list of values, one a message."""

PART_PARAMETERS = tuple(_PART)
"""Each a list behind `part_`."""

MOST_SCALARS = 6
"""How many parts a message may have whose columns are parameters of their own, for which there is a statement a number.

Lists cost more, in the driver, which looks at each value's type, and on the server.
"""


@cache
def one(capabilities: Capabilities, parts_: int | None) -> Executable:
    """Return the statement that appends a message, for databases that write in CTEs.

    Its parts are as many as given, each column a parameter `part_N_NAME`, or any number, in lists. It returns
    `seq`, `turn` and `created_at`, and nothing when it did nothing, because the session isn't there or isn't sound, or
    the message is stored.
    """
    locked = _locked()
    first_free = strictly_after(locked.c.now, locked.c.last_message_at)
    given = {name: bindparam(f"new_{name}", type_=type_) for name, type_ in {**_CONTENT, **_PLACE}.items()}
    source = select(
        locked.c.id,
        locked.c.last_seq + literal_column("1"),
        *(given[name] for name in _CONTENT),
        locked.c.turn_count + given["turns"],
        func.coalesce(given["given_time"], func.least(first_free, _LATEST)),
        locked.c.now,
    )
    arbiter = [messages.c.session_id, messages.c.id]
    inserting = capabilities.insert(messages).from_select(_MESSAGE_COLUMNS, source)
    inserted = inserting.on_conflict_do_nothing(index_elements=arbiter).returning(*_RETURNED).cte("inserted")
    counting = {"message_count": sessions.c.message_count + literal_column("1")}
    counting |= {field: sessions.c[field] + given[field] for field in TOKEN_FIELDS}
    appended = select(inserted.c.seq, inserted.c.turn, inserted.c.created_at).add_cte(_counted(inserted, counting))
    if parts_ == 0:
        return appended
    given_parts = _rows("part_", _PART) if parts_ is None else _scalar_rows(parts_)
    added = select(inserted.c.session_id, inserted.c.seq, *_part_columns(given_parts.c))
    return appended.add_cte(_inserted_parts(added.select_from(inserted.join(given_parts, true()))))


@cache
def several() -> Executable:
    """Return the statement that appends messages, for databases that write in CTEs; see `one`.

    In a race with a writer of the same ids this one raises a unique violation: where that hurts, the session's row
    is locked before.
    """
    locked = _locked()
    given = _rows("new_", {**_CONTENT, **_PLACE_AMONG_SEVERAL})
    first_free = strictly_after(locked.c.now, locked.c.last_message_at)
    source = select(
        locked.c.id,
        locked.c.last_seq + given.c["ordinal"],
        *(given.c[name] for name in _CONTENT),
        locked.c.turn_count + given.c["turns"],
        func.coalesce(given.c["given_time"], func.least(first_free + given.c["time_offset"], _LATEST)),
        locked.c.now,
    )
    source = source.select_from(locked.join(given, true())).where(~_STORED)
    inserted = insert(messages).from_select(_MESSAGE_COLUMNS, source).returning(*_RETURNED).cte("inserted")
    part = _rows("part_", _PART).c
    added = select(inserted.c.session_id, inserted.c.seq, *_part_columns(part)).where(
        inserted.c.seq == locked.c.last_seq + part["ordinal"]
    )
    last = (
        select(
            inserted.c.session_id,
            func.max(inserted.c.seq).label("seq"),
            func.max(inserted.c.turn).label("turn"),
            func.max(inserted.c.created_at).label("created_at"),
        )
        .group_by(inserted.c.session_id)
        .subquery("last")
    )
    return (
        select(inserted.c.seq, inserted.c.turn, inserted.c.created_at)
        .add_cte(_inserted_parts(added))
        .add_cte(_counted(last, _MORE))
    )


_MESSAGE_COLUMNS = ["session_id", "seq", *_CONTENT, "turn", "created_at", "updated_at"]
_RETURNED = (messages.c.session_id, messages.c.seq, messages.c.turn, messages.c.created_at)
# What the rest of a row may not be, the long way says; here it only mustn't be built upon.
_WITHIN_TIME = func.coalesce(
    sessions.c.last_message_at.between(literal(EARLIEST, Instant()), literal(LATEST - timedelta(days=1), Instant())),
    true(),
)
_SOUND = [
    column_ == cast(column_, _NUMBER)
    for column_ in (sessions.c.message_count, *(sessions.c[name] for name in (*COUNTERS, *TOKEN_FIELDS)))
]
_ids = seqs_of("new_id").subquery("ids")
_STORED = select(_ids.c.seq).where(_ids.c.seq.is_not(None)).exists()
_ONE_STORED = select(messages.c.seq).where(IN_SESSION, messages.c.id == bindparam("new_id")).exists()


def _locked() -> CTE:
    row = sessions.c
    columns = (row.id, row.last_seq, row.turn_count, row.last_message_at, now().label("now"))
    return select(*columns).where(*THIS, _WITHIN_TIME).with_for_update(key_share=True).cte("locked")


def _scalar_rows(count: int) -> FromClause:
    """Return a table of parts whose every value is a parameter.

    No VALUES: Core compiles a statement with one again each time, for want of a key to cache it by.
    """
    rows = [
        select(
            literal_column(str(position), Integer()).label("position"),
            *(bindparam(f"part_{position}_{name}", type_=_TEXT).label(name) for name in part_rows.COLUMNS),
        )
        for position in range(count)
    ]
    return union_all(*rows).subquery("given_parts")


def _rows(prefix: str, types: dict[str, TypeEngine[Any]]) -> TableValuedAlias:
    """Return a table whose every column is a parameter: one text, however many rows."""
    lists = [bindparam(f"{prefix}{name}", type_=ARRAY(type_)) for name, type_ in types.items()]
    columns = [column(name, type_) for name, type_ in types.items()]
    return func.unnest(*lists).table_valued(*columns).render_derived()


def _part_columns(part: Any) -> list[ColumnElement[Any]]:
    return [part["position"], *(part[name] for name in part_rows.COLUMNS)]


def _inserted_parts(source: Select[Any]) -> CTE:
    return insert(parts).from_select(["session_id", "message_seq", "position", *part_rows.COLUMNS], source).cte("added")


def _counted(last: FromClause, counting: Mapping[str, Any]) -> CTE:
    """Return the update of the session's counters, by what the last message has."""
    return (
        update(sessions)
        .where(*THIS, sessions.c.id == last.c.session_id)
        .values(
            last_seq=last.c.seq,
            turn_count=last.c.turn,
            last_message_at=func.greatest(sessions.c.last_message_at, last.c.created_at),
            updated_at=_UPDATED_AT,
            **counting,
        )
        .cte("counted")
    )


_UPDATED_AT = strictly_after(now(), sessions.c.updated_at)
_MORE: dict[str, Any] = {
    "message_count": sessions.c.message_count + bindparam("more_messages", type_=_NUMBER),
    **{field: sessions.c[field] + bindparam(f"more_{field}", type_=_NUMBER) for field in TOKEN_FIELDS},
}


@cache
def counters_first(*, given_times: bool, several_ids: bool) -> Executable:
    """Return the statement that moves a session's counters by messages that are to be inserted next.

    The parameter `new_id` is the message's id, or a list of several ones'. It returns the new `last_seq`, `turn_count`
    and `last_message_at`, and the time; nothing when it did nothing, because the session isn't there or isn't sound, or
    a message is stored.
    """
    last = sessions.c.last_message_at
    if given_times:
        latest = bindparam("latest_time", type_=Instant())
        time: ColumnElement[Any] = case((last > latest, last), else_=latest)
    else:
        first = strictly_after(now(), func.coalesce(last, literal(EARLIEST, Instant())))
        time = first.op("+", return_type=Instant())(bindparam("later", type_=_NUMBER))
    return (
        update(sessions)
        .where(*THIS, ~(_STORED if several_ids else _ONE_STORED), _WITHIN_TIME, *_SOUND)
        .values(
            last_seq=sessions.c.last_seq + bindparam("more_messages", type_=_NUMBER),
            turn_count=sessions.c.turn_count + bindparam("more_turns", type_=_NUMBER),
            last_message_at=time,
            updated_at=_UPDATED_AT,
            **_MORE,
        )
        .returning(sessions.c.last_seq, sessions.c.turn_count, sessions.c.last_message_at, now().label("now"))
    )
