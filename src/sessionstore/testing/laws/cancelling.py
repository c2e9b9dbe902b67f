"""The laws of cancelled callers: a write is all or nothing, and the store goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sessionstore.models import Session
from sessionstore.store import SessionStore
from sessionstore.testing.build import ids, new_session, seqs, stored, user

ROUNDS = 12


async def _cancelled_after(turns: int, call: Callable[[], Awaitable[Any]]) -> bool:
    """Cancel a call after so many turns of the event loop; tell whether it was finished by then."""
    task = asyncio.ensure_future(call())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return False
    return True


async def _writes(store: SessionStore, session_id: str) -> list[int]:
    """Save batches of three, a token a message, cancelling each a little later; return what came of them."""
    sizes: list[int] = []
    for turns in range(ROUNDS):
        batch = [user(session_id, usage={"input_tokens": 1}) for _ in range(3)]
        finished = await _cancelled_after(turns, lambda batch=batch: store.save_messages(batch))
        there = set(ids(await store.get_messages(session_id))) & set(ids(batch))
        sizes.append(len(there))
        assert not finished or len(there) == 3
    return sizes


async def test_a_cancelled_batch_is_whole_or_absent(store: SessionStore) -> None:
    """A batch whose caller is cancelled is stored whole, once it has started, or not at all; so are the counters."""
    info = await new_session(store)
    sizes = await _writes(store, info.id)
    assert sizes == [0] + [3] * (ROUNDS - 1)
    after = await stored(store, info.id)
    assert (after.message_count, after.input_tokens) == (sum(sizes), sum(sizes))
    assert seqs(await store.get_messages(info.id)) == list(range(1, sum(sizes) + 1))


async def test_the_store_goes_on(store: SessionStore) -> None:
    """Cancelled calls leave no lock and no connection behind: others go on at once."""
    info = await new_session(store)
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: store.save_message(user(info.id)),
        lambda: store.get_messages(info.id),
        lambda: store.pop_message(info.id),
        lambda: store.update_session_title(info.id, "t"),
        lambda: store.save_session(Session(info=info)),
        lambda: store.list_sessions(),
        lambda: store.track_read_file(info.id, "/a"),
    ]
    await asyncio.gather(*(_cancelled_after(turns, call) for call in calls for turns in range(ROUNDS)))
    async with asyncio.timeout(10):
        saved = await asyncio.gather(*(store.save_message(user(info.id)) for _ in range(20)))
    assert {message.id for message in saved} <= set(ids(await store.get_messages(info.id)))


async def test_cancelling_raises(store: SessionStore) -> None:
    """The cancellation is raised, and swallowed by no retry."""
    for turns in (1, 2, 3):  # no store that writes somewhere has done it by then
        info = await new_session(store)
        batch = [user(info.id) for _ in range(200)]
        assert await _cancelled_after(turns, lambda batch=batch: store.save_messages(batch)) is False
        assert len(await store.get_messages(info.id)) == 200
