"""The laws of the summary pointer: `update_session_summary`, and what deletions do to it."""

import asyncio

import pytest

from sessionstore.errors import MessageNotFound, SessionNotFound
from sessionstore.store import SessionStore
from sessionstore.testing.build import new_session, session_of, snapshot, stored, user


async def _pointer(store: SessionStore, session_id: str) -> str | None:
    return (await stored(store, session_id)).summary_message_id


async def test_the_pointer_is_set(store: SessionStore) -> None:
    """The pointer names the message that stands in for earlier ones; a later call moves it."""
    info, messages = await session_of(store, "one", "two", "three")
    assert await _pointer(store, info.id) is None
    for message in (messages[1], messages[2], messages[0], messages[0]):
        await store.update_session_summary(info.id, message.id)
        assert await _pointer(store, info.id) == message.id


async def test_it_moves_updated(store: SessionStore) -> None:
    """Setting and clearing the pointer moves the session's `updated`; the transcript stays whole."""
    info, messages = await session_of(store, "one", "two")
    moments = [(await stored(store, info.id)).time.updated]
    for pointer in (messages[1].id, None):
        await store.update_session_summary(info.id, pointer)
        moments.append((await stored(store, info.id)).time.updated)
    assert moments == sorted(set(moments))
    assert await store.get_messages(info.id) == messages


async def test_none_clears_the_pointer(store: SessionStore) -> None:
    """`summary_message_id=None` clears the pointer, however many summaries there were, and again."""
    info, messages = await session_of(store, "one", "two", "three")
    await store.update_session_summary(info.id, messages[1].id)
    await store.update_session_summary(info.id, messages[2].id)
    for _ in range(2):
        await store.update_session_summary(info.id, None)
        assert await _pointer(store, info.id) is None
    await store.update_session_summary(info.id, messages[1].id)
    assert await _pointer(store, info.id) == messages[1].id


async def test_it_covers_through(store: SessionStore) -> None:
    """`covers_through` names the last message that the summary replaces."""
    info, messages = await session_of(store, "one", "two", "three", "summary")
    await store.update_session_summary(info.id, messages[3].id, covers_through=messages[1].id)
    assert await _pointer(store, info.id) == messages[3].id


async def test_messages_must_be_of_this_session(store: SessionStore) -> None:
    """A message that isn't of this session raises `MessageNotFound`, and the pointer is unchanged."""
    info, messages = await session_of(store, "one", "two")
    _, (foreign,) = await session_of(store, "of another session")
    await store.update_session_summary(info.id, messages[1].id)
    before = await snapshot(store, info.id)
    for pointer, covers in ((foreign.id, None), ("missing", None), (messages[1].id, foreign.id), (messages[1].id, "?")):
        with pytest.raises(MessageNotFound):
            await store.update_session_summary(info.id, pointer, covers_through=covers)
    assert await snapshot(store, info.id) == before


async def test_an_unknown_session(store: SessionStore) -> None:
    """An unknown session raises `SessionNotFound`, whatever is pointed at."""
    _, (foreign,) = await session_of(store, "one")
    for pointer in (foreign.id, None):
        with pytest.raises(SessionNotFound):
            await store.update_session_summary("missing", pointer)


async def test_the_pointer_follows_a_pop(store: SessionStore) -> None:
    """When the summary message goes, the pointer goes with it; it never names a message that isn't there."""
    info, messages = await session_of(store, "one", "summary")
    await store.update_session_summary(info.id, messages[1].id)
    await store.pop_message(info.id)
    assert await _pointer(store, info.id) is None


async def test_the_pointer_follows_deletions(store: SessionStore) -> None:
    """`delete_messages` takes the pointer to a message that goes."""
    for after in (None, 0, 1):
        info, messages = await session_of(store, "one", "summary", "three")
        await store.update_session_summary(info.id, messages[1].id)
        await store.delete_messages(info.id, after=after)
        assert await _pointer(store, info.id) is None


async def test_the_pointer_falls_back(store: SessionStore) -> None:
    """When the newest summary's message goes, the one before it is in force again."""
    info, messages = await session_of(store, "one", "summary")
    await store.update_session_summary(info.id, messages[1].id)
    later = await store.save_messages([user(info.id), user(info.id, "summary of it all")])
    await store.update_session_summary(info.id, later[1].id)
    await store.pop_message(info.id)
    assert await _pointer(store, info.id) == messages[1].id
    await store.delete_messages(info.id, after=messages[0].id)
    assert await _pointer(store, info.id) is None


async def test_a_summary_lasts_as_long_as_its_transcript(store: SessionStore) -> None:
    """Deleting back to before the end that the transcript had then removes the summary; deleting later ones doesn't."""
    info, messages = await session_of(store, "one", "two", "three")
    await store.update_session_summary(info.id, messages[1].id)
    await store.save_messages([user(info.id), user(info.id)])
    await store.pop_message(info.id)
    await store.delete_messages(info.id, after=3)
    assert await _pointer(store, info.id) == messages[1].id
    await store.pop_message(info.id)
    assert await _pointer(store, info.id) is None


async def test_popped_numbers_are_no_end_of_the_transcript(store: SessionStore) -> None:
    """A summary that was made after a pop isn't lost when a message that came after it goes."""
    info, messages = await session_of(store, "one", "two", "popped")
    await store.pop_message(info.id)
    await store.update_session_summary(info.id, messages[1].id)
    await store.save_message(user(info.id))
    await store.pop_message(info.id)
    assert await _pointer(store, info.id) == messages[1].id


async def test_a_cleared_pointer_stays_cleared(store: SessionStore) -> None:
    """Deletions bring no cleared summary back into force."""
    info, messages = await session_of(store, "one", "two", "three")
    await store.update_session_summary(info.id, messages[0].id)
    await store.update_session_summary(info.id, messages[1].id)
    await store.update_session_summary(info.id, None)
    await store.save_message(user(info.id))
    await store.pop_message(info.id)
    assert await _pointer(store, info.id) is None


async def test_replacing_keeps_the_pointer(store: SessionStore) -> None:
    """A summary message may be given new content; the pointer stays."""
    info, messages = await session_of(store, "one", "summary")
    await store.update_session_summary(info.id, messages[1].id)
    await store.replace_message(user(info.id, "better summary", id=messages[1].id))
    assert await _pointer(store, info.id) == messages[1].id


async def test_pointers_are_the_sessions_own(store: SessionStore) -> None:
    """One session's pointer says nothing of another's, though their messages share ids."""
    one, two = await new_session(store), await new_session(store)
    for info in (one, two):
        await store.save_message(user(info.id, id="m"))
    await store.update_session_summary(one.id, "m")
    assert (await _pointer(store, one.id), await _pointer(store, two.id)) == ("m", None)
    await store.update_session_summary(two.id, "m")
    await store.delete_messages(one.id)
    assert (await _pointer(store, one.id), await _pointer(store, two.id)) == (None, "m")


async def test_pointing_while_messages_go(store: SessionStore) -> None:
    """Whoever points at messages while they are popped gets `MessageNotFound`, or a pointer that is right."""
    info, messages = await session_of(store, *(str(number) for number in range(8)))
    points = [store.update_session_summary(info.id, message.id) for message in messages]
    pops = [store.pop_message(info.id) for _ in range(5)]
    results = await asyncio.gather(*points, *pops, return_exceptions=True)
    assert {type(result) for result in results if isinstance(result, Exception)} <= {MessageNotFound}
    left = await store.get_messages(info.id)
    assert len(left) == 3
    assert await _pointer(store, info.id) in [None, *(message.id for message in left)]
