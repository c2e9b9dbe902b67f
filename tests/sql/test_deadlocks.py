"""The law of lock order: callers' transactions on one session wait for each other, and none is broken off."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from sessionstore import SessionInfo, SessionStore, SQLSessionStore
from sessionstore.testing.build import user

SECOND: dict[str, Callable[[SessionStore], Awaitable[Any]]] = {
    "delete": lambda store: store.delete_session("s"),
    "replace": lambda store: store.replace_message(user("s", id="m")),
    "append": lambda store: store.save_message(user("s")),
}
FIRST: dict[str, Callable[[SessionStore], Awaitable[Any]]] = {
    "track": lambda store: store.track_read_file("s", "/a"),
    "recover": lambda store: store.recover(stale_after=0),
}


# A read file is tracked under a lock that lets others append and replace: only deleting waits for it.
@pytest.mark.parametrize(("first", "second"), [("track", "delete"), *(("recover", second) for second in SECOND)])
async def test_no_deadlock(postgresql_url: str, first: str, second: str) -> None:
    """Whoever began with a read file or a recovery goes on to append, while another deletes or replaces."""
    async with SQLSessionStore.from_url(postgresql_url) as store:
        await store.create_session(SessionInfo(id="s"))
        await store.save_message(user("s", id="m", status="in_progress"))
        async with store.engine.connect() as one, store.engine.connect() as other:
            await FIRST[first](store.bind(one))
            waiting = asyncio.ensure_future(SECOND[second](store.bind(other)))
            await asyncio.sleep(0.1)
            saved = await store.bind(one).save_message(user("s"))
            await one.commit()
            await waiting
            await other.execute(text("SELECT 1"))
            await other.commit()
        assert saved.seq == 2
