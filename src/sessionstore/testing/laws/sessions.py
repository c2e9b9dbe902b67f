"""The laws of a session's metadata: creating, reading, updating."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from sessionstore.errors import InvalidValue, SessionExists, SessionNotFound
from sessionstore.models import SessionInfo, SessionTime
from sessionstore.models.base import EARLIEST, LATEST
from sessionstore.store import SessionStore
from sessionstore.testing.build import (
    LONG_AGO,
    TOKENS,
    incompressible,
    new_session,
    refused,
    seconds,
    session_of,
    snapshot,
    stored,
    totals,
    user,
)

EVERYTHING: dict[str, Any] = {
    "id": "the-id",
    "title": "A title; with 'quotes', \"more\", -- dashes, %s, :x, {}, \\ and 🦆",
    "project_dir": "/home/me/project",
    "working_dir": "C:\\work\\dir",
    "model_id": "model-1",
    "provider_id": "provider-1",
    "root_session_id": "root-1",
    "parent_session_id": "parent-1",
    "user_id": "user-1",
    "metadata": {"z": 1, "a": [1.0, None, {"deep": True}]},
}


async def test_a_store_has_every_method_of_the_interface(store: SessionStore) -> None:
    """A store is a `SessionStore`."""
    assert isinstance(store, SessionStore)


async def test_created_is_stored(store: SessionStore) -> None:
    """A created session reads as it was given and as it was returned."""
    time = SessionTime(created=LONG_AGO, updated=LONG_AGO + seconds(1), archived=LONG_AGO + seconds(2))
    given = SessionInfo(**EVERYTHING, time=time)
    returned = await store.create_session(given)
    assert returned == given
    assert repr(await store.get_session("the-id")) == repr(returned)


async def test_defaults(store: SessionStore) -> None:
    """A session of which nothing is said has a title, the present time, zeros and nothing else."""
    before = datetime.now(UTC)
    info = await store.create_session(SessionInfo())
    assert info.title == "New Session"
    assert before <= info.time.created <= datetime.now(UTC)
    assert before <= info.time.updated <= datetime.now(UTC)
    unset = ("project_dir", "working_dir", "model_id", "provider_id", "root_session_id", "parent_session_id", "user_id")
    assert {getattr(info, name) for name in unset} == {None}
    assert (info.time.archived, info.summary_message_id, info.metadata, totals(info)) == (None, None, {}, {})
    assert await store.get_session(info.id) == info


async def test_given_times_are_kept(store: SessionStore) -> None:
    """A new session's times are the caller's: to the microsecond, in any order, at both ends of the calendar."""
    time = SessionTime(created=LATEST, updated=EARLIEST, archived=LATEST)
    info = await store.create_session(SessionInfo(time=time))
    assert info.time == time
    assert (await stored(store, info.id)).time == info.time


async def test_times_are_utc(store: SessionStore) -> None:
    """A time in any offset comes back as the same instant in UTC."""
    local = datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    info = await new_session(store, time=SessionTime(created=local, updated=local, archived=local))
    time = (await stored(store, info.id)).time
    for moment in (time.created, time.updated, time.archived):
        assert moment == local
        assert moment is not None
        assert moment.utcoffset() == timedelta(0)


async def test_counters_start_at_zero(store: SessionStore) -> None:
    """A new session has no messages, tokens or summary, whatever is given."""
    counters = dict.fromkeys(("message_count", *TOKENS), 7)
    info = await store.create_session(SessionInfo(**counters, summary_message_id="some-message"))
    assert totals(info) == {}
    assert info.summary_message_id is None
    assert await stored(store, info.id) == info


async def test_a_taken_id_is_refused(store: SessionStore) -> None:
    """Creating an id that is taken raises `SessionExists`, and the first session is unchanged."""
    info, _ = await session_of(store, "first", title="first")
    before = await snapshot(store, info.id)
    with pytest.raises(SessionExists):
        await store.create_session(SessionInfo(id=info.id, title="second"))
    with pytest.raises(SessionExists):
        await store.create_session(info)
    assert await snapshot(store, info.id) == before


async def test_one_of_many_creators_wins(store: SessionStore) -> None:
    """Of those who create the same id at once one succeeds, and the others learn that it exists."""
    attempts = [store.create_session(SessionInfo(id="contested", title=str(number))) for number in range(8)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    (winner,) = [result for result in results if isinstance(result, SessionInfo)]
    assert sum(isinstance(result, SessionExists) for result in results) == 7
    assert await store.get_session("contested") == winner


async def test_a_missing_session_is_none(store: SessionStore) -> None:
    """`get_session` gives `None` for an id that was never created."""
    assert await store.get_session("missing") is None


async def test_ids_are_any_clean_text(store: SessionStore) -> None:
    """An id is any 1 to 255 characters, kept exactly."""
    for key in ("x" * 255, "🦆" * 255, " ", "a b", "'; DROP TABLE x; --", "%s", ":x", "\n", "\u00e9", "e\u0301"):
        await new_session(store, id=key)
        await store.save_message(user(key, id=key))
        assert (await stored(store, key)).id == key
        message = await store.get_message(key, key)
        assert message is not None
        assert (message.id, message.session_id) == (key, key)


async def test_ids_fit_into_every_index(store: SessionStore) -> None:
    """Ids of 255 characters are fine all at once, also when they are long in bytes and don't compress."""
    keys = [incompressible(255 - number) for number in range(5)]
    info = await new_session(
        store, id=keys[0], user_id=keys[1], parent_session_id=keys[2], root_session_id=keys[3], title="x"
    )
    message = await store.save_message(user(info.id, id=keys[4]))
    await store.update_session_summary(info.id, message.id)
    assert await store.list_sessions(user_id=keys[1], parent_session_id=keys[2]) == [await stored(store, info.id)]


async def test_ids_are_compared_exactly(store: SessionStore) -> None:
    """Ids that differ in case, Unicode form or trailing space are different ids."""
    twins = ["id", "ID", "id ", "\u00e9", "e\u0301"]
    for twin in twins:
        await new_session(store, id=twin, title=twin)
    assert [(await stored(store, twin)).title for twin in twins] == twins


async def test_generated_ids_sort_by_time(store: SessionStore) -> None:
    """Sessions that are given no id get ids in the order they were made."""
    made = [(await store.create_session(SessionInfo())).id for _ in range(20)]
    assert made == sorted(made)


async def test_update_stores_what_the_caller_owns(store: SessionStore) -> None:
    """`update_session` stores title, directories, model, provider, user, archive time and metadata."""
    await new_session(store, id="the-id", user_id="before", metadata={"before": 1})
    owned = {name: value for name, value in EVERYTHING.items() if name not in ("root_session_id", "parent_session_id")}
    time = SessionTime(created=LONG_AGO, updated=LONG_AGO, archived=LONG_AGO + seconds(5))
    returned = await store.update_session(SessionInfo(**owned, time=time))
    assert {name: getattr(returned, name) for name in owned} == owned
    assert list(returned.metadata) == ["z", "a"]
    assert returned.time.archived == LONG_AGO + seconds(5)
    assert repr(await store.get_session("the-id")) == repr(returned)


async def test_update_clears_what_is_left_out(store: SessionStore) -> None:
    """`update_session` with `None` takes a value away; a session can be brought back from the archive."""
    await new_session(store, **EVERYTHING, time=SessionTime(archived=LONG_AGO))
    info = await store.update_session(SessionInfo(id="the-id"))
    cleared = (info.project_dir, info.working_dir, info.model_id, info.provider_id, info.user_id, info.time.archived)
    assert (set(cleared), info.metadata, info.title) == ({None}, {}, "New Session")
    assert await stored(store, "the-id") == info


async def test_update_leaves_what_the_store_owns(store: SessionStore) -> None:
    """`update_session` ignores the counters, parent, root, summary pointer and creation time that it is given."""
    info, messages = await session_of(store, "one", "two", root_session_id="root", parent_session_id="parent")
    await store.add_usage(info.id, {"input_tokens": 5})
    await store.update_session_summary(info.id, messages[0].id)
    before = await stored(store, info.id)
    now = datetime.now(UTC)
    claims = {**dict.fromkeys(("message_count", *TOKENS), 99), "summary_message_id": messages[1].id}
    claims |= {"root_session_id": "other", "parent_session_id": None, "time": SessionTime(created=now, updated=now)}
    after = await store.update_session(before.model_copy(update={**claims, "title": "new"}))
    expected = before.model_copy(update={"title": "new"})
    expected.time.updated = after.time.updated
    assert after == expected
    assert await stored(store, info.id) == after


async def test_use_moves_updated(store: SessionStore) -> None:
    """Changing a session's metadata, usage or messages moves `updated` to the present, and `created` never."""
    calls: list[Callable[[str], Awaitable[Any]]] = [
        lambda key: store.update_session(SessionInfo(id=key)),
        lambda key: store.update_session_title(key, "new"),
        lambda key: store.add_usage(key, {"input_tokens": 1}),
        lambda key: store.save_message(user(key)),
        lambda key: store.save_messages([user(key)]),
    ]
    for number, call in enumerate(calls):
        info = await new_session(store)
        before = datetime.now(UTC)
        await call(info.id)
        time = (await stored(store, info.id)).time
        assert before - seconds(5) <= time.updated <= datetime.now(UTC) + seconds(5), number
        assert time.created == LONG_AGO


async def test_title(store: SessionStore) -> None:
    """`update_session_title` changes the title and nothing else but `updated`."""
    before = await new_session(store, **EVERYTHING)
    await store.update_session_title("the-id", "a new title 🦆")
    after = await stored(store, "the-id")
    assert after.title == "a new title 🦆"
    assert after.time.updated > before.time.updated
    before.title, before.time.updated = after.title, after.time.updated
    assert after == before


async def test_titles_are_any_clean_text(store: SessionStore) -> None:
    """A title is any text, of any length."""
    for title in ("", " ", "long " * 20_000, "'\"`;--%s:x?$1{}\\"):
        info = await new_session(store, title=title)
        assert (await stored(store, info.id)).title == title
        await store.update_session_title(info.id, title + "!")
        assert (await stored(store, info.id)).title == title + "!"


async def test_a_bad_title_is_refused(store: SessionStore) -> None:
    """A title with NUL or a lone surrogate, or that is no text, is `InvalidValue`, and nothing is written."""
    info = await new_session(store)
    before = await snapshot(store, info.id)
    bad: list[Any] = ["a\0b", "a\udfffb", None, 5, b"title"]
    for title in bad:
        await refused(store.update_session_title(info.id, title), InvalidValue, title)
    assert await snapshot(store, info.id) == before


async def test_updating_a_missing_session(store: SessionStore) -> None:
    """Updates of an unknown session raise `SessionNotFound` and create none."""
    with pytest.raises(SessionNotFound):
        await store.update_session(SessionInfo(id="missing"))
    with pytest.raises(SessionNotFound):
        await store.update_session_title("missing", "title")
    with pytest.raises(SessionNotFound):
        await store.add_usage("missing", {"input_tokens": 1})
    assert await store.get_session("missing") is None


async def test_parent_and_root_need_not_exist(store: SessionStore) -> None:
    """A session may name a parent and a root that aren't stored."""
    info = await new_session(store, parent_session_id="nowhere", root_session_id="nowhere")
    assert (info.parent_session_id, info.root_session_id) == ("nowhere", "nowhere")


async def test_what_is_given_stays_the_callers(store: SessionStore) -> None:
    """A store changes none of the models that it is given, and later changes to them reach no database."""
    info = SessionInfo(id="mine", metadata={"list": [1]}, message_count=3)
    before = repr(info)
    returned = await store.create_session(info)
    assert repr(info) == before
    info.metadata["list"].append(2)
    returned.metadata["list"].append(3)
    assert (await stored(store, "mine")).metadata == {"list": [1]}
