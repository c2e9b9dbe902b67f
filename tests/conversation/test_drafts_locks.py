"""The law of lock order: a session's row, then a message's, then its parts'."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from sessionstore import Message, Session, SessionInfo, SessionStore, SQLSessionStore, TextPart
from tests.sql.invariants import broken

from .drafting import until

Act = Callable[[SessionStore], Awaitable[Any]]


def _draft(**fields: Any) -> Message:
    return Message(session_id="s", role="assistant", id="m", parts=[TextPart(content="so far")], **fields)


LOCKERS: dict[str, Act] = {
    "delete_messages": lambda s: s.delete_messages("s"),
    "delete_session": lambda s: s.delete_session("s"),
    "pop": lambda s: s.pop_message("s"),
    "replace": lambda s: s.replace_message(_draft()),
    "save_session": lambda s: s.save_session(Session(info=SessionInfo(id="s"))),
    "recover": lambda s: s.recover(stale_after=0),
}


async def _somebody_waits(store: SQLSessionStore) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with store.engine.connect() as connection:
        return (await connection.scalar(text(waiting)) or 0) > 0


@pytest.mark.parametrize("name", LOCKERS)
async def test_locks_are_taken_in_one_order(postgresql_url: str, name: str) -> None:
    """Whoever has locked a draft's message may go on to its parts: nobody holds these and waits for the message."""
    async with SQLSessionStore.from_url(postgresql_url) as store:
        await store.create_session(SessionInfo(id="s"))
        await store.save_message(_draft(status="in_progress"))
        async with store.engine.connect() as writer:
            await writer.execute(text("UPDATE sessionstore_messages SET updated_at = now()"))
            waiting = asyncio.ensure_future(LOCKERS[name](store))
            await until(lambda: _somebody_waits(store))
            await writer.execute(text("SELECT FROM sessionstore_parts FOR UPDATE NOWAIT"))
            await writer.execute(text("UPDATE sessionstore_parts SET text = text || '!'"))
            await writer.commit()
        await waiting
        assert await broken(store.engine) == []
