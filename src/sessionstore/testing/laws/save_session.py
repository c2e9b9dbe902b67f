"""The laws of `save_session`: afterwards the stored session is what was given."""

import asyncio
from typing import Any

from sessionstore.errors import InvalidValue
from sessionstore.models import Message, Session, SessionInfo, SessionTime
from sessionstore.models.usage import MAX_TOKENS, MAX_TOTAL
from sessionstore.store import SessionStore
from sessionstore.testing.build import (
    LONG_AGO,
    TOKENS,
    aggregate,
    assistant,
    content,
    ids,
    new_session,
    refused,
    seconds,
    seqs,
    session_of,
    snapshot,
    stored,
    texts,
    totals,
    turns,
    user,
)


async def _same(store: SessionStore, given: Session) -> None:
    """Save a session, and check that what is stored and returned is what was given."""
    before = repr(given)
    returned = await store.save_session(given)
    assert repr(given) == before
    info, messages = await store.get_session(given.id), await store.get_messages(given.id)
    assert repr(returned.info) == repr(info)
    assert repr(returned.messages) == repr(messages)
    assert repr(info) == repr(given.info.model_copy(update={"message_count": len(given.messages)}))
    assert [content(message) for message in messages] == [content(message) for message in given.messages]
    assert ids(messages) == ids(given.messages)
    assert [message.created_at for message in messages] == [message.created_at for message in given.messages]
    assert [[part.id for part in message.parts] for message in messages] == [
        [part.id for part in message.parts] for message in given.messages
    ]
    numbers = [message.seq or 0 for message in messages]
    assert numbers == sorted(set(numbers))


async def _stored_session(store: SessionStore) -> Session:
    info = await stored(store, "s")
    return Session(info=info, messages=await store.get_messages("s"))


async def test_a_new_session(store: SessionStore) -> None:
    """A session that isn't there is inserted: metadata, times, totals and messages as given."""
    time = SessionTime(created=LONG_AGO, updated=LONG_AGO + seconds(5), archived=LONG_AGO + seconds(9))
    fields: dict[str, Any] = {
        "title": "t",
        "project_dir": "/p",
        "working_dir": "/w",
        "model_id": "m",
        "provider_id": "p",
        "root_session_id": "r",
        "parent_session_id": "q",
        "user_id": "u",
        "summary_message_id": "two",
        "metadata": {"z": float("nan"), "a": ["\0", "\ud83d"]},
        **{name: 100 + position for position, name in enumerate(TOKENS)},
    }
    session = Session(info=SessionInfo(id="s", time=time, **fields))
    session.messages = [
        user("s", "one", id="one", usage={"input_tokens": 7}),
        assistant("s", "two", id="two", model="m"),
    ]
    await _same(store, session)


async def test_an_empty_session(store: SessionStore) -> None:
    """A session may have no messages, before and after."""
    await _same(store, aggregate())
    await _same(store, aggregate())
    assert await store.get_messages("s") == []


async def test_a_stored_session_is_brought_to_what_is_given(store: SessionStore) -> None:
    """Every piece of metadata of a stored session becomes what is given, and what is left out goes."""
    await store.save_session(aggregate("one", user_id="u", parent_session_id="q", metadata={"k": 1}, input_tokens=5))
    await store.track_read_file("s", "/a")
    await _same(store, aggregate("one", title="new", root_session_id="r", output_tokens=6, metadata={"j": 2}))
    assert await store.has_read_file("s", "/a")


EDITS = {
    "the same": "abcd",
    "appended": "abcdef",
    "shortened": "ab",
    "emptied": "",
    "removed from the middle": "acd",
    "removed from the front": "bcd",
    "inserted in the middle": "abxcd",
    "inserted in front": "xabcd",
    "swapped": "abdc",
    "reversed": "dcba",
    "rotated": "bcda",
    "another conversation": "wxyz",
    "everything at once": "dxbey",
}


async def test_messages_become_what_is_given(store: SessionStore) -> None:
    """Messages that were appended, inserted, removed or moved are stored as given, in their order."""
    for edit, after in EDITS.items():
        await store.save_session(aggregate(*"abcd", id=edit))
        await _same(store, aggregate(*after, id=edit))
        first, second = await store.save_messages([user(edit, "later"), user(edit, "latest")])
        assert (first.seq or 0) + 1 == second.seq
        assert texts(await store.get_messages(edit)) == [*after, "later", "latest"]


async def test_seqs_are_kept_and_never_reused(store: SessionStore) -> None:
    """Messages that stand where they stood keep their `seq`; from the first inserted or moved one on they are new."""
    for edit, after in EDITS.items():
        await store.save_session(aggregate(*"abcd", id=edit))
        await store.save_session(aggregate(*after, id=edit))
        numbers = [message.seq or 0 for message in await store.get_messages(edit)]
        same = next((n for n, (a, b) in enumerate(zip("abcd", after, strict=False)) if a != b), min(4, len(after)))
        inserted = min((after.index(name) for name in after if name not in "abcd"), default=len(after))
        assert numbers[:same] == [1, 2, 3, 4][:same], edit
        assert all(number > 4 for number in numbers[inserted:]), edit
        for name, number in zip(after, numbers, strict=True):
            assert number > 4 or number == 1 + "abcd".index(name), edit
        assert ((await store.save_message(user(edit))).seq or 0) > max([4, *numbers]), edit


async def test_changed_messages(store: SessionStore) -> None:
    """A message whose content changed in the aggregate is stored so; the others stay as they were."""
    await store.save_session(aggregate("a", "b", "c"))
    session = await _stored_session(store)
    session.messages[1].add_text("more")
    session.messages[1].metadata["edited"] = True
    await _same(store, session)
    assert seqs(await store.get_messages("s")) == [1, 2, 3]


async def test_what_was_read_is_saved_unchanged(store: SessionStore) -> None:
    """A session that is saved as it was read is not changed at all, summary pointer and numbers included."""
    info, messages = await session_of(store, "a", "b", id="s")
    await store.add_usage(info.id, {"input_tokens": 5})
    await store.update_session_summary(info.id, messages[1].id)
    await store.track_read_file(info.id, "/a")
    before = await snapshot(store, "s")
    await store.save_session(await _stored_session(store))
    assert await snapshot(store, "s") == before


async def test_turns_are_numbered(store: SessionStore) -> None:
    """Turns are those of the messages as they now stand, and go on from there."""
    session = aggregate("a", "b")
    session.messages[0] = assistant("s", id="a")
    await store.save_session(session)
    assert turns(await store.get_messages("s")) == [0, 1]
    session.messages.insert(0, user("s", id="first"))
    session.messages.append(assistant("s", id="last"))
    await store.save_session(session)
    assert turns(await store.get_messages("s")) == [1, 1, 2, 2]
    assert (await store.save_message(user("s"))).turn == 3


async def test_turns_follow_changed_messages(store: SessionStore) -> None:
    """A message that starts or ceases to start a turn renumbers what stands behind it."""
    session = aggregate("a", "b", "c")
    await store.save_session(session)
    session.messages[0] = assistant("s", id="a")
    await store.save_session(session)
    assert turns(await store.get_messages("s")) == [0, 1, 2]


async def test_totals_are_as_given(store: SessionStore) -> None:
    """Totals are what was given, whatever the messages used, and follow the messages from then on."""
    session = aggregate(input_tokens=100, total_tokens=30)
    session.messages = [user("s", id=name, usage={"input_tokens": 10}) for name in "abc"]
    await _same(store, session)
    await store.pop_message("s")
    expected = {"message_count": 2, "input_tokens": 90, "total_tokens": 20}
    assert totals(await stored(store, "s")) == expected
    await store.save_message(user("s", usage={"input_tokens": 1}))
    assert totals(await stored(store, "s")) == {"message_count": 3, "input_tokens": 91, "total_tokens": 21}


async def test_totals_beyond_the_database(store: SessionStore) -> None:
    """Totals that no database could go on adding to are `InvalidValue`, and nothing is written."""
    beyond: list[dict[str, Any]] = [{"input_tokens": MAX_TOTAL + 1}, {"reasoning_tokens": -MAX_TOTAL - 1}]
    for totals_given in beyond:
        await refused(store.save_session(aggregate("a", **totals_given)), InvalidValue, totals_given)
    assert await store.get_session("s") is None
    session = aggregate("a", input_tokens=MAX_TOTAL)
    session.messages[0].usage = {"input_tokens": -MAX_TOKENS}
    await _same(store, session)
    await store.pop_message("s")
    assert (await stored(store, "s")).input_tokens == MAX_TOTAL + MAX_TOKENS


async def test_the_number_of_messages_is_counted(store: SessionStore) -> None:
    """`message_count` is the number of messages, whatever was given."""
    returned = await store.save_session(aggregate("a", "b", message_count=9))
    assert returned.info.message_count == 2


async def test_the_aggregate_of_a_running_conversation(store: SessionStore) -> None:
    """A `Session` that is built up, saved, gone on with and saved again is stored as it is."""
    session = Session(info=SessionInfo(model_id="m", provider_id="p"))
    session.create_system_message("be brief")
    session.create_user_message("hi", images=[{"media_type": "image/png", "url": "u"}])
    await _same(store, session)
    reply = session.create_assistant_message()
    reply.add_tool_call("c", "t", {"a": 1})
    reply.add_tool_result("c", "t", "done")
    session.add_usage({"input_tokens": 5, "total_tokens": 9})
    session.update_title("greetings")
    await _same(store, session)
    assert [message.seq for message in await store.get_messages(session.id)] == [1, 2, 3]


async def test_the_summary_pointer(store: SessionStore) -> None:
    """The summary pointer becomes what is given: set, moved and cleared."""
    for pointer in (None, "a", "b", "b", None):
        await _same(store, aggregate("a", "b", "c", summary_message_id=pointer))


async def test_other_sessions_stay(store: SessionStore) -> None:
    """Saving a session changes no other, though their messages share ids."""
    await store.save_session(aggregate("a", "b"))
    other = await new_session(store)
    await store.save_messages([user(other.id, id="a"), user(other.id, id="b")])
    before = await snapshot(store, other.id)
    await store.save_session(aggregate("b", "c"))
    assert await snapshot(store, other.id) == before


async def test_a_large_session(store: SessionStore) -> None:
    """A session has any number of messages."""
    session = aggregate(*(str(number) for number in range(800)))
    await store.save_session(session)
    session.messages[0:0] = [user("s", "first", id="first")]
    del session.messages[300:600]
    await store.save_session(session)
    assert ids(await store.get_messages("s")) == ids(session.messages)


async def test_at_once(store: SessionStore) -> None:
    """Of those who save one session at once, new or stored, one is there in the end, whole."""
    versions = [aggregate(*(f"{n}.{m}" for m in range(n)), title=str(n), input_tokens=n) for n in range(1, 7)]
    for _ in range(2):
        await asyncio.gather(*(store.save_session(version) for version in versions))
        final = await _stored_session(store)
        count = int(final.info.title)
        assert texts(final.messages) == [f"{count}.{m}" for m in range(count)]
        assert totals(final.info) == {"message_count": count, "input_tokens": count}


async def test_appends_at_once_are_kept_or_replaced(store: SessionStore) -> None:
    """An append that runs into a `save_session` is whole: before it, and replaced, or behind it."""
    await store.save_session(aggregate("a"))
    appended = [user("s", f"new {number}") for number in range(5)]
    saves = [store.save_session(aggregate("a", "b")) for _ in range(3)]
    await asyncio.gather(*(store.save_message(message) for message in appended), *saves)
    messages = await store.get_messages("s")
    assert texts(messages)[:2] == ["a", "b"]
    assert set(texts(messages)[2:]) <= set(texts(appended))
    assert (await stored(store, "s")).message_count == len(messages)


async def test_messages_from_elsewhere(store: SessionStore) -> None:
    """Messages keep their `created_at`, set by the caller or not; their `seq` and `turn` are the store's."""
    messages = [Message(id="a", session_id="s", role="user", seq=7, turn=7, created_at=LONG_AGO), user("s", id="b")]
    await _same(store, Session(info=SessionInfo(id="s"), messages=messages))
    read = await store.get_messages("s")
    assert (seqs(read), turns(read)) == ([1, 2], [1, 2])
