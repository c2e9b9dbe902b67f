"""The laws of `created_at`: the store's, strictly increasing, unless it was given."""

from datetime import UTC, datetime, timedelta, timezone

from sessionstore.models import Message
from sessionstore.models.base import EARLIEST, LATEST
from sessionstore.store import SessionStore
from sessionstore.testing.build import LONG_AGO, new_session, seqs, user


async def test_new_messages_carry_the_stores_time(store: SessionStore) -> None:
    """`created_at` is the store's time, strictly increasing, when the caller set none."""
    info = await new_session(store)
    before = datetime.now(UTC) - timedelta(seconds=5)
    prepared = [user(info.id) for _ in range(20)][::-1]
    saved = [await store.save_message(message) for message in prepared[:5]]
    saved += await store.save_messages(prepared[5:])
    times = [message.created_at for message in saved]
    assert times == sorted(set(times))
    assert before < times[0] < times[-1] < datetime.now(UTC) + timedelta(seconds=5)
    assert [message.created_at for message in await store.get_messages(info.id)] == times


async def test_given_times_are_kept(store: SessionStore) -> None:
    """`created_at` is kept as it is when the caller set it, whatever its order; `seq` decides."""
    info = await new_session(store)
    east = timezone(timedelta(hours=9, minutes=30))
    given = [LONG_AGO, EARLIEST, LATEST, LONG_AGO, datetime(2021, 5, 6, 7, 8, 9, 123456, tzinfo=east)]
    saved = [await store.save_message(user(info.id, created_at=moment)) for moment in given[:2]]
    saved += await store.save_messages([user(info.id, created_at=moment) for moment in given[2:]])
    read = await store.get_messages(info.id)
    assert [message.created_at for message in saved] == [message.created_at for message in read] == given
    assert {message.created_at.utcoffset() for message in read} == {timedelta(0)}
    assert seqs(read) == [1, 2, 3, 4, 5]


async def test_a_time_that_is_assigned_is_kept(store: SessionStore) -> None:
    """`created_at` is kept also when it was assigned after the message was made, or came from JSON."""
    info = await new_session(store)
    assigned = user(info.id)
    assigned.created_at = LONG_AGO
    parsed = Message.model_validate_json(user(info.id).model_dump_json())
    saved = await store.save_messages([assigned, parsed])
    assert [message.created_at for message in saved] == [LONG_AGO, parsed.created_at]


async def test_the_stores_times_increase_around_given_ones(store: SessionStore) -> None:
    """The store's own times strictly increase, also around messages from the past and the future."""
    info = await new_session(store)
    in_a_century = datetime.now(UTC) + timedelta(days=36525)
    saved = [await store.save_message(user(info.id))]
    for given in (LONG_AGO, in_a_century, LONG_AGO):
        await store.save_message(user(info.id, created_at=given))
        saved += [await store.save_message(user(info.id)) for _ in range(3)]
        saved += await store.save_messages([user(info.id), user(info.id)])
        mixed = [user(info.id), user(info.id, created_at=given), user(info.id)]
        saved += (await store.save_messages(mixed))[::2]
    times = [message.created_at for message in saved]
    assert len(times) == 22
    assert times == sorted(set(times))


async def test_the_end_of_time_stops_nobody(store: SessionStore) -> None:
    """Behind a message from the last moment of the calendar others are appended as ever."""
    info = await new_session(store)
    await store.save_message(user(info.id, created_at=LATEST))
    saved = [await store.save_message(user(info.id, str(number))) for number in range(3)]
    saved += await store.save_messages([user(info.id, "3"), user(info.id, "4")])
    assert repr(await store.get_messages_after(info.id, 1)) == repr(saved)
