"""Pages of sessions, by key and not by offset: a page costs the same wherever it starts."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Executable, Row, bindparam, column, func, literal, select, tuple_, union_all

from sessionstore.errors import CorruptRecord
from sessionstore.models import SessionInfo
from sessionstore.models.base import LATEST
from sessionstore.sql.dialect import PAGE_SIZE, Instant, Key, unindexed
from sessionstore.sql.info_rows import info_of, infos_are_sound
from sessionstore.sql.schema import sessions
from sessionstore.sql.sessions import INFO
from sessionstore.sql.transaction import Transaction

_ORDER = (sessions.c.updated_at.desc(), sessions.c.id.desc())


_KEY = (sessions.c.id, sessions.c.updated_at)
_position = tuple_(sessions.c.updated_at, sessions.c.id)
_SESSION = bindparam("after_session", type_=Key)
_behind = sessions.alias()
# A time that can't be read is compared where it is. Of a row that has gone nothing is known: the list starts anew.
_SOMEWHERE = func.coalesce(
    select(_behind.c.updated_at)
    .where(_behind.c.id == _SESSION, _behind.c.tenant_id == bindparam("tenant"))
    .scalar_subquery(),
    literal(LATEST, Instant()),
)
_BEHIND = {
    "after_updated": _position < tuple_(bindparam("after_updated", type_=Instant()), _SESSION),
    "after_session": _position < tuple_(_SOMEWHERE, _SESSION),
}


class Unreadable(SessionInfo):
    """Stands for a session whose row can't be read: a place in the list, to go on behind it."""


async def page(
    t: Transaction,
    *,
    user_id: str | None,
    parent_session_id: str | None,
    archived: bool | None,
    limit: int | None,
    after: SessionInfo | None,
) -> list[SessionInfo]:
    """Return one page of sessions, the most recently updated first."""
    given = {"user": user_id, "parent": parent_session_id, "page_size": limit, **_place(after)}
    given = {name: value for name, value in given.items() if value is not None}
    rows = await t.rows(_statement(INFO, archived, frozenset(given)), **given)
    sound = infos_are_sound(rows)
    return [_listed(row, sound=sound) for row in rows]


def _listed(row: Row[Any], *, sound: bool) -> SessionInfo:
    try:
        return info_of(row, sound=sound)
    except CorruptRecord as error:
        error.resume = Unreadable.model_construct(id=row.id)
        raise


async def keys(t: Transaction, *, since: datetime | None, limit: int, after: Row[Any] | None) -> Sequence[Row[Any]]:
    """Return one page of sessions as `id` and `updated_at` only, which can be read though others can't."""
    given: dict[str, Any] = {"page_size": limit}
    if since is not None:
        given["since"] = since
    if after is not None:
        given |= {"after_session": after.id}
        if isinstance(after.updated_at, datetime) and after.updated_at.tzinfo:
            given["after_updated"] = after.updated_at
    return await t.rows(_statement(_KEY, None, frozenset(given)), **given)


def _place(after: SessionInfo | None) -> dict[str, Any]:
    if after is None:
        return {}
    known = {} if isinstance(after, Unreadable) else {"after_updated": after.time.updated}
    return {"after_session": after.id, **known}


@cache
def _statement(columns: tuple[ColumnElement[Any], ...], archived: bool | None, given: frozenset[str]) -> Executable:
    """Return the statement for those parameters that are given."""
    # A parent's children are few: SQLite is kept from walking the tenant's whole listing index for them.
    tenant = unindexed(sessions.c.tenant_id) if "parent" in given else sessions.c.tenant_id
    statement = select(*columns).where(tenant == bindparam("tenant")).order_by(*_ORDER)
    if "user" in given:
        statement = statement.where(sessions.c.user_id == bindparam("user"))
    if "parent" in given:
        statement = statement.where(sessions.c.parent_session_id == bindparam("parent"))
    if "since" in given:
        statement = statement.where(sessions.c.updated_at >= bindparam("since", type_=Instant()))
    if "after_session" in given:
        statement = statement.where(_BEHIND["after_updated" if "after_updated" in given else "after_session"])
    limit = PAGE_SIZE if "page_size" in given else None
    listed = statement.where(sessions.c.archived_at.is_(None))
    put_away = statement.where(sessions.c.archived_at.is_not(None))
    if archived is not None:
        return (put_away if archived else listed).limit(limit)
    # Each index holds one kind of session: a page of both is merged from a page of each.
    pages = (select(kind.limit(limit).subquery()) for kind in (listed, put_away))
    newest_first: list[ColumnElement[Any]] = [column("updated_at").desc(), column("id").desc()]
    return union_all(*pages).order_by(*newest_first).limit(limit)
