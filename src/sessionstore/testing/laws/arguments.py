"""The laws of bad arguments: `InvalidValue`, which is a `ValueError`, before anything is written."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import pytest

from sessionstore.errors import InvalidValue, SessionStoreError
from sessionstore.models import Message, SessionInfo, SessionTime
from sessionstore.models.usage import MAX_TOKENS
from sessionstore.store import SessionStore
from sessionstore.testing.build import LONG_AGO, new_session, refused, session_of, snapshot, user

Call = Callable[[SessionStore, Any], Awaitable[Any]]

BAD_IDS = ("", "x" * 256, "a\0b", "a\ud800b")
NO_TEXT = (5, 1.5, True, b"id", ["id"], object())
BAD_LIMITS = (-1, -(2**70), True, False, 1.5, "one")
NAIVE = datetime(2024, 1, 1)

TAKE_A_SESSION_ID: list[Call] = [
    lambda store, key: store.get_session(key),
    lambda store, key: store.add_usage(key, {}),
    lambda store, key: store.update_session_title(key, "title"),
    lambda store, key: store.update_session_summary(key, None),
    lambda store, key: store.delete_session(key),
    lambda store, key: store.get_message(key, "message"),
    lambda store, key: store.get_messages(key),
    lambda store, key: store.get_messages(key, limit=0),
    lambda store, key: store.get_messages_after(key, 0),
    lambda store, key: store.pop_message(key),
    lambda store, key: store.delete_messages(key),
    lambda store, key: store.track_read_file(key, "/a"),
    lambda store, key: store.has_read_file(key, "/a"),
    lambda store, key: store.get_read_file(key, "/a"),
    lambda store, key: store.list_read_files(key),
]

TAKE_A_MESSAGE_ID: list[Call] = [
    lambda store, key: store.get_message("s", key),
    lambda store, key: store.get_messages_after("s", key),
    lambda store, key: store.delete_messages("s", after=key),
    lambda store, key: store.update_session_summary("s", key),
    lambda store, key: store.update_session_summary("s", "m", covers_through=key),
]

TAKE_A_LIMIT: list[Call] = [
    lambda store, limit: store.list_sessions(limit=limit),
    lambda store, limit: store.get_messages("s", limit=limit),
    lambda store, limit: store.get_messages("missing", limit=limit),
    lambda store, limit: store.get_messages_after("s", 0, limit=limit),
    lambda store, limit: store.get_messages_after("missing", 0, limit=limit),
]


async def _all_refused(store: SessionStore, calls: Sequence[Call], values: Sequence[Any]) -> None:
    info, _ = await session_of(store, "one", id="s")
    await store.save_message(user(info.id, id="m"))
    before = await snapshot(store, info.id)
    for number, call in enumerate(calls):
        for value in values:
            await refused(call(store, value), InvalidValue, (number, value))
    assert await snapshot(store, info.id) == before
    assert len(await store.list_sessions()) == 1


async def test_bad_values_are_value_errors(store: SessionStore) -> None:
    """What is refused is a `ValueError`, and an error of ours like every other."""
    for error in (ValueError, SessionStoreError):
        await refused(store.get_session(""), error, error)


async def test_session_ids(store: SessionStore) -> None:
    """A session id that is empty, too long, not text, or holds NUL or a lone surrogate is refused."""
    await _all_refused(store, TAKE_A_SESSION_ID, (*BAD_IDS, *NO_TEXT, None))


async def test_message_ids(store: SessionStore) -> None:
    """A message id is held to the same rule as a session's."""
    await _all_refused(store, TAKE_A_MESSAGE_ID, BAD_IDS)


async def test_filters(store: SessionStore) -> None:
    """Ids to filter sessions by are held to the same rule, and what is no truth value is no `archived`."""
    by_id: list[Call] = [
        lambda store, key: store.list_sessions(user_id=key),
        lambda store, key: store.list_sessions(parent_session_id=key, limit=0),
    ]
    await _all_refused(store, by_id, (*BAD_IDS, *NO_TEXT))
    for value in ("yes", 2, LONG_AGO):
        await refused(store.list_sessions(archived=value), InvalidValue, value)  # type: ignore[arg-type]


async def test_limits(store: SessionStore) -> None:
    """A negative limit is refused, and so is what is no whole number: a bool, a float, text."""
    await _all_refused(store, TAKE_A_LIMIT, BAD_LIMITS)


async def test_pages(store: SessionStore) -> None:
    """What is no session is nothing to continue a list behind."""
    calls: list[Call] = [lambda store, after: store.list_sessions(after=after)]
    unaware = SessionInfo().model_copy(update={"time": SessionTime.model_construct(created=NAIVE, updated=NAIVE)})
    await _all_refused(store, calls, ("s", 5, LONG_AGO, unaware))


async def test_places(store: SessionStore) -> None:
    """What is neither an aware time, an id nor a `seq` is no place to read or to delete behind."""
    read: list[Call] = [
        lambda store, after: store.get_messages_after("s", after),
        lambda store, after: store.get_messages_after("missing", after, limit=0),
    ]
    await _all_refused(store, read, (NAIVE, True, 1.5, None, b"id", ["id"]))
    for after in (NAIVE, LONG_AGO, True, 1.5, b"id"):
        await refused(store.delete_messages("s", after=after), InvalidValue, after)  # type: ignore[arg-type]
    assert len(await store.get_messages("s")) == 2


SESSION_CHANGES: list[dict[str, Any]] = [
    {"id": ""},
    {"title": "\0"},
    {"title": 1},
    {"user_id": "x" * 256},
    {"parent_session_id": "\ud800"},
    {"working_dir": "a\0b"},
    {"time": SessionTime().model_copy(update={"archived": NAIVE})},
    {"time": None},
    {"metadata": {1: 1}},
    {"metadata": [1]},
]

MESSAGE_CHANGES: list[dict[str, Any]] = [
    {"id": "x" * 256},
    {"session_id": "\ud800"},
    {"created_at": NAIVE},
    {"role": "robot"},
    {"status": "asleep"},
    {"model": "\0"},
    {"usage": {"x": "many"}},
    {"usage": {"input_tokens": MAX_TOKENS + 1}},
    {"parts": ["text"]},
    {"parts": [None]},
    {"metadata": {b"k": 1}},
]


async def test_models_that_were_never_validated(store: SessionStore) -> None:
    """A model that was given bad values past pydantic's checks is refused, and so is what is no model."""
    sessions: list[Call] = [
        lambda store, change: store.create_session(SessionInfo().model_copy(update=change)),
        lambda store, change: store.update_session(SessionInfo(id="s").model_copy(update=change)),
    ]
    messages: list[Call] = [
        lambda store, change: store.save_message(user("s").model_copy(update=change)),
        lambda store, change: store.save_messages([user("s"), user("s").model_copy(update=change)]),
        lambda store, change: store.replace_message(user("s", id="m").model_copy(update=change)),
    ]
    await _all_refused(store, sessions, SESSION_CHANGES)
    await store.delete_session("s")
    await _all_refused(store, messages, MESSAGE_CHANGES)
    await store.delete_session("s")
    junk: list[Call] = [
        lambda store, value: store.create_session(value),
        lambda store, value: store.save_message(value),
        lambda store, value: store.save_messages([value]),
        lambda store, value: store.save_session(value),
    ]
    await _all_refused(store, junk, ({"session_id": "s", "role": "user"}, None, "text"))


async def test_numbers_beyond_the_database(store: SessionStore) -> None:
    """A `seq` that no database counts to is what it is: behind, or before, all that there is."""
    info, messages = await session_of(store, "one", "two", "three")
    huge = 2**70
    assert await store.get_messages(info.id, limit=2**62) == messages
    assert await store.get_messages_after(info.id, -huge, limit=2**62) == messages
    assert await store.get_messages_after(info.id, huge) == []
    assert len(await store.list_sessions(limit=2**62)) == 1
    assert await store.delete_messages(info.id, after=huge) == 0
    assert await store.delete_messages(info.id, after=-huge) == 3


async def test_errors_carry_no_content(store: SessionStore) -> None:
    """The text of an error names places, and holds no message content."""
    await new_session(store, id="s")
    said = "correct horse battery staple"
    message = Message(session_id="s", role="user", metadata={"list": [{"key": (said,)}]})
    message.add_text(said)
    with pytest.raises(InvalidValue) as caught:
        await store.save_message(message)
    assert said not in repr(caught.value)
    for name in ("metadata", "list", "0", "key"):
        assert name in str(caught.value)
