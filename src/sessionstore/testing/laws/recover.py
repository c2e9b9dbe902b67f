"""The laws of `recover`: drafts whose writer is dead become interrupted."""

import asyncio
from typing import Any

from sessionstore.errors import InvalidValue
from sessionstore.models import Message
from sessionstore.store import SessionStore
from sessionstore.testing.build import LONG_AGO, assistant, content, ids, new_session, refused, snapshot, stored, totals


async def _draft(store: SessionStore, session_id: str, text: str = "so far", **fields: Any) -> Message:
    return await store.save_message(assistant(session_id, text, status="in_progress", **fields))


async def test_dead_drafts_become_interrupted(store: SessionStore) -> None:
    """A draft whose writer gave no sign of life is `interrupted`, with all that it had, where it stood."""
    one, two = await new_session(store), await new_session(store)
    drafts = [
        await _draft(store, one.id, usage={"output_tokens": 3}),
        await _draft(store, two.id),
        await _draft(store, one.id),
    ]
    await asyncio.sleep(0.05)
    recovered = await store.recover(stale_after=0.01)
    assert sorted(ids(recovered)) == sorted(ids(drafts))
    for draft in drafts:
        message = await store.get_message(draft.session_id, draft.id)
        assert message == draft.model_copy(update={"status": "interrupted"})
        assert message in recovered
    counted = {"message_count": 2, "output_tokens": 3, "total_tokens": 3}
    assert totals(await stored(store, one.id)) == counted


async def test_living_drafts_are_left_alone(store: SessionStore) -> None:
    """A draft that was just written is left alone, also when its message claims to be old."""
    info = await new_session(store)
    await _draft(store, info.id)
    await _draft(store, info.id, created_at=LONG_AGO)
    before = await snapshot(store, info.id)
    assert await store.recover() == []
    assert await store.recover(stale_after=30) == []
    assert await snapshot(store, info.id) == before


async def test_a_write_is_a_sign_of_life(store: SessionStore) -> None:
    """A draft that is given new content lives."""
    info = await new_session(store)
    living, dead = await _draft(store, info.id), await _draft(store, info.id)
    await asyncio.sleep(0.8)
    living.add_text("and more")
    await store.replace_message(living)
    assert ids(await store.recover(stale_after=0.6)) == [dead.id]


async def test_what_is_no_draft_is_left_alone(store: SessionStore) -> None:
    """Complete and interrupted messages stay as they are."""
    info = await new_session(store)
    await store.save_messages([assistant(info.id), assistant(info.id, status="interrupted")])
    await asyncio.sleep(0.02)
    before = await snapshot(store, info.id)
    assert await store.recover(stale_after=0.001) == []
    assert await snapshot(store, info.id) == before


async def test_recovering_twice(store: SessionStore) -> None:
    """A draft is recovered once; of those who recover at once each gets other drafts."""
    info = await new_session(store)
    drafts = [await _draft(store, info.id) for _ in range(6)]
    await asyncio.sleep(0.05)
    results = await asyncio.gather(*(store.recover(stale_after=0.01) for _ in range(4)))
    assert sorted(name for recovered in results for name in ids(recovered)) == sorted(ids(drafts))
    assert await store.recover(stale_after=0) == []


async def test_at_once_is_no_time(store: SessionStore) -> None:
    """`stale_after=0` takes every draft for dead."""
    info = await new_session(store)
    draft = await _draft(store, info.id)
    (recovered,) = await store.recover(stale_after=0)
    assert (recovered.id, recovered.status) == (draft.id, "interrupted")


async def test_a_recovered_draft_can_be_finished(store: SessionStore) -> None:
    """A recovered message may be replaced by a complete one."""
    info = await new_session(store)
    draft = await _draft(store, info.id)
    await store.recover(stale_after=0)
    final = assistant(info.id, "all of it", id=draft.id)
    assert content(await store.replace_message(final)) == content(final)
    assert await store.recover(stale_after=0) == []


async def test_a_long_silence(store: SessionStore) -> None:
    """However long a silence is allowed, a draft is younger."""
    info = await new_session(store)
    await _draft(store, info.id)
    for age in (3600, 1e6, 1e9):
        assert await store.recover(stale_after=age) == []


async def test_what_is_no_age(store: SessionStore) -> None:
    """A negative time, or what is no number, is `InvalidValue`, and every draft stays."""
    info = await new_session(store)
    await _draft(store, info.id)
    before = await snapshot(store, info.id)
    bad: list[Any] = [-1, -0.001, float("nan"), float("-inf"), "soon", None]
    for age in bad:
        await refused(store.recover(stale_after=age), InvalidValue, age)
    assert await snapshot(store, info.id) == before
