"""Walking through all sessions without holding them."""

from collections.abc import AsyncGenerator, Callable

from sessionstore.errors import CorruptRecord
from sessionstore.models import SessionInfo
from sessionstore.store import SessionStore

_PAGE = 200


async def sessions(
    store: SessionStore,
    *,
    unreadable: Callable[[CorruptRecord], None],
    user_id: str | None = None,
    archived: bool | None = None,
    limit: int | None = None,
) -> AsyncGenerator[SessionInfo, None]:
    """Give sessions, most recently used first, reading a page at a time; `unreadable` is told of bad rows."""
    after: SessionInfo | None = None
    singly = 0  # how many to read one by one, since one of them can't be read
    while limit is None or limit > 0:
        size = 1 if singly else min(_PAGE if limit is None else limit, _PAGE)
        try:
            page = await store.list_sessions(user_id=user_id, archived=archived, limit=size, after=after)
        except CorruptRecord as error:
            if size > 1:
                singly = size
                continue
            unreadable(error)
            after = error.resume
        else:
            for info in page:
                yield info
            if len(page) < size:
                return
            after = page[-1]
        singly = max(singly - 1, 0)
        limit = None if limit is None else limit - size


async def all_ids(store: SessionStore) -> list[str]:
    """Return the ids of all sessions, least recently used first, also of those that can't be read.

    One that is used meanwhile moves to the front and may be missed; so the front is read again
    until it shows none that is new.
    """
    found: dict[str, None] = {}
    unread: list[str] = []
    seen_through: SessionInfo | None = None
    while True:
        known = len(found)
        front: SessionInfo | None = None
        async for info in sessions(store, unreadable=lambda error: unread.append(str(error.key[0]))):
            if seen_through is not None and info.time.updated < seen_through.time.updated:
                break
            front = front or info
            found.setdefault(info.id)
        if len(found) == known:
            return [*dict.fromkeys(unread), *reversed(found)]
        seen_through = front
