"""The law of long sessions: an append and the last messages cost the same at 100,000 messages as at none."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import text

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.testing.build import user

LENGTH = 100_000
ROUNDS = 15
RATIO = 3.0

_NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :length) ",
    "postgresql": "WITH numbers AS (SELECT generate_series(1, :length) AS n) ",
}
_TOKENS = "input_tokens, output_tokens, total_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens"


async def fill(store: SQLSessionStore, session_id: str) -> None:
    """Give a session 100,000 messages of one part, by SQL: as rows they are what the store writes."""
    await store.create_session(SessionInfo(id=session_id))
    numbers = _NUMBERS[store.engine.dialect.name]
    always = "CAST(1 AS BOOLEAN)"
    messages = (
        "INSERT INTO sessionstore_messages (session_id, seq, id, role, turn, starts_turn, status, metadata, created_at,"
        f" updated_at, {_TOKENS}) {numbers} SELECT s.id, n, 'm' || n, 'user', n, {always}, 'complete', '{{}}',"
        " s.created_at, s.updated_at, 0, 0, 0, 0, 0, 0 FROM numbers, sessionstore_sessions s WHERE s.id = :session"
    )
    parts = (
        "INSERT INTO sessionstore_parts (session_id, message_seq, position, id, type, text)"
        f" {numbers} SELECT CAST(:session AS TEXT), n, 0, 'p' || n, 'text', 'text ' || n FROM numbers"
    )
    counters = (
        "UPDATE sessionstore_sessions SET last_seq = :length, message_count = :length, turn_count = :length,"
        " last_message_at = created_at WHERE id = :session"
    )
    for statement in (messages, parts, counters):
        async with store.engine.begin() as connection:
            await connection.execute(text(statement), {"length": LENGTH, "session": session_id})


async def _seconds(call: Callable[[str], Awaitable[Any]], session_id: str) -> float:
    started = time.perf_counter()
    await call(session_id)
    return time.perf_counter() - started


async def growing(calls: dict[str, Callable[[str], Awaitable[Any]]]) -> dict[str, float]:
    """Return the calls that cost more in the session `long` than in `short`, and how many times as much.

    They are asked again first: another program may have had the machine, or autovacuum the tables.
    """
    found = await _growing(calls)
    for _ in range(2):
        found = await _growing({name: calls[name] for name in found})
    return found


async def _growing(calls: dict[str, Callable[[str], Awaitable[Any]]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, call in calls.items():
        for _ in range(8):  # whatever a driver learns on its first calls
            await call("long")
            await call("short")
        taken: dict[str, list[float]] = {"long": [], "short": []}
        for _ in range(ROUNDS):  # in turn, so that a busy machine slows both
            for id_, seconds in taken.items():
                seconds.append(await _seconds(call, id_))
        ratio = min(taken["long"]) / min(taken["short"])  # other work on the machine only adds
        if ratio > RATIO:
            found[name] = ratio
    return found


async def test_a_long_session_costs_no_more(store: SQLSessionStore) -> None:
    """An append, the last 20 and a page are about as fast at 100,000 messages as in a session of 20."""
    await fill(store, "long")
    await store.create_session(SessionInfo(id="short"))
    await store.save_messages([user("short") for _ in range(20)])
    assert (await store.save_message(user("long"))).seq == LENGTH + 1
    calls: dict[str, Callable[[str], Awaitable[Any]]] = {
        "append": lambda id_: store.save_message(user(id_)),
        "last 20": lambda id_: store.get_messages(id_, limit=20),
        "page": lambda id_: store.get_messages_after(id_, LENGTH // 2 if id_ == "long" else 0, limit=20),
        "info": store.get_session,
    }
    assert await growing(calls) == {}
    last = (await store.save_message(user("long"))).seq or 0
    assert [message.seq for message in await store.get_messages("long", limit=20)] == list(range(last - 19, last + 1))
