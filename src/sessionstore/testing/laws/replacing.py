"""The laws of `replace_message`."""

import asyncio
from typing import Any

import pytest

from sessionstore.errors import InvalidValue, MessageConflict, MessageNotFound
from sessionstore.models import Message, Part, RawPart, TextPart
from sessionstore.store import SessionStore
from sessionstore.testing.build import (
    LONG_AGO,
    assistant,
    content,
    new_session,
    session_of,
    snapshot,
    stored,
    tool_result,
    totals,
    user,
)


async def test_new_content(store: SessionStore) -> None:
    """A replaced message has the new content, and its own `seq` and `created_at`."""
    info, messages = await session_of(store, "one", "two", "three")
    parts: list[Part] = [TextPart(content="a"), RawPart(data={"b": "\0"}), TextPart(content="c")]
    fields: dict[str, Any] = {"model": "m", "provider": "p", "status": "interrupted", "metadata": {"k": 1}}
    new = Message(id=messages[1].id, session_id=info.id, role="user", parts=parts, usage={"x": 1}, **fields)
    replaced = await store.replace_message(new)
    assert content(replaced) == content(new)
    assert (replaced.id, replaced.seq, replaced.turn) == (messages[1].id, 2, 2)
    assert replaced.created_at == messages[1].created_at
    assert repr(await store.get_messages(info.id)) == repr([messages[0], replaced, messages[2]])


async def test_any_number_of_parts(store: SessionStore) -> None:
    """New content may have fewer or more parts than the old."""
    info = await new_session(store)
    await store.save_message(Message(id="m", session_id=info.id, role="user", parts=[TextPart(content="x")] * 2))
    for count in (1, 5, 0, 3):
        parts: list[Part] = [TextPart(content=str(number)) for number in range(count)]
        await store.replace_message(Message(id="m", session_id=info.id, role="user", parts=parts))
        (read,) = await store.get_messages(info.id)
        assert repr(read.parts) == repr(parts)


async def test_given_places_and_times_are_ignored(store: SessionStore) -> None:
    """The `seq`, `turn` and `created_at` of the new content are ignored."""
    info, (message, _) = await session_of(store, "one", "two")
    given = user(info.id, "new", id=message.id, created_at=LONG_AGO, seq=9, turn=9)
    replaced = await store.replace_message(given)
    assert (replaced.seq, replaced.turn, replaced.created_at) == (1, 1, message.created_at)


async def test_a_given_time_stays(store: SessionStore) -> None:
    """A `created_at` that the caller set when saving stays when the content is replaced."""
    info = await new_session(store)
    message = await store.save_message(user(info.id, created_at=LONG_AGO))
    assert (await store.replace_message(user(info.id, "new", id=message.id))).created_at == LONG_AGO


async def test_totals_follow(store: SessionStore) -> None:
    """The session's token totals follow the new content's usage; the number of messages stays."""
    info = await new_session(store)
    usage = {"input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 3}
    await store.save_messages([user(info.id, id="a", usage=usage), user(info.id, usage={"output_tokens": 100})])
    await store.add_usage(info.id, {"input_tokens": 1000})
    await store.replace_message(user(info.id, id="a", usage={"output_tokens": 2, "reasoning_tokens": 1}))
    counted = {"input_tokens": 1000, "output_tokens": 102, "total_tokens": 1102, "reasoning_tokens": 1}
    assert totals(await stored(store, info.id)) == {"message_count": 2, **counted}
    await store.replace_message(user(info.id, id="a"))
    counted = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    assert totals(await stored(store, info.id)) == {"message_count": 2, **counted}


async def test_it_moves_updated(store: SessionStore) -> None:
    """Replacing a message moves the session's `updated`."""
    info, (message,) = await session_of(store, "one")
    before = await stored(store, info.id)
    await asyncio.sleep(0.002)
    await store.replace_message(user(info.id, "new", id=message.id))
    after = await stored(store, info.id)
    assert after.time.updated > before.time.updated
    assert after.time.created == LONG_AGO


async def test_unknown_messages(store: SessionStore) -> None:
    """An unknown message raises `MessageNotFound`, also in an unknown session, and nothing is written."""
    info, (message,) = await session_of(store, "one")
    other, _ = await session_of(store, "two")
    before = await snapshot(store, info.id), await snapshot(store, other.id)
    for session_id, unknown in ((info.id, "missing"), (other.id, message.id), ("missing", message.id)):
        with pytest.raises(MessageNotFound):
            await store.replace_message(user(session_id, "new", id=unknown))
    assert (await snapshot(store, info.id), await snapshot(store, other.id)) == before
    assert await store.get_session("missing") is None


async def test_a_bad_value(store: SessionStore) -> None:
    """Content that JSON can't hold is `InvalidValue`, and the message stays as it was."""
    info, (message,) = await session_of(store, "one")
    before = await snapshot(store, info.id)
    with pytest.raises(InvalidValue):
        await store.replace_message(user(info.id, id=message.id, metadata={"x": {1, 2}}))
    assert await snapshot(store, info.id) == before


async def test_the_new_content_is_the_message(store: SessionStore) -> None:
    """After a replacement, saving the new content again returns it, and the old content is a conflict."""
    info, (old,) = await session_of(store, "old")
    new = assistant(info.id, "new", id=old.id)
    replaced = await store.replace_message(new)
    assert await store.save_message(new) == replaced
    with pytest.raises(MessageConflict):
        await store.save_message(old)


async def test_the_same_content(store: SessionStore) -> None:
    """A message may be replaced with what it is."""
    info, (message, _) = await session_of(store, "one", "two")
    assert content(await store.replace_message(message)) == content(message)
    assert content((await store.get_messages(info.id))[0]) == content(message)


async def test_another_sessions_twin_stays(store: SessionStore) -> None:
    """Replacing a message changes no message with the same id in another session."""
    one, two = await new_session(store), await new_session(store)
    for info in (one, two):
        await store.save_message(user(info.id, id="m"))
    before = await snapshot(store, two.id)
    await store.replace_message(tool_result(one.id, id="m", usage={"input_tokens": 1}))
    assert await snapshot(store, two.id) == before


async def test_at_once(store: SessionStore) -> None:
    """Of replacements made at once one is there in the end, whole, and the totals are its own."""
    info = await new_session(store)
    await store.save_message(user(info.id, id="m"))
    versions = [
        Message(
            id="m", session_id=info.id, role="user", parts=[TextPart(content=str(n))] * n, usage={"input_tokens": n}
        )
        for n in range(1, 9)
    ]
    await asyncio.gather(*(store.replace_message(version) for version in versions))
    (read,) = await store.get_messages(info.id)
    assert content(read) in [content(version) for version in versions]
    assert (await stored(store, info.id)).input_tokens == len(read.parts)
