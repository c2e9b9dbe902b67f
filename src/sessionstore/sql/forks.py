"""Forks: the beginning of a session copied into a new one, by the database, a statement a table."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    Table,
    Text,
    bindparam,
    case,
    func,
    insert,
    literal_column,
    null,
    select,
    true,
)

from sessionstore.models import SessionInfo
from sessionstore.models.usage import TOKEN_FIELDS
from sessionstore.sql import messages as reading
from sessionstore.sql import sessions as session_statements
from sessionstore.sql.dialect import Instant, Key
from sessionstore.sql.messages import IN_SESSION
from sessionstore.sql.schema import messages, parts, sessions, summaries
from sessionstore.sql.transaction import Transaction

_LAST = 2**63 - 1

_FORK = bindparam("fork", type_=Key)
_NOW = bindparam("at", type_=Instant())
_THROUGH = bindparam("through", type_=BigInteger())
_IN_PROGRESS: ColumnElement[str] = literal_column("'in_progress'")
_INTERRUPTED: ColumnElement[str] = literal_column("'interrupted'")

_copied = (
    select(
        func.coalesce(func.max(messages.c.seq), 0).label("last_seq"),
        func.max(messages.c.created_at).label("last_message_at"),
        func.coalesce(func.max(messages.c.turn), 0).label("turn_count"),
        func.count().label("message_count"),
        *(func.coalesce(func.sum(messages.c[field]), 0).label(field) for field in TOKEN_FIELDS),
    )
    .where(IN_SESSION, messages.c.seq <= _THROUGH)
    .subquery("copied")
)


def _copy(table: Table, *conditions: Any, source: Any = None, **changed: Any) -> Executable:
    """Return a statement that copies rows of a table, but for the columns that are given."""
    columns = [changed.get(column.name, column) for column in table.c]
    chosen = select(*columns).select_from(table if source is None else source).where(*conditions)
    return insert(table).from_select([column.name for column in table.c], chosen)


_COPIES = (
    _copy(
        sessions,
        *session_statements.THIS,
        source=sessions.join(_copied, true()),
        id=_FORK,
        title=func.coalesce(bindparam("new_title", type_=Text()), sessions.c.title),
        root_session_id=func.coalesce(sessions.c.root_session_id, sessions.c.id),
        parent_session_id=sessions.c.id,
        created_at=_NOW,
        updated_at=_NOW,
        archived_at=null(),
        **{column.name: column for column in _copied.c},
        **{f"base_{field}": literal_column("0") for field in TOKEN_FIELDS},
    ),
    _copy(
        messages,
        IN_SESSION,
        messages.c.seq <= _THROUGH,
        session_id=_FORK,
        status=case((messages.c.status == _IN_PROGRESS, _INTERRUPTED), else_=messages.c.status),
        updated_at=_NOW,
    ),
    _copy(parts, parts.c.session_id == bindparam("session"), parts.c.message_seq <= _THROUGH, session_id=_FORK),
    _copy(summaries, summaries.c.session_id == bindparam("session"), summaries.c.at_seq <= _THROUGH, session_id=_FORK),
)


async def fork(t: Transaction, session_id: str, fork_id: str, at: str | None, title: str | None) -> SessionInfo:
    """Copy a session up to a message. Raises `SessionNotFound` and `MessageNotFound`."""
    locked = await session_statements.lock_existing(t, session_id)
    through = _LAST if at is None else await reading.seq_of(t, session_id, at)
    for statement in _COPIES:
        await t.run(statement, session=session_id, fork=fork_id, through=through, at=locked.now, new_title=title)
    forked = await session_statements.get_existing(t, fork_id)
    t.announce("session.created", session_id=fork_id, title=forked.title)
    return forked
