"""The laws of cost: a bounded number of writes, each of which carries only what is new."""

import asyncio
from typing import Any

import pytest

from sessionstore import RawPart, SessionInfo, SQLSessionStore
from sessionstore.conversation import upkeep
from sessionstore.conversation.draft import stream

from .drafting import stored, watched

DELTAS = 2000


@pytest.fixture(autouse=True)
async def session(store: SQLSessionStore) -> None:
    await store.create_session(SessionInfo(id="s"))


def _size(parameters: Any) -> int:
    """Return how many characters of text a statement carries."""
    if isinstance(parameters, dict):
        parameters = list(parameters.values())
    if isinstance(parameters, (list, tuple)):
        return sum(_size(value) for value in parameters)
    return len(parameters) if isinstance(parameters, str) else 0


@pytest.mark.parametrize("pause", [0, 0.002])
async def test_a_long_answer(store: SQLSessionStore, pause: float) -> None:
    """2,000 deltas of 1 MB in all take fewer than 200 statements, and these carry the text once."""
    delta = "0123456789" * 50
    async with watched(store.engine) as sent:
        async with stream(store, "s") as draft:
            for _ in range(DELTAS):
                await draft.append_text(delta)
                await asyncio.sleep(pause)
        statements, carried = len(sent), sum(_size(parameters) for _, parameters in sent)
    assert (await stored(store, draft.message.id)).get_text_content() == delta * DELTAS
    assert statements < 200
    assert DELTAS * len(delta) <= carried < DELTAS * len(delta) + 500 * statements


async def test_many_parts(store: SQLSessionStore) -> None:
    """2,000 parts take fewer than 200 statements too, and are carried once."""
    async with watched(store.engine) as sent:
        async with stream(store, "s") as draft:
            for number in range(DELTAS):
                await draft.add_part(RawPart(data={"number": number, "text": "x" * 100}))
        assert len(sent) < 200
        assert sum(_size(parameters) for _, parameters in sent) < DELTAS * 250
    assert len((await stored(store, draft.message.id)).parts) == DELTAS


async def test_a_flush_is_short(store: SQLSessionStore) -> None:
    """A flush of growing text is two statements, one with new parts three; none touches the session's row."""
    async with stream(store, "s") as draft:
        await draft.append_text("x" * 1000)
        await draft.flush()
        async with watched(store.engine) as sent:
            await draft.append_text("y")
            await draft.flush()
            assert len(sent) == 2
            await draft.append_text("z")
            await draft.append_reasoning("r")
            await draft.add_part(RawPart(data=1))
            await draft.flush()
            assert len(sent) == 5
        assert not any("UPDATE sessionstore_sessions" in statement or "FOR " in statement for statement, _ in sent)
        assert all(statement.startswith(("UPDATE", "INSERT")) for statement, _ in sent)


async def test_the_writer_holds_no_connection(store: SQLSessionStore) -> None:
    """Between two writes a draft holds no connection and no transaction."""
    async with stream(store, "s") as draft:
        await draft.append_text("x")
        await draft.flush()
        assert getattr(store.engine.sync_engine.pool, "checkedout")() == 0  # noqa: B009


def test_any_length_is_bounded() -> None:
    """However long a stream takes: two statements a flush are fewer than 200 in 100 seconds, and 24 a minute later."""
    flushes, interval, seconds = 0, upkeep.FLUSH_SECONDS, 0.0
    while seconds < 100:
        flushes += 1
        seconds += interval
        interval = min(interval * upkeep.FLUSH_GROWTH, upkeep.LONGEST_FLUSH_SECONDS)
    assert 2 * flushes < 190
    assert 2 * 60 / upkeep.LONGEST_FLUSH_SECONDS <= 24
    assert 3 * (upkeep.HEARTBEAT_SECONDS + upkeep.LONGEST_FLUSH_SECONDS) <= 60
