"""A database's health: what isn't as it always should be, and its repair."""

from collections.abc import AsyncGenerator
from datetime import datetime
from itertools import groupby
from typing import Any

from sessionstore.errors import InvalidValue, SchemaOutOfDate, SessionStoreError, StoreUnavailable
from sessionstore.sql import invariants, listing, repairs
from sessionstore.sql.invariants import Problem
from sessionstore.sql.schema import sessions
from sessionstore.sql.store import SQLSessionStore

__all__ = ["Problem", "check", "examine", "repair"]

_PAGE = 200


async def check(store: SQLSessionStore, *, since: datetime | None = None) -> AsyncGenerator[Problem]:
    """Yield what is wrong, session by session, the most recently used first; nothing is changed.

    Checked are the sessions of the store's tenant: counters and totals equal the rows, turn
    numbers and positions are right, every row can be read, summaries point to living messages.
    With `since`, an aware time, only those that were used since then. Without it, the default
    tenant's check ends with rows, of any tenant, whose session isn't there. A session that is
    used meanwhile may be passed over; it raises no false alarm.
    """
    async for _, problems in examine(store, since=since):
        for problem in problems:
            yield problem


async def examine(
    store: SQLSessionStore, *, since: datetime | None = None
) -> AsyncGenerator[tuple[str, list[Problem]]]:
    """Yield each session's id and what is wrong with it, as `check` finds it."""
    if since is not None and since.utcoffset() is None:
        raise InvalidValue("since: is a datetime without a time zone; give an aware one")
    last: Any = None
    while page := await store.runner.read(lambda t, last=last: listing.keys(t, since=since, limit=_PAGE, after=last)):
        for row in page:
            yield row.id, await _problems_of(store, row.id)
        last = page[-1]
    if since is None and store.tenant_id == "":
        loose = await store.runner.read(invariants.loose_rows)
        for session_id, problems in groupby(loose, lambda problem: problem.session_id):
            yield session_id, list(problems)


async def repair(store: SQLSessionStore, session_id: str) -> list[Problem]:
    """Bring a session's counters, numbers and records to its messages; return what is still wrong.

    All or nothing, and no content is deleted: rows that can't be read, parts without a message
    and rows without a session stay, and stay listed. A summary whose message is gone goes.
    """
    await store.runner.write(lambda t: repairs.repair(t, session_id))
    return await _problems_of(store, session_id)


async def _problems_of(store: SQLSessionStore, session_id: str) -> list[Problem]:
    try:
        return await store.runner.read(lambda t: invariants.problems_of(t, session_id))
    except (StoreUnavailable, SchemaOutOfDate):
        raise
    except SessionStoreError as error:  # what the driver can't even show: the next session can be
        return [Problem(session_id, sessions.name, (session_id,), str(error))]
