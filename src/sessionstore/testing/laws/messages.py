"""The laws of appending a message: `save_message`."""

import asyncio

import pytest

from sessionstore.errors import SessionNotFound
from sessionstore.models import Message, Part, TextPart, ToolCallPart, ToolResultPart
from sessionstore.store import SessionStore
from sessionstore.testing.build import (
    EVERY_PART,
    content,
    incompressible,
    new_session,
    seqs,
    session_of,
    stored,
    texts,
    totals,
    user,
)


async def test_an_append_is_returned_as_stored(store: SessionStore) -> None:
    """`save_message` returns the message with `seq`, `turn` and `created_at` set, and that is what readers get."""
    info = await new_session(store)
    message = user(info.id, "hi", model="m", provider="p", usage={"input_tokens": 1, "x": 2}, metadata={"k": [1]})
    saved = await store.save_message(message)
    assert (saved.id, saved.session_id, saved.seq, saved.turn) == (message.id, info.id, 1, 1)
    assert content(saved) == content(message)
    assert repr(await store.get_messages(info.id)) == repr([saved])
    assert repr(await store.get_message(info.id, message.id)) == repr(saved)


async def test_seq_counts_from_one(store: SessionStore) -> None:
    """`seq` counts a session's messages from 1, whatever was given for it and for `turn`."""
    info = await new_session(store)
    saved = [await store.save_message(user(info.id, seq=seq, turn=9)) for seq in (7, 1, None)]
    assert (seqs(saved), [message.turn for message in saved]) == ([1, 2, 3], [1, 2, 3])
    other = await new_session(store)
    assert (await store.save_message(user(other.id))).seq == 1


async def test_roles_and_statuses(store: SessionStore) -> None:
    """Every role and status is stored."""
    info = await new_session(store)
    pairs = [
        (role, status)
        for role in ("user", "assistant", "system", "developer", "tool")
        for status in ("complete", "in_progress", "interrupted")
    ]
    messages = [
        Message.model_validate({"session_id": info.id, "role": role, "status": status}) for role, status in pairs
    ]
    saved = [await store.save_message(message) for message in messages]
    assert [(message.role, message.status) for message in saved] == pairs
    assert await store.get_messages(info.id) == saved


async def test_every_part_comes_back(store: SessionStore) -> None:
    """Parts of every type, also unknown ones, come back in order, with their ids, as they were given."""
    info = await new_session(store)
    message = Message(session_id=info.id, role="assistant", parts=EVERY_PART)
    saved = await store.save_message(message)
    (read,) = await store.get_messages(info.id)
    for result in (saved, read):
        assert repr(result.parts) == repr(EVERY_PART)


async def test_a_part_alone_comes_back(store: SessionStore) -> None:
    """What a part is doesn't depend on its neighbours."""
    info = await new_session(store)
    await store.save_messages([Message(session_id=info.id, role="user", parts=[part]) for part in EVERY_PART])
    read = await store.get_messages(info.id)
    assert [repr(message.parts) for message in read] == [repr([part]) for part in EVERY_PART]


async def test_parts_may_share_an_id(store: SessionStore) -> None:
    """Ids of parts need not be unique, within a message or across them."""
    info = await new_session(store)
    parts: list[Part] = [TextPart(id="same", content="a"), TextPart(id="same", content="b")]
    saved = [await store.save_message(Message(session_id=info.id, role="user", parts=parts)) for _ in range(2)]
    assert await store.get_messages(info.id) == saved
    assert texts(saved) == ["a\nb", "a\nb"]


async def test_tool_call_ids_may_repeat(store: SessionStore) -> None:
    """A conversation may use a tool call's id again, in one message and in several."""
    info = await new_session(store)
    call = ToolCallPart(tool_call_id="call", tool_name="t", arguments={})
    await store.save_message(Message(session_id=info.id, role="assistant", parts=[call, call]))
    await store.save_message(Message(session_id=info.id, role="assistant", parts=[call]))
    assert [len(message.get_tool_calls()) for message in await store.get_messages(info.id)] == [2, 1]


async def test_tool_calls_have_ids_of_any_length(store: SessionStore) -> None:
    """A tool call's id and name are text of any length, also where a database keeps them in an index."""
    info = await new_session(store)
    for text in map(incompressible, (600, 3000, 50_000)):
        call = ToolCallPart(tool_call_id=text, tool_name=text, arguments={})
        result = ToolResultPart(tool_call_id=text, tool_name=text, output="")
        saved = await store.save_message(Message(session_id=info.id, role="assistant", parts=[call, result]))
        assert await store.get_message(info.id, saved.id) == saved
        assert saved.parts == [call, result]


async def test_an_append_moves_the_session(store: SessionStore) -> None:
    """An append moves the session's `updated`, message count and token totals, and nothing else."""
    before = await new_session(store, title="t", metadata={"k": 1})
    usage = {"input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 3, "cache_write_tokens": 2}
    await store.save_message(user(before.id, usage={**usage, "reasoning_tokens": 1}))
    after = await stored(store, before.id)
    assert totals(after) == {"message_count": 1, **usage, "reasoning_tokens": 1, "total_tokens": 15}
    assert after.time.updated > before.time.updated
    assert after.time.created == before.time.created
    assert (after.title, after.metadata) == ("t", {"k": 1})


async def test_an_append_to_a_missing_session(store: SessionStore) -> None:
    """A message for an unknown session raises `SessionNotFound`, and nothing is written."""
    with pytest.raises(SessionNotFound):
        await store.save_message(user("missing"))
    with pytest.raises(SessionNotFound):
        await store.save_messages([user("missing"), user("missing")])
    assert await store.get_session("missing") is None
    await new_session(store, id="missing")
    assert await store.get_messages("missing") == []


async def test_at_once_all_are_stored(store: SessionStore) -> None:
    """All of those who append to one session at once succeed; `seq` has no gap and `created_at` follows it."""
    info = await new_session(store)
    saved = await asyncio.gather(*(store.save_message(user(info.id, str(number))) for number in range(40)))
    assert sorted(message.seq or 0 for message in saved) == list(range(1, 41))
    read = await store.get_messages(info.id)
    assert repr(read) == repr(sorted(saved, key=lambda message: message.seq or 0))
    times = [message.created_at for message in read]
    assert times == sorted(set(times))
    assert (await stored(store, info.id)).message_count == 40


async def test_a_large_message(store: SessionStore) -> None:
    """A message may have many parts, and a part megabytes of text."""
    info = await new_session(store)
    parts: list[Part] = [TextPart(content=str(number)) for number in range(2000)]
    large = TextPart(content="0123456789abcdef" * 2**16)
    await store.save_message(Message(session_id=info.id, role="tool", parts=[*parts, large]))
    (read,) = await store.get_messages(info.id)
    assert read.parts == [*parts, large]


async def test_what_is_given_stays_the_callers(store: SessionStore) -> None:
    """A store changes none of the messages that it is given, and later changes to them reach no database."""
    info = await new_session(store)
    message = user(info.id, metadata={"list": [1]})
    before = repr(message)
    saved = await store.save_message(message)
    assert repr(message) == before
    message.metadata["list"].append(2)
    message.add_text("more")
    saved.metadata["list"].append(3)
    (read,) = await store.get_messages(info.id)
    assert (read.metadata, len(read.parts)) == ({"list": [1]}, 1)


async def test_a_message_moves_to_another_session(store: SessionStore) -> None:
    """A stored message may be saved into another session, where it gets that session's `seq` and `turn`."""
    _, messages = await session_of(store, "one", "two")
    target, _ = await session_of(store, "three", "four", "five")
    copy = await store.save_message(messages[1].model_copy(update={"session_id": target.id}))
    assert (copy.seq, copy.turn, copy.id) == (4, 4, messages[1].id)
    assert content(copy) == content(messages[1])
