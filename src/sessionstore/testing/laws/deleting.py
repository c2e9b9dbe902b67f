"""The laws of taking away: `delete_session`, `delete_messages`, `pop_message`."""

import asyncio

import pytest

from sessionstore.errors import MessageNotFound, SessionNotFound
from sessionstore.models import Message
from sessionstore.store import SessionStore
from sessionstore.testing.build import (
    assistant,
    content,
    ids,
    new_session,
    seqs,
    session_of,
    snapshot,
    stored,
    texts,
    tool_call,
    tool_result,
    totals,
    user,
)


async def _conversation(store: SessionStore) -> tuple[str, list[Message]]:
    """Store six messages in two turns, message n of which used 2**n input tokens."""
    info = await new_session(store)
    made = [user, tool_call, tool_result, assistant, user, assistant]
    messages = [make(info.id, usage={"input_tokens": 2**number}) for number, make in enumerate(made)]
    return info.id, await store.save_messages(messages)


async def test_delete_a_session(store: SessionStore) -> None:
    """`delete_session` takes the session with everything that hangs on it, and tells whether there was one."""
    session_id, messages = await _conversation(store)
    await store.track_read_file(session_id, "/a")
    await store.update_session_summary(session_id, messages[3].id)
    assert await store.delete_session(session_id) is True
    assert await store.get_session(session_id) is None
    assert await store.list_sessions() == []
    assert await store.get_messages(session_id) == []
    assert await store.get_message(session_id, messages[0].id) is None
    assert await store.list_read_files(session_id) == []
    assert await store.has_read_file(session_id, "/a") is False
    assert await store.delete_session(session_id) is False


async def test_delete_a_missing_session(store: SessionStore) -> None:
    """`delete_session` of an id that was never created is `False`."""
    assert await store.delete_session("missing") is False


async def test_a_deleted_session_takes_nothing_else(store: SessionStore) -> None:
    """`delete_session` leaves every other session as it is."""
    one, two = (await _conversation(store))[0], (await _conversation(store))[0]
    await store.track_read_file(two, "/a")
    before = await snapshot(store, two)
    await store.delete_session(one)
    assert await snapshot(store, two) == before


async def test_child_sessions_stay(store: SessionStore) -> None:
    """Sessions that name a deleted one as their parent or root stay, and still name it."""
    parent = await new_session(store)
    child = await new_session(store, parent_session_id=parent.id, root_session_id=parent.id)
    await store.save_message(user(child.id))
    before = await snapshot(store, child.id)
    await store.delete_session(parent.id)
    assert await snapshot(store, child.id) == before
    assert ids(await store.list_sessions(parent_session_id=parent.id)) == [child.id]


async def test_a_deleted_id_starts_afresh(store: SessionStore) -> None:
    """A deleted session's id may be created again; nothing of the first one shows, and `seq` starts at 1."""
    session_id, messages = await _conversation(store)
    await store.track_read_file(session_id, "/a")
    await store.add_usage(session_id, {"input_tokens": 5})
    await store.update_session_summary(session_id, messages[3].id)
    await store.delete_session(session_id)
    info = await new_session(store, id=session_id)
    assert (totals(info), info.summary_message_id) == ({}, None)
    assert await store.get_messages(session_id) == []
    assert await store.list_read_files(session_id) == []
    saved = await store.save_message(assistant(session_id, id=messages[0].id))
    assert (saved.seq, saved.turn) == (1, 0)


async def test_nothing_is_written_to_a_deleted_session(store: SessionStore) -> None:
    """Writes to a deleted session raise `SessionNotFound`."""
    info, (message,) = await session_of(store, "one")
    await store.delete_session(info.id)
    with pytest.raises(SessionNotFound):
        await store.save_message(message)
    with pytest.raises(SessionNotFound):
        await store.track_read_file(info.id, "/a")
    with pytest.raises(MessageNotFound):
        await store.replace_message(message)


async def test_deleting_while_others_append(store: SessionStore) -> None:
    """A session that is deleted while others append to it is gone, and nothing of it is left."""
    info = await new_session(store)
    appends = [store.save_message(user(info.id)) for _ in range(12)]
    *results, deleted = await asyncio.gather(*appends, store.delete_session(info.id), return_exceptions=True)
    assert deleted is True
    assert all(isinstance(result, Message | SessionNotFound) for result in results)
    assert await store.get_session(info.id) is None
    assert totals(await new_session(store, id=info.id)) == {}
    assert await store.get_messages(info.id) == []


async def test_delete_all_messages(store: SessionStore) -> None:
    """`delete_messages` takes all messages and tells how many; counters and token totals follow."""
    session_id, _ = await _conversation(store)
    await store.track_read_file(session_id, "/a")
    assert await store.delete_messages(session_id) == 6
    assert await store.get_messages(session_id) == []
    assert totals(await stored(store, session_id)) == {}
    assert await store.has_read_file(session_id, "/a")
    assert await store.delete_messages(session_id) == 0


@pytest.mark.parametrize(("by", "kept"), [("seq", 0), ("seq", 3), ("seq", 6), ("id", 1), ("id", 5), ("id", 6)])
async def test_delete_messages_after(store: SessionStore, by: str, kept: int) -> None:
    """`after` keeps messages up to and including that one; counters and token totals follow."""
    session_id, messages = await _conversation(store)
    after = kept if by == "seq" else messages[kept - 1].id
    assert await store.delete_messages(session_id, after=after) == 6 - kept
    assert repr(await store.get_messages(session_id)) == repr(messages[:kept])
    tokens = 2**kept - 1
    counted = {"message_count": kept, "input_tokens": tokens, "total_tokens": tokens}
    assert totals(await stored(store, session_id)) == ({} if not kept else counted)


async def test_delete_after_a_seq_that_is_gone(store: SessionStore) -> None:
    """`after` may be a `seq` that no message has: those with higher ones go."""
    session_id, messages = await _conversation(store)
    await store.pop_message(session_id)
    await store.save_message(user(session_id))
    assert await store.delete_messages(session_id, after=99) == 0
    assert await store.delete_messages(session_id, after=6) == 1
    assert await store.get_messages(session_id) == messages[:5]
    assert await store.delete_messages(session_id, after=-1) == 5


async def test_delete_after_an_unknown_message(store: SessionStore) -> None:
    """An unknown message in `after` raises `MessageNotFound`, and nothing goes; so does another session's."""
    info, _ = await session_of(store, "one", "two")
    _, (foreign,) = await session_of(store, "three")
    before = await snapshot(store, info.id)
    for unknown in ("missing", foreign.id, "1"):
        with pytest.raises(MessageNotFound):
            await store.delete_messages(info.id, after=unknown)
    assert await snapshot(store, info.id) == before


async def test_delete_messages_of_an_unknown_session(store: SessionStore) -> None:
    """Of an unknown session 0 messages go."""
    assert await store.delete_messages("missing") == 0
    assert await store.delete_messages("missing", after=3) == 0


async def test_deleting_leaves_other_sessions(store: SessionStore) -> None:
    """`delete_messages` and `pop_message` take no other session's messages."""
    one, _ = await _conversation(store)
    two, _ = await _conversation(store)
    before = await snapshot(store, two)
    await store.pop_message(one)
    await store.delete_messages(one, after=2)
    await store.delete_messages(one)
    assert await snapshot(store, two) == before


async def test_pop(store: SessionStore) -> None:
    """`pop_message` takes the last message and returns it whole; counters follow; an empty session gives `None`."""
    session_id, messages = await _conversation(store)
    for left in range(5, -1, -1):
        assert repr(await store.pop_message(session_id)) == repr(messages[left])
        assert await store.get_messages(session_id) == messages[:left]
        info = await stored(store, session_id)
        assert (info.message_count, info.input_tokens, info.total_tokens) == (left, 2**left - 1, 2**left - 1)
    assert await store.pop_message(session_id) is None
    assert totals(await stored(store, session_id)) == {}


async def test_pop_of_nothing(store: SessionStore) -> None:
    """`pop_message` of an unknown session is `None`, and so it is of one without messages."""
    info = await new_session(store)
    assert await store.pop_message("missing") is None
    assert await store.pop_message(info.id) is None


async def test_concurrent_pops(store: SessionStore) -> None:
    """Concurrent pops each get another message, and `None` once there are no more."""
    info, messages = await session_of(store, *(str(number) for number in range(10)))
    popped = await asyncio.gather(*(store.pop_message(info.id) for _ in range(13)))
    taken = [message for message in popped if message is not None]
    assert sorted(texts(taken)) == sorted(texts(messages))
    assert await store.get_messages(info.id) == []
    assert totals(await stored(store, info.id)) == {}


async def test_a_popped_id_may_be_saved_again(store: SessionStore) -> None:
    """A popped or deleted message's id is free again, for any content."""
    info, (first, second) = await session_of(store, "one", "two")
    popped = await store.pop_message(info.id)
    assert popped is not None
    again = await store.save_message(popped)
    assert (again.seq, again.id, content(again)) == (3, second.id, content(second))
    await store.delete_messages(info.id)
    other = await store.save_message(assistant(info.id, "other", id=first.id))
    assert texts(await store.get_messages(info.id)) == texts([other]) == ["other"]


async def test_seqs_are_never_reused(store: SessionStore) -> None:
    """A `seq` that was given stays given, although its message was popped or deleted."""
    info, _ = await session_of(store, "1", "2", "3")
    await store.pop_message(info.id)
    assert (await store.save_message(user(info.id))).seq == 4
    await store.delete_messages(info.id, after=1)
    assert seqs(await store.save_messages([user(info.id), user(info.id)])) == [5, 6]
    await store.delete_messages(info.id)
    assert (await store.save_message(user(info.id))).seq == 7
    assert seqs(await store.get_messages(info.id)) == [7]


async def test_usage_of_no_message_stays(store: SessionStore) -> None:
    """Usage that belongs to no message stays in the totals when the messages go."""
    session_id, _ = await _conversation(store)
    await store.add_usage(session_id, {"input_tokens": 1000})
    await store.pop_message(session_id)
    assert (await stored(store, session_id)).input_tokens == 1031
    await store.delete_messages(session_id)
    assert totals(await stored(store, session_id)) == {"input_tokens": 1000, "total_tokens": 1000}
