"""The law of long conversations: the context and the last turns cost the same at 100,000 messages as at a hundred."""

from typing import Any

import pytest

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.sql.transaction import Transaction
from sessionstore.testing.build import assistant, user
from tests.sql.test_long_sessions import LENGTH, fill, growing

from .build import call, result

TAIL = 100


@pytest.fixture
def read_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each statement gave."""
    counts: list[int] = []
    rows = Transaction.rows

    async def counted(self: Transaction, *arguments: Any, **parameters: Any) -> Any:
        found = await rows(self, *arguments, **parameters)
        counts.append(len(found))
        return found

    monkeypatch.setattr(Transaction, "rows", counted)
    return counts


async def test_what_is_covered_costs_nothing(store: SQLSessionStore, read_rows: list[int]) -> None:
    """With all but 100 of 100,000 messages covered the context, its size and the last turns are as cheap as of 100."""
    await fill(store, "long")
    await store.create_session(SessionInfo(id="short"))
    await store.save_messages([user("short") for _ in range(TAIL)])
    long = store.conversation("long")
    await store.save_message(assistant("long", "in short", id="sum"))
    await store.update_session_summary("long", "sum", covers_through=f"m{LENGTH - TAIL}")
    for name in ("long", "short"):
        await store.conversation(name).append(
            user(name), call("x", session_id=name), result("x", session_id=name), call("x", session_id=name)
        )
    read_rows.clear()
    context = await long.context()
    assert [m.seq for m in context[:2]] == [LENGTH + 1, LENGTH - TAIL + 1]
    assert len(context) == 1 + TAIL + 4 + 1  # the summary, the tail, what was appended, and an answer to the open call
    assert sum(read_rows) < 3 * TAIL
    read_rows.clear()
    turns = await long.turns(limit=3)
    assert [turn.number for turn in turns] == [LENGTH - 1, LENGTH, LENGTH + 1]
    assert [use.ended_at is None for use in turns[-1].tool_calls] == [False, True]
    assert sum(read_rows) == 5
    read_rows.clear()
    assert [part.tool_call_id for part in await long.pending_tool_calls()] == ["x"]
    assert (await long.context_usage(1000)).turns == TAIL + 1
    assert sum(read_rows) < 5 * TAIL
    calls = {
        "context": lambda id_: store.conversation(id_).context(),
        "usage": lambda id_: store.conversation(id_).context_usage(1000),
        "last turns": lambda id_: store.conversation(id_).turns(limit=3),
        "pending": lambda id_: store.conversation(id_).pending_tool_calls(),
    }
    assert await growing(calls) == {}
