"""The law of plans: what is asked all the time is found by keys, and neither sorted nor searched for."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.testing.build import user

from .hosts import disposing

MESSAGES = 1_000_000
SESSIONS = 20_000  # and one that is long
LONG = MESSAGES // 10

LARGE = ("sessionstore_sessions", "sessionstore_messages", "sessionstore_parts")

HOT: dict[str, Callable[[SQLSessionStore], Awaitable[Any]]] = {
    "append 1": lambda s: s.save_message(user("long")),
    "append 100": lambda s: s.save_messages([user("long") for _ in range(100)]),
    "last 20": lambda s: s.get_messages("long", limit=20),
    "behind a seq": lambda s: s.get_messages_after("long", LONG - 50, limit=20),
    "behind a message": lambda s: s.get_messages_after("long", f"m{LONG - 50}", limit=20),
    "contents": lambda s: s.conversation("s7").contents(),
    "contents, last 20": lambda s: s.conversation("long").contents(limit=20),
    "one message": lambda s: s.get_message("long", "m77"),
    "info": lambda s: s.get_session("long"),
    "list": lambda s: s.list_sessions(limit=50, archived=False),
    "list of a user": lambda s: s.list_sessions(limit=50, user_id="u7", archived=False),
    "pop": lambda s: s.pop_message("long"),
}
_ROWS = """
INSERT INTO sessionstore_messages
    (session_id, seq, id, role, turn, starts_turn, status, metadata, created_at, updated_at, {tokens})
SELECT {session}, {seq}, 'm' || {seq}, 'user', {seq}, true, 'complete', '{{}}', now(), now(), 0, 0, 0, 0, 0, 0
FROM generate_series(1, {count}) AS n
"""
_TOKENS = "input_tokens, output_tokens, total_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens"
_FILL = (
    f"INSERT INTO sessionstore_sessions SELECT 's' || n, '', 'u' || (n % 100), 'title', {', '.join(['NULL'] * 6)},"
    f" 45, now(), 45, 45, {', '.join(['0'] * 12)}, '{{}}', now(), now() - n * interval '1 second', NULL"
    f" FROM generate_series(1, {SESSIONS}) AS n",
    f"UPDATE sessionstore_sessions SET last_seq = {LONG}, turn_count = {LONG}, message_count = {LONG}"
    " WHERE id = 'long'",
    _ROWS.format(tokens=_TOKENS, session="'long'", seq="n", count=LONG),
    _ROWS.format(
        tokens=_TOKENS, session=f"'s' || (n % {SESSIONS} + 1)", seq=f"n / {SESSIONS} + 1", count=MESSAGES - LONG
    ),
    "INSERT INTO sessionstore_parts (session_id, message_seq, position, id, type, text)"
    " SELECT session_id, seq, 0, 'p', 'text', 'text' FROM sessionstore_messages",
    "ANALYZE",
)


@pytest.fixture
async def large(postgresql_url: str) -> AsyncIterator[AsyncEngine]:
    """A million messages, a tenth of them in one session."""
    async with disposing(create_async_engine(postgresql_url)) as engine:
        await SQLSessionStore(engine).create_session(SessionInfo(id="long"))
        async with engine.begin() as connection:
            for statement in _FILL:
                await connection.execute(text(statement))
        yield engine


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


@pytest.mark.slow
async def test_hot_queries_go_by_keys(large: AsyncEngine) -> None:
    """No hot query scans a large table, or sorts more than the rows of its page."""
    sent: list[tuple[str, Any]] = []

    def before(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    store = SQLSessionStore(large)
    bad: list[tuple[str, str]] = []
    for name, call in HOT.items():
        sent.clear()
        event.listen(large.sync_engine, "before_cursor_execute", before)
        await call(store)
        event.remove(large.sync_engine, "before_cursor_execute", before)
        assert sent
        async with large.connect() as connection:
            for statement, parameters in sent:
                answer = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
                plan = answer.scalar_one()
                top = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
                bad += [
                    (name, node["Node Type"])
                    for node in _nodes(top)
                    if (node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE)
                    or ("Sort" in node["Node Type"] and node["Plan Rows"] > 200)
                ]
    assert bad == []


async def test_sqlite_goes_by_keys_too(sqlite_url: str) -> None:
    """On SQLite no hot query scans one of our tables, or builds an index of its own for it."""
    sent: list[tuple[str, Any]] = []

    def before(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    async with disposing(create_async_engine(sqlite_url)) as engine:
        store = SQLSessionStore(engine)
        await store.create_session(SessionInfo(id="long"))
        await store.save_messages([user("long", id=f"m{n}") for n in (77, LONG - 50)])
        event.listen(engine.sync_engine, "before_cursor_execute", before)
        for call in HOT.values():
            await call(store)
        event.remove(engine.sync_engine, "before_cursor_execute", before)
        async with engine.connect() as connection:
            for statement, parameters in sent:
                one = parameters[0] if isinstance(parameters, list) else parameters
                steps = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", one)).all()
                assert not [step.detail for step in steps if step.detail.startswith("SCAN sessionstore_")], statement
