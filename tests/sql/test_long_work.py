"""The law of long sessions, counted: what a call visits doesn't grow with the session."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from sessionstore import Message, SessionInfo, SQLSessionStore
from sessionstore.testing.build import assistant, user
from tests import databases

from .test_long_sessions import LENGTH, fill
from .work import Work, measured

Call = Callable[[SQLSessionStore, str], Awaitable[Any]]

_SHORT = 60
_ROUNDS = 6


def _reply(session_id: str, number: int) -> Message:
    return assistant(session_id, f"reply {number}", id=f"reply {number}")


async def _append_and_replace(store: SQLSessionStore, session_id: str) -> None:
    saved = await store.save_message(assistant(session_id))
    await store.replace_message(assistant(session_id, "better", id=saved.id))


async def _end_a_turn(store: SQLSessionStore, session_id: str) -> None:
    """Turn the last message, which starts a turn, into one that doesn't."""
    saved = await store.save_message(user(session_id))
    await store.replace_message(assistant(session_id, "no turn", id=saved.id))


async def _append_and_drop(store: SQLSessionStore, session_id: str) -> None:
    saved = await store.save_messages([user(session_id) for _ in range(5)])
    assert await store.delete_messages(session_id, after=saved[0].id) == 4


async def _retry(store: SQLSessionStore, session_id: str) -> None:
    message = user(session_id)
    await store.save_message(message)
    await store.save_message(message)


async def _summarise(store: SQLSessionStore, session_id: str) -> None:
    saved = await store.save_message(_reply(session_id, 1))
    await store.update_session_summary(session_id, saved.id)
    await store.pop_message(session_id)


CALLS: dict[str, Call] = {
    "append": lambda s, id_: s.save_message(user(id_)),
    "append 5": lambda s, id_: s.save_messages([user(id_) for _ in range(5)]),
    "append twice": _retry,
    "last 20": lambda s, id_: s.get_messages(id_, limit=20),
    "20 after a seq": lambda s, id_: s.get_messages_after(id_, 30, limit=20),
    "20 after an id": lambda s, id_: s.get_messages_after(id_, "m30", limit=20),
    "one": lambda s, id_: s.get_message(id_, "m30"),
    "replace at the end": _append_and_replace,
    "end a turn": _end_a_turn,
    "delete the tail": _append_and_drop,
    "pop": lambda s, id_: s.pop_message(id_),
    "summarise": _summarise,
    "info": lambda s, id_: s.get_session(id_),
    "list": lambda s, _: s.list_sessions(limit=20),
    "pending": lambda s, id_: s.conversation(id_).pending_tool_calls(),
    "last turns": lambda s, id_: s.conversation(id_).turns(limit=3),
    "title": lambda s, id_: s.update_session_title(id_, "moved"),
    "usage": lambda s, id_: s.add_usage(id_, {"input_tokens": 1}),
    "track": lambda s, id_: s.track_read_file(id_, "/a"),
    "recover": lambda s, _: s.recover(),
}


async def _least(work: Work, store: SQLSessionStore, session_id: str, call: Call) -> int:
    """Return the least of several rounds: the first ones also look up tables and their columns."""
    return min([await work(lambda: call(store, session_id)) for _ in range(_ROUNDS)])


@pytest.mark.slow
async def test_work_does_not_grow(empty_database_url: str) -> None:
    """At 100,000 messages each call visits about as many rows as in a session of 60.

    Also on the day that the tables are made: what a connection learned while they were small it does at that length
    too, and no statistics say that it shouldn't. But for two calls that are rare: a summary's foreign key is checked
    along either of two indexes then, and the better one for each message's parts is the worse one for this; and
    PostgreSQL 15 goes through the parts once to fetch the open calls that it has found.
    """
    await databases.upgrade(empty_database_url)
    async with measured(empty_database_url) as (engine, work):
        store = SQLSessionStore(engine)
        if engine.dialect.name == "postgresql":
            async with engine.begin() as connection:
                for table in databases.TABLES:
                    await connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
        await store.create_session(SessionInfo(id="short"))
        await store.save_messages([user("short", id=f"m{number}") for number in range(_SHORT)])
        short = {name: await _least(work, store, "short", call) for name, call in CALLS.items()}
        async with SQLSessionStore.from_url(empty_database_url) as unwatched:
            await fill(unwatched, "long")
        for analysed in (False, True):
            if analysed:
                async with engine.begin() as connection:
                    await connection.execute(text("ANALYZE"))
            long = {name: await _least(work, store, "long", call) for name, call in CALLS.items()}
            # What calls have deleted is passed over until nobody's snapshot, nor an autovacuum's, can hold it.
            more = 100 if engine.dialect.name == "sqlite" else LENGTH // 100
            grown = {name: (short[name], long[name]) for name in CALLS if long[name] > 2 * short[name] + more}
            rare = set() if analysed or engine.dialect.name == "sqlite" else {"summarise", "pending"}
            assert set(grown) <= rare, grown
        assert any(short.values())
        whole = await work(lambda: store.get_messages("long"))
        assert whole > LENGTH  # it is counted indeed
