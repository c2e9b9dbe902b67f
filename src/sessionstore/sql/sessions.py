"""Sessions: their statements, and the operations made of them."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Executable, Row, bindparam, delete, select, update

from sessionstore import jsontext
from sessionstore.errors import SessionExists, SessionNotFound
from sessionstore.models import SessionInfo
from sessionstore.models.usage import NO_TOKENS, TOKEN_FIELDS, Tokens
from sessionstore.sql.dialect import Capabilities, Instant, now, strictly_after
from sessionstore.sql.info_rows import info_of
from sessionstore.sql.rows import COUNTERS, check_counters
from sessionstore.sql.schema import messages, parts, read_files, sessions, summaries
from sessionstore.sql.transaction import Transaction

_columns = sessions.c
THIS = (_columns.id == bindparam("session"), _columns.tenant_id == bindparam("tenant"))
_MOVED = strictly_after(now(), _columns.updated_at)

OWNED = select(_columns.id).where(*THIS).exists()
"""That the session is there and this tenant's, for statements on the tables below it."""

_POINTER = (
    select(summaries.c.message_id)
    .where(summaries.c.session_id == _columns.id, summaries.c.active)
    .order_by(summaries.c.number.desc())
    .limit(1)
    .scalar_subquery()
    .label("summary_message_id")
)
_SPECIAL: dict[str, ColumnElement[Any]] = {"time": _columns.created_at, "summary_message_id": _POINTER}
INFO: tuple[ColumnElement[Any], ...] = (
    *(_SPECIAL[name] if name in _SPECIAL else _columns[name] for name in SessionInfo.model_fields),
    _columns.updated_at,
    _columns.archived_at,
)
"""The columns of `rows.info_of`: in the order of the model's fields, `time` by three."""

_COUNTERS = (_columns.last_message_at, *(_columns[name] for name in COUNTERS))

_CLOCK = select(now().label("now"))
_GET = select(*INFO).where(*THIS)
_LOCK = select(*_COUNTERS, now().label("now")).where(*THIS).with_for_update(key_share=True)
_LOCK_TO_DELETE = select(*_COUNTERS, now().label("now")).where(*THIS).with_for_update()
_LOCK_BY_WRITING = (
    update(sessions).where(*THIS).values(last_seq=_columns.last_seq).returning(*_COUNTERS, now().label("now"))
)
_SET_COUNTERS = (
    update(sessions)
    .where(*THIS)
    .values(
        last_seq=bindparam("new_last_seq"),
        last_message_at=bindparam("new_last_message_at"),
        turn_count=bindparam("new_turn_count"),
        message_count=_columns.message_count + bindparam("more_messages"),
        updated_at=strictly_after(bindparam("at", type_=Instant()), _columns.updated_at),
        **{field: _columns[field] + bindparam(f"more_{field}") for field in TOKEN_FIELDS},
    )
)
_TOUCH = update(sessions).where(*THIS).values(updated_at=_MOVED)
_SET_TITLE = _TOUCH.values(title=bindparam("new_title"))
_OWN_FIELDS = ("title", "project_dir", "working_dir", "model_id", "provider_id", "user_id", "metadata", "archived_at")
_UPDATE = _TOUCH.values({_columns[name]: bindparam(f"new_{name}") for name in _OWN_FIELDS})
_ADD_USAGE = _TOUCH.values(
    {
        _columns[prefix + field]: _columns[prefix + field] + bindparam(f"more_{field}")
        for field in TOKEN_FIELDS
        for prefix in ("", "base_")
    }
)
_OVERWRITE = (
    update(sessions)
    .where(*THIS)
    .values({column: bindparam(f"new_{column.name}") for column in _columns if column.name not in ("id", "tenant_id")})
)
# Messages first: a draft's writer locks its message and then its parts, and so does whoever deletes them.
_DELETE_BELOW = [
    delete(table).where(table.c.session_id == bindparam("session"))
    for table in (messages, parts, summaries, read_files)
]
_DELETE = delete(sessions).where(*THIS)


@cache
def _create(capabilities: Capabilities) -> Executable:
    values: dict[Column[Any], Any] = {column: bindparam(f"new_{column.name}") for column in _columns}
    return (
        capabilities.insert(sessions)
        .values(values)
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(_columns.id)
    )


async def get(t: Transaction, session_id: str) -> SessionInfo | None:
    """Return the session's metadata."""
    row = await t.row(_GET, session=session_id)
    return None if row is None else info_of(row)


async def get_existing(t: Transaction, session_id: str) -> SessionInfo:
    """Return the session's metadata. Raises `SessionNotFound`."""
    info = await get(t, session_id)
    if info is None:
        raise not_found(session_id)
    return info


def not_found(session_id: str) -> SessionNotFound:
    """Return the error for a session that isn't there, or is another tenant's."""
    return SessionNotFound(f"there is no session {session_id!r}; create it first")


async def clock(t: Transaction) -> datetime:
    """Return the time by the clock that messages are dated with."""
    return (await t.rows(_CLOCK))[0].now


async def lock(t: Transaction, session_id: str) -> Row[Any] | None:
    """Lock the session's row until the transaction ends; return its counters and the time, or `None`.

    Raises `CorruptRecord` for counters that nothing can be appended to.
    """
    locked = await hold(t, session_id)
    if locked is not None:
        check_counters(session_id, locked)
    return locked


async def hold(t: Transaction, session_id: str, *, to_delete: bool = False) -> Row[Any] | None:
    """Lock the session's row, whatever is in it.

    `to_delete` takes the lock that deleting needs at once: taking it later might deadlock.
    """
    if not t.capabilities.locks_rows:
        return await t.row(_LOCK_BY_WRITING, session=session_id)
    return await t.row(_LOCK_TO_DELETE if to_delete else _LOCK, session=session_id)


async def lock_existing(t: Transaction, session_id: str) -> Row[Any]:
    """Lock as `lock` does. Raises `SessionNotFound`."""
    locked = await lock(t, session_id)
    if locked is None:
        raise not_found(session_id)
    return locked


async def set_counters(
    t: Transaction,
    session_id: str,
    locked: Row[Any],
    *,
    turn_count: int,
    last_seq: int | None = None,
    last_message_at: datetime | None = None,
    more_messages: int = 0,
    more_tokens: Tokens = NO_TOKENS,
) -> None:
    """Bring a locked session's counters to what its messages are now, and move `updated`."""
    await t.run(
        _SET_COUNTERS,
        session=session_id,
        at=locked.now,
        new_last_seq=locked.last_seq if last_seq is None else last_seq,
        new_last_message_at=locked.last_message_at if last_message_at is None else last_message_at,
        new_turn_count=turn_count,
        more_messages=more_messages,
        **_more(more_tokens),
    )


async def create(t: Transaction, info: SessionInfo) -> SessionInfo:
    """Insert a session without messages. Raises `SessionExists`."""
    empty = info.model_copy(update={"summary_message_id": None, "message_count": 0, **NO_TOKENS._asdict()})
    if not await insert(t, empty, Contents()) and not await _is_mine(t, empty):
        raise taken(info.id)
    t.announce("session.created", session_id=info.id, title=info.title)
    return empty


def taken(session_id: str) -> SessionExists:
    """Return the error for an id that is another session's."""
    return SessionExists(
        f"the session id {session_id!r} is taken, perhaps by another tenant: ids are unique in a schema; "
        "leave it out to have a new one made, or put the tenant in it"
    )


async def _is_mine(t: Transaction, info: SessionInfo) -> bool:
    """Whether an earlier attempt, whose outcome wasn't known, made the session."""
    return t.earlier is not None and repr(await get(t, info.id)) == repr(info)  # NaN equals itself in text only


@dataclass(frozen=True)
class Contents:
    """What a session's row says of its messages."""

    last_seq: int = 0
    last_message_at: datetime | None = None
    turn_count: int = 0
    message_count: int = 0
    tokens: Tokens = NO_TOKENS


async def insert(t: Transaction, info: SessionInfo, contents: Contents) -> bool:
    """Insert a session's row; return `False` when the id is taken."""
    row = _row(info, contents)
    created = await t.row(_create(t.capabilities), new_id=info.id, new_tenant_id=t.tenant_id, **row)
    return created is not None


async def overwrite(t: Transaction, info: SessionInfo, contents: Contents) -> None:
    """Bring a locked session's row to what is given, times and totals included."""
    await t.run(_OVERWRITE, session=info.id, **_row(info, contents))


def _row(info: SessionInfo, contents: Contents) -> dict[str, Any]:
    """Return the columns; usage that no message accounts for is the base that totals start from."""
    totals = Tokens(*(getattr(info, field) for field in TOKEN_FIELDS))
    base = totals.minus(contents.tokens)
    return {
        **_own_fields(info),
        "new_root_session_id": info.root_session_id,
        "new_parent_session_id": info.parent_session_id,
        "new_last_seq": contents.last_seq,
        "new_last_message_at": contents.last_message_at,
        "new_turn_count": contents.turn_count,
        "new_message_count": contents.message_count,
        "new_created_at": info.time.created,
        "new_updated_at": info.time.updated,
        **{f"new_{field}": count for field, count in totals._asdict().items()},
        **{f"new_base_{field}": count for field, count in base._asdict().items()},
    }


def _own_fields(info: SessionInfo) -> dict[str, Any]:
    return {
        "new_title": info.title,
        "new_project_dir": info.project_dir,
        "new_working_dir": info.working_dir,
        "new_model_id": info.model_id,
        "new_provider_id": info.provider_id,
        "new_user_id": info.user_id,
        "new_metadata": jsontext.dumps(info.metadata, "session.metadata"),
        "new_archived_at": info.time.archived,
    }


async def modify(t: Transaction, info: SessionInfo) -> SessionInfo:
    """Store what callers may change of a session. Raises `SessionNotFound`."""
    await _change(t, _UPDATE, info.id, **_own_fields(info))
    return await get_existing(t, info.id)


async def set_title(t: Transaction, session_id: str, title: str) -> None:
    """Set the title. Raises `SessionNotFound`."""
    await _change(t, _SET_TITLE, session_id, new_title=title)


async def add_usage(t: Transaction, session_id: str, tokens: Tokens) -> None:
    """Add tokens that belong to no message. Raises `SessionNotFound`."""
    await _change(t, _ADD_USAGE, session_id, **_more(tokens))


async def touch(t: Transaction, session_id: str) -> None:
    """Move `updated`."""
    await _change(t, _TOUCH, session_id)


async def _change(t: Transaction, statement: Executable, session_id: str, **parameters: Any) -> None:
    if not await t.run(statement, session=session_id, **parameters):
        raise not_found(session_id)
    t.announce("session.updated", session_id=session_id)


def _more(tokens: Tokens) -> dict[str, int]:
    return {f"more_{field}": count for field, count in tokens._asdict().items()}


async def remove(t: Transaction, session_id: str) -> bool:
    """Delete the session and all that hangs on it, without relying on the database's cascades."""
    if await hold(t, session_id, to_delete=True) is None:
        return False
    for statement in (*_DELETE_BELOW, _DELETE):
        await t.run(statement, session=session_id)
    t.announce("session.deleted", session_id=session_id)
    return True
