"""The laws of what a summary covers: what is named, never what comes before turn 1."""

import pytest

from sessionstore import Message, SessionInfo, SQLSessionStore
from sessionstore.testing.build import assistant, user


async def _covered(store: SQLSessionStore, through: str | None) -> tuple[int, int]:
    await store.update_session_summary("s", "summary", covers_through=through)
    archive = await store.export_session("s")
    assert archive is not None
    record = archive.summaries[-1]
    assert (record.active, record.message_id, archive.info.summary_message_id) == (True, "summary", "summary")
    return record.from_seq, record.through_seq


@pytest.fixture
async def conversation(store: SQLSessionStore) -> SQLSessionStore:
    """A store with two messages of turn 0, two turns, a summary, and another turn."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_messages(
        [
            Message(id="rules", session_id="s", role="system"),
            assistant("s", "welcome", id="welcome"),
            user("s", id="one"),
            assistant("s", id="two"),
            user("s", id="three"),
            Message(id="summary", session_id="s", role="system"),
            user("s", id="five"),
        ]
    )
    return store


@pytest.mark.parametrize(
    ("through", "covered"),
    [(None, (3, 5)), ("one", (3, 3)), ("two", (3, 4)), ("summary", (3, 6)), ("five", (3, 7))],
)
async def test_what_is_named(conversation: SQLSessionStore, through: str | None, covered: tuple[int, int]) -> None:
    """A summary covers turn 1 on through the named message, also one that comes after it; else all before it."""
    assert await _covered(conversation, through) == covered


@pytest.mark.parametrize("through", ["rules", "welcome"])
async def test_before_turn_1(conversation: SQLSessionStore, through: str) -> None:
    """Messages before turn 1 are never collected: naming one covers nothing, and the pointer is set."""
    start, end = await _covered(conversation, through)
    assert end < start


@pytest.mark.parametrize("through", [None, "rules", "later"])
async def test_without_turns(store: SQLSessionStore, through: str | None) -> None:
    """In a session without a turn nothing is covered, whatever is named."""
    await store.create_session(SessionInfo(id="s"))
    for name in ("rules", "summary", "later"):
        await store.save_message(assistant("s", id=name))
    start, end = await _covered(store, through)
    assert end < start
