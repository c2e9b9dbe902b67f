"""The laws of appending several messages: `save_messages`."""

import asyncio

import pytest

from sessionstore.errors import InvalidValue, MessageConflict
from sessionstore.models import Message, Part, TextPart
from sessionstore.store import SessionStore
from sessionstore.testing.build import ids, new_session, refused, seqs, session_of, snapshot, stored, totals, user


async def test_a_batch_is_appended_in_order(store: SessionStore) -> None:
    """`save_messages` appends in the order given and returns the messages in that order."""
    info, _ = await session_of(store, "zero")
    batch = tuple(user(info.id, str(number)) for number in range(1, 6))
    saved = await store.save_messages(batch)
    assert (ids(saved), seqs(saved)) == (ids(batch), [2, 3, 4, 5, 6])
    assert await store.get_messages(info.id, limit=5) == saved


async def test_an_empty_batch(store: SessionStore) -> None:
    """`save_messages([])` gives `[]`."""
    assert await store.save_messages([]) == []


async def test_batches_at_once_are_contiguous(store: SessionStore) -> None:
    """The messages of a batch stand behind each other, however many write at once."""
    info = await new_session(store)
    batches = [[user(info.id) for _ in range(5)] for _ in range(6)]
    singles = [store.save_message(user(info.id)) for _ in range(6)]
    saved = await asyncio.gather(*(store.save_messages(batch) for batch in batches), *singles)
    for batch in saved[:6]:
        assert isinstance(batch, list)
        first = batch[0].seq or 0
        assert seqs(batch) == list(range(first, first + 5))
    assert seqs(await store.get_messages(info.id)) == list(range(1, 37))


async def test_a_batch_of_several_sessions(store: SessionStore) -> None:
    """A batch is of one session, else `InvalidValue`, and nothing is written."""
    one, two = await new_session(store), await new_session(store)
    with pytest.raises(InvalidValue):
        await store.save_messages([user(one.id), user(two.id)])
    assert await store.get_messages(one.id) == await store.get_messages(two.id) == []


async def test_a_batch_with_a_conflict(store: SessionStore) -> None:
    """One conflict anywhere in a batch and nothing of it is written."""
    info, (taken,) = await session_of(store, "taken")
    before = await snapshot(store, info.id)
    for position in range(3):
        batch = [user(info.id), user(info.id)]
        batch.insert(position, user(info.id, "other", id=taken.id))
        await refused(store.save_messages(batch), MessageConflict, position)
    assert await snapshot(store, info.id) == before


async def test_a_batch_with_a_bad_value(store: SessionStore) -> None:
    """One value that JSON can't hold anywhere in a batch and nothing of it is written."""
    info, _ = await session_of(store, "one")
    before = await snapshot(store, info.id)
    with pytest.raises(InvalidValue):
        await store.save_messages([user(info.id), user(info.id, metadata={"x": [b""]})])
    assert await snapshot(store, info.id) == before


async def test_a_batch_with_stored_messages(store: SessionStore) -> None:
    """Messages of a batch that are stored already come back as stored, the others are appended."""
    info, (first, second) = await session_of(store, "first", "second")
    new = [user(info.id, "new 1"), user(info.id, "new 2")]
    saved = await store.save_messages([new[0], second, new[1], first])
    assert repr([saved[1], saved[3]]) == repr([second, first])
    assert (ids(saved), seqs(saved)) == ([new[0].id, second.id, new[1].id, first.id], [3, 2, 4, 1])
    assert (await stored(store, info.id)).message_count == 4


async def test_a_batch_again(store: SessionStore) -> None:
    """A batch that is sent again, because its outcome was unknown, returns what is stored and writes nothing."""
    info = await new_session(store)
    batch = [user(info.id, str(number), usage={"input_tokens": 1}) for number in range(3)]
    saved = await store.save_messages(batch)
    before = await snapshot(store, info.id)
    assert repr(await store.save_messages(batch)) == repr(saved)
    assert await snapshot(store, info.id) == before


async def test_a_batch_that_repeats_a_message(store: SessionStore) -> None:
    """A batch may name a message twice: it is stored once, and both times comes back."""
    info = await new_session(store)
    message = user(info.id, usage={"input_tokens": 1})
    saved = await store.save_messages([message, user(info.id), message])
    assert (seqs(saved), repr(saved[2])) == ([1, 2, 1], repr(saved[0]))
    assert totals(await stored(store, info.id)) == {"message_count": 2, "input_tokens": 1, "total_tokens": 1}


async def test_a_batch_that_contradicts_itself(store: SessionStore) -> None:
    """A batch that names an id twice with different contents raises `MessageConflict`; nothing is written."""
    info = await new_session(store)
    with pytest.raises(MessageConflict):
        await store.save_messages([user(info.id, "one", id="m"), user(info.id, "two", id="m")])
    assert await store.get_messages(info.id) == []
    assert totals(await stored(store, info.id)) == {}


async def test_a_large_batch(store: SessionStore) -> None:
    """A batch has any size: more messages and parts than a database takes parameters."""
    info = await new_session(store)
    parts: list[Part] = [TextPart(content=str(number)) for number in range(2)]
    batch = [Message(session_id=info.id, role="assistant", parts=parts) for _ in range(2100)]
    await store.save_messages(batch)
    read = await store.get_messages(info.id)
    assert (ids(read), seqs(read)) == (ids(batch), list(range(1, 2101)))
    assert {len(message.parts) for message in read} == {2}
