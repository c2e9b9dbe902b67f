"""The laws of cost: so many statements a call, however long the session and however many there are."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore import Message, SessionInfo, SQLSessionStore, TextPart
from sessionstore.testing.build import user

from .hosts import disposing

LENGTHS = (0, 40, 400)
OLD_CORE = sqlalchemy.__version__.startswith("2.0.")

CALLS: dict[str, tuple[Callable[[SQLSessionStore, str], Awaitable[Any]], int]] = {
    "append 1": (lambda s, id_: s.save_message(user(id_)), 5),
    "append 100": (lambda s, id_: s.save_messages([user(id_) for _ in range(100)]), 5),
    "last 20": (lambda s, id_: s.get_messages(id_, limit=20), 1),
    "the next 20": (lambda s, id_: s.get_messages_after(id_, 3, limit=20), 1),
    "one message": (lambda s, id_: s.get_message(id_, "absent"), 1),
    "all": (lambda s, id_: s.get_messages(id_), 1),
    "info": (lambda s, id_: s.get_session(id_), 1),
    "list": (lambda s, _: s.list_sessions(limit=20), 1),
    "list all": (lambda s, _: s.list_sessions(), 1),
    "pop": (lambda s, id_: s.pop_message(id_), 8),
    "read file": (lambda s, id_: s.has_read_file(id_, "/a"), 1),
    "track": (lambda s, id_: s.track_read_file(id_, "/a"), 1),
    "turns": (lambda s, id_: s.conversation(id_).turns(), 1),
    "context": (lambda s, id_: s.conversation(id_).context(), 2),
    "usage": (lambda s, id_: s.conversation(id_).context_usage(1000), 6),
    "pending": (lambda s, id_: s.conversation(id_).pending_tool_calls(), 1),
    "fork": (lambda s, id_: s.conversation(id_).fork(), 6),
    "summaries": (lambda s, id_: s.conversation(id_).summaries(), 1),
}
"""Calls, and the most statements that they may send."""


@pytest.fixture
async def counted(engine: AsyncEngine) -> AsyncIterator[list[str]]:
    """The statements that the engine has sent."""
    sent: list[str] = []

    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    yield sent
    event.remove(engine.sync_engine, "before_cursor_execute", before)


async def test_statements_do_not_grow(engine: AsyncEngine, counted: list[str]) -> None:
    """Each call sends a fixed number of statements, whether the session has no message or hundreds."""
    store = SQLSessionStore(engine)
    found: dict[str, set[int]] = {}
    for length in LENGTHS:
        for name, (call, _) in CALLS.items():
            session_id = f"{length} {name}"
            await store.create_session(SessionInfo(id=session_id))
            await store.save_messages([user(session_id) for _ in range(length)])
            counted.clear()
            await call(store, session_id)
            if length or name != "pop":  # nothing to take
                found.setdefault(name, set()).add(len(counted))
    assert {name: len(counts) for name, counts in found.items()} == dict.fromkeys(CALLS, 1)
    assert all(1 <= counts.pop() <= CALLS[name][1] for name, counts in found.items())


def _of_parts(session_id: str, count: int) -> Message:
    return Message(session_id=session_id, role="assistant", parts=[TextPart(content="part") for _ in range(count)])


async def test_statements_are_compiled_once(engine: AsyncEngine) -> None:
    """Core finds each statement among those that it has compiled before, whatever number of parts a message has.

    But for SQLAlchemy 2.0, which has no key for ON CONFLICT.
    """
    found: list[tuple[str, str]] = []

    def before(_connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        if context.compiled is not None:
            found.append((context.cache_hit.name, statement))

    store = SQLSessionStore(engine)
    await store.create_session(SessionInfo(id="s"))
    calls = [call for call, _ in CALLS.values()]
    calls += [lambda s, id_, n=n: s.save_message(_of_parts(id_, n)) for n in (0, 2, 6, 7)]
    for _ in range(2):
        for call in calls:
            await call(store, "s")
    event.listen(engine.sync_engine, "before_cursor_execute", before)
    for call in calls:
        await call(store, "s")
    event.remove(engine.sync_engine, "before_cursor_execute", before)
    anew = [statement for hit, statement in found if hit != "CACHE_HIT"]
    assert [statement for statement in anew if not (OLD_CORE and "ON CONFLICT" in statement)] == []
    assert len(found) > len(calls)


async def test_appends_begin_with_the_lock(engine: AsyncEngine, counted: list[str]) -> None:
    """A write's first statement takes the lock, so that no writer holds a snapshot that it can't write on."""
    store = SQLSessionStore(engine)
    await store.create_session(SessionInfo(id="s"))
    for call in (lambda: store.save_message(user("s")), lambda: store.pop_message("s")):
        counted.clear()
        await call()
        assert counted[0].startswith("UPDATE") or "FOR NO KEY UPDATE" in counted[0]


async def test_a_read_is_no_transaction_on_postgres(postgresql_url: str) -> None:
    """On Postgres a read goes without BEGIN and ROLLBACK, and a write doesn't."""
    autocommit: list[bool] = []

    def before(connection: Any, *_: Any) -> None:
        autocommit.append(connection.connection.dbapi_connection.autocommit)

    async with disposing(create_async_engine(postgresql_url)) as engine:
        event.listen(engine.sync_engine, "before_cursor_execute", before)
        store = SQLSessionStore(engine)
        await store.create_session(SessionInfo(id="s"))
        assert autocommit == [False]
        autocommit.clear()
        await store.get_messages("s", limit=5)
        assert autocommit == [True]
