"""The laws of reading messages."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from sessionstore.errors import MessageNotFound
from sessionstore.models import Message, Part, TextPart
from sessionstore.store import SessionStore
from sessionstore.testing.build import LONG_AGO, ids, new_session, seconds, seqs, session_of, texts, user


async def _at(store: SessionStore, *ages: float) -> tuple[str, list[Message]]:
    """Store messages that were made so many seconds after `LONG_AGO`; return the session's id and them."""
    info = await new_session(store)
    messages = [user(info.id, str(age), created_at=LONG_AGO + seconds(age)) for age in ages]
    return info.id, await store.save_messages(messages)


async def test_get_message(store: SessionStore) -> None:
    """`get_message` gives the message with this id in this session, else `None`."""
    info, (first, second) = await session_of(store, "one", "two")
    other, _ = await session_of(store, "three")
    assert await store.get_message(info.id, first.id) == first
    assert await store.get_message(info.id, second.id) == second
    assert await store.get_message(info.id, "missing") is None
    assert await store.get_message(other.id, first.id) is None
    assert await store.get_message("missing", first.id) is None


async def test_messages_are_chronological(store: SessionStore) -> None:
    """`get_messages` gives a session's messages by `seq`, and no other session's."""
    info, messages = await session_of(store, "one", "two", "three")
    await session_of(store, "of another session")
    assert await store.get_messages(info.id) == messages
    assert seqs(messages) == [1, 2, 3]


async def test_seq_and_not_time_decides(store: SessionStore) -> None:
    """Messages are read in the order they were saved, whatever their times."""
    session_id, _ = await _at(store, 5, 1, 3, 1, 4)
    assert texts(await store.get_messages(session_id)) == ["5", "1", "3", "1", "4"]
    assert texts(await store.get_messages(session_id, limit=2)) == ["1", "4"]


async def test_the_latest(store: SessionStore) -> None:
    """`limit=n` gives the latest n, still chronological; `0` none; more than there are, or `None`, all."""
    info, messages = await session_of(store, "one", "two", "three")
    for limit in range(5):
        assert await store.get_messages(info.id, limit=limit) == messages[max(0, 3 - limit) :]
    assert await store.get_messages(info.id, limit=None) == messages


async def test_an_unknown_session_has_no_messages(store: SessionStore) -> None:
    """An unknown session gives `[]`, and so does one without messages."""
    info = await new_session(store)
    for session_id in (info.id, "missing"):
        assert await store.get_messages(session_id) == []
        assert await store.get_messages(session_id, limit=3) == []
        assert await store.get_messages_after(session_id, 0) == []
        assert await store.get_messages_after(session_id, LONG_AGO, limit=3) == []


async def test_parts_stay_with_their_message(store: SessionStore) -> None:
    """Whichever messages are read come with all of their own parts, in order, and no others."""
    info = await new_session(store)
    for number in range(6):
        parts: list[Part] = [TextPart(content=f"{number}.{position}") for position in range(number)]
        await store.save_message(Message(session_id=info.id, role="user", parts=parts))
    reads = [await store.get_messages(info.id), await store.get_messages(info.id, limit=3)]
    reads += [await store.get_messages_after(info.id, 2), await store.get_messages_after(info.id, 1, limit=2)]
    assert [len(read) for read in reads] == [6, 3, 4, 2]
    for message in (message for read in reads for message in read):
        number = (message.seq or 0) - 1
        assert message.get_text_content() == "\n".join(f"{number}.{position}" for position in range(number))


async def test_after_a_seq(store: SessionStore) -> None:
    """`get_messages_after` a `seq` gives what stands strictly behind it, whether it is there or not."""
    info, messages = await session_of(store, "one", "two", "three")
    for seq in range(-1, 5):
        assert await store.get_messages_after(info.id, seq) == messages[max(seq, 0) :]
    await store.pop_message(info.id)
    await store.save_message(user(info.id, "four"))
    assert texts(await store.get_messages_after(info.id, 3)) == ["four"]
    assert texts(await store.get_messages_after(info.id, 2)) == ["four"]


async def test_after_a_message(store: SessionStore) -> None:
    """`get_messages_after` an id gives what stands strictly behind that message."""
    info, messages = await session_of(store, "one", "two", "three")
    for position, message in enumerate(messages):
        assert await store.get_messages_after(info.id, message.id) == messages[position + 1 :]


async def test_after_an_id_that_looks_like_something_else(store: SessionStore) -> None:
    """Text is an id, also when it looks like a `seq` or a time."""
    info = await new_session(store)
    for name in ("3", "2020-01-01T00:00:00+00:00", "0"):
        await store.save_message(user(info.id, id=name))
    assert ids(await store.get_messages_after(info.id, "3")) == ["2020-01-01T00:00:00+00:00", "0"]
    with pytest.raises(MessageNotFound):
        await store.get_messages_after(info.id, "1")


async def test_after_an_unknown_message(store: SessionStore) -> None:
    """`get_messages_after` an id that the session doesn't have, or has no more, raises `MessageNotFound`."""
    info, messages = await session_of(store, "one", "two")
    _, (foreign,) = await session_of(store, "of another session")
    await store.pop_message(info.id)
    for unknown in ("missing", foreign.id, messages[1].id):
        with pytest.raises(MessageNotFound):
            await store.get_messages_after(info.id, unknown)
    with pytest.raises(MessageNotFound):
        await store.get_messages_after("missing", messages[0].id)


async def test_after_a_time(store: SessionStore) -> None:
    """`get_messages_after` a time gives what was made strictly after it, to the microsecond, by `seq`."""
    session_id, _ = await _at(store, 0, 2, 1, 2.000001, 1)
    expected = {-1: 5, -0.000001: 5, 0: 4, 0.999999: 4, 1: 2, 1.999999: 2, 2: 1, 2.000001: 0, 9: 0}
    whole = ["0", "2", "1", "2.000001", "1"]
    for age, count in expected.items():
        read = await store.get_messages_after(session_id, LONG_AGO + seconds(age))
        assert texts(read) == [text for text in whole if float(text) > age]
        assert len(read) == count


async def test_after_a_time_in_another_zone(store: SessionStore) -> None:
    """The same instant in another UTC offset gives the same result."""
    session_id, messages = await _at(store, 0, 1, 2)
    for hours in (-12, -3.5, 5.75, 14):
        moment = (LONG_AGO + seconds(1)).astimezone(timezone(timedelta(hours=hours)))
        assert await store.get_messages_after(session_id, moment) == messages[2:]


async def test_after_the_ends_of_time(store: SessionStore) -> None:
    """The earliest time there is gives everything, and the latest nothing."""
    session_id, messages = await _at(store, 0, 1)
    assert await store.get_messages_after(session_id, datetime.min.replace(tzinfo=UTC)) == messages
    assert await store.get_messages_after(session_id, datetime.max.replace(tzinfo=UTC)) == []


async def test_after_the_stores_own_times(store: SessionStore) -> None:
    """The time that the store gave a message is the place right behind it."""
    info, messages = await session_of(store, "one", "two", "three")
    for position, message in enumerate(messages):
        assert await store.get_messages_after(info.id, message.created_at) == messages[position + 1 :]


async def test_the_first_of_them(store: SessionStore) -> None:
    """With `limit=n`, `get_messages_after` gives the first n behind that place; `0` none."""
    session_id, messages = await _at(store, 0, 1, 2, 3, 4)
    for after in (messages[1].id, 2, LONG_AGO + seconds(1)):
        for limit in (0, 1, 2, 3, 9):
            assert await store.get_messages_after(session_id, after, limit=limit) == messages[2:][:limit]


async def test_a_limit_of_zero_still_looks_the_message_up(store: SessionStore) -> None:
    """An unknown message id is `MessageNotFound` whatever the limit."""
    info, _ = await session_of(store, "one")
    with pytest.raises(MessageNotFound):
        await store.get_messages_after(info.id, "missing", limit=0)


async def test_paging(store: SessionStore) -> None:
    """Pages behind the last `seq` or id seen join to the whole conversation, whatever their size."""
    info, messages = await session_of(store, *"abcdefg")
    for size in (1, 2, 3, 7):
        by_seq: list[Message] = []
        while page := await store.get_messages_after(info.id, (by_seq[-1].seq or 0) if by_seq else 0, limit=size):
            by_seq += page
        by_id = messages[:1]
        while page := await store.get_messages_after(info.id, by_id[-1].id, limit=size):
            by_id += page
        assert by_seq == by_id == messages


async def test_a_reader_misses_nothing(store: SessionStore) -> None:
    """Whoever keeps the highest `seq` seen and asks for more never misses a message, whatever the number of writers."""
    info = await new_session(store)
    writers, each = 5, 9

    async def write(name: int) -> None:
        for number in range(each):
            if number % 3:
                await store.save_message(user(info.id, f"{name}.{number}"))
            else:
                await store.save_messages([user(info.id, f"{name}.{number}"), user(info.id, f"{name}.{number}b")])

    async def read() -> list[Message]:
        seen: list[Message] = []
        while len(seen) < writers * (each + each // 3):
            seen += await store.get_messages_after(info.id, (seen[-1].seq or 0) if seen else 0, limit=5)
            await asyncio.sleep(0)
        return seen

    async with asyncio.timeout(60):
        (seen, again), _ = await asyncio.gather(
            asyncio.gather(read(), read()), asyncio.gather(*(write(name) for name in range(writers)))
        )
    assert repr(seen) == repr(again) == repr(await store.get_messages(info.id))
