"""What the tests of drafts share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore import Message, SessionInfo, SQLSessionStore


async def stored(store: SQLSessionStore, message_id: str, session_id: str = "s") -> Message:
    """Return a message that must be there."""
    message = await store.get_message(session_id, message_id)
    assert message is not None
    return message


async def info_of(store: SQLSessionStore, session_id: str = "s") -> SessionInfo:
    """Return a session that must be there."""
    info = await store.get_session(session_id)
    assert info is not None
    return info


def exact(message: Message) -> list[str]:
    """Return the parts to the last bit, ids aside: 1 is not 1.0, and NaN is NaN."""
    return [
        repr([(name, getattr(part, name)) for name in type(part).model_fields if name != "id"])
        for part in message.parts
    ]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Wait until a condition holds; fail when it doesn't in time."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.02)


@asynccontextmanager
async def watched(engine: AsyncEngine) -> AsyncIterator[list[tuple[str, Any]]]:
    """Give the statements that the engine sends meanwhile, with their parameters."""
    sent: list[tuple[str, Any]] = []

    def before(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    try:
        yield sent
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", before)
