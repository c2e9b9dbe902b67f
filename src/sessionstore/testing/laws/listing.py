"""The laws of listing sessions."""

import asyncio
from typing import Any

from sessionstore.models import SessionInfo, SessionTime
from sessionstore.store import SessionStore
from sessionstore.testing.build import LONG_AGO, ids, new_session, seconds, session_of, stored, user


async def _aged(store: SessionStore, age: float, *, archived: bool = False, **fields: Any) -> SessionInfo:
    """Store a session that was last used so many seconds before `LONG_AGO`."""
    updated = LONG_AGO - seconds(age)
    time = SessionTime(created=LONG_AGO, updated=updated, archived=LONG_AGO if archived else None)
    return await new_session(store, time=time, **fields)


async def _pages(store: SessionStore, size: int, **filters: Any) -> list[list[SessionInfo]]:
    pages: list[list[SessionInfo]] = []
    after = None
    while page := await store.list_sessions(limit=size, after=after, **filters):
        pages.append(page)
        after = page[-1]
    return pages


async def _many(store: SessionStore) -> None:
    """Store 24 sessions of two users and two parents, half of them archived, three to an instant."""
    for number in range(24):
        await _aged(
            store,
            number // 3,
            id=f"s{number:02}",
            archived=number % 2 == 0,
            user_id=f"u{number // 2 % 2}",
            parent_session_id=f"p{number // 4 % 2}",
        )


async def test_nothing_to_list(store: SessionStore) -> None:
    """A store without sessions lists none."""
    assert await store.list_sessions() == []


async def test_most_recently_updated_first(store: SessionStore) -> None:
    """Sessions are listed by when they were last updated, the latest first, whenever they were made."""
    ages = [3, 1, 0.000001, 2, 0]
    for age in ages:
        await _aged(store, age, id=f"age-{age}")
    assert ids(await store.list_sessions()) == [f"age-{age}" for age in sorted(ages)]


async def test_ties_by_id_descending(store: SessionStore) -> None:
    """Sessions updated at the same instant are listed by id, descending, by code point."""
    names = ["a", "B", "b", "Z", "z", "_", "-", "10", "9", "\u00e9", "e\u0301", "\uffee", "\U0001f986", "aa", "a b"]
    for name in names:
        await _aged(store, 0, id=name)
    assert ids(await store.list_sessions()) == sorted(names, reverse=True)
    assert ids(await store.list_sessions(limit=99)) == sorted(names, reverse=True)
    assert [name for page in await _pages(store, 4) for name in ids(page)] == sorted(names, reverse=True)


async def test_use_moves_to_the_front(store: SessionStore) -> None:
    """A session that gets a message is the most recently updated one."""
    old, new = await _aged(store, 2), await _aged(store, 1)
    assert ids(await store.list_sessions()) == [new.id, old.id]
    await store.save_message(user(old.id))
    assert ids(await store.list_sessions()) == [old.id, new.id]


async def test_what_is_listed_is_what_is_stored(store: SessionStore) -> None:
    """A listed session is the one that `get_session` gives: counters, summary pointer and metadata too."""
    info, messages = await session_of(store, "one", "two", metadata={"b": float("nan"), "a": "\0"})
    await store.add_usage(info.id, {"input_tokens": 3, "cache_read_tokens": 2})
    await store.update_session_summary(info.id, messages[1].id)
    assert repr(await store.list_sessions()) == repr([await store.get_session(info.id)])


async def test_filters(store: SessionStore) -> None:
    """`user_id` and `parent_session_id` give only the sessions that have exactly this one."""
    by_user = await _aged(store, 1, user_id="this")
    by_parent = await _aged(store, 1, parent_session_id="this")
    for other in ("other", "THIS", "this ", "thi", None):
        await _aged(store, 0, user_id=other, parent_session_id=other)
    assert await store.list_sessions(user_id="this") == [by_user]
    assert await store.list_sessions(parent_session_id="this") == [by_parent]
    assert await store.list_sessions(user_id="nobody") == await store.list_sessions(parent_session_id="nobody") == []
    assert len(await store.list_sessions()) == 7


async def test_archived(store: SessionStore) -> None:
    """`archived`: `True` gives only archived sessions, `False` only the others, `None` both."""
    active, archived = await _aged(store, 1), await _aged(store, 0, archived=True)
    assert await store.list_sessions(archived=True) == [archived]
    assert await store.list_sessions(archived=False) == [active]
    assert await store.list_sessions(archived=None) == [archived, active]


async def test_archiving_moves_between_the_lists(store: SessionStore) -> None:
    """Setting the archive time takes a session from one list to the other, and clearing it back."""
    info = await _aged(store, 0)
    info.time.archived = LONG_AGO
    await store.update_session(info)
    assert (len(await store.list_sessions(archived=True)), await store.list_sessions(archived=False)) == (1, [])
    info.time.archived = None
    await store.update_session(info)
    assert (await store.list_sessions(archived=True), len(await store.list_sessions(archived=False))) == ([], 1)


async def test_limit(store: SessionStore) -> None:
    """`limit` gives the first so many; `0` none; more than there are, or `None`, all."""
    for age in (0, 1, 2):
        await _aged(store, age, id=f"age-{age}")
    for limit in (0, 1, 2, 3, 4, None):
        assert ids(await store.list_sessions(limit=limit)) == ["age-0", "age-1", "age-2"][:limit]


FILTERS: list[dict[str, Any]] = [
    {name: value for name, value in (("user_id", user_id), ("parent_session_id", parent)) if value}
    | {"archived": archived}
    for user_id in (None, "u1")
    for parent in (None, "p1")
    for archived in (None, True, False)
]


async def test_filters_combine(store: SessionStore) -> None:
    """Filters given together all hold, and keep the order of the list."""
    await _many(store)
    everything = await store.list_sessions()
    assert len(everything) == 24
    for filters in FILTERS:
        expected = [
            info
            for info in everything
            if filters.get("user_id", info.user_id) == info.user_id
            and filters.get("parent_session_id", info.parent_session_id) == info.parent_session_id
            and filters["archived"] in (None, info.time.archived is not None)
        ]
        assert expected
        assert await store.list_sessions(**filters) == expected


async def test_paging(store: SessionStore) -> None:
    """`after` continues behind the last session of a page: pages join to the whole list, with each filter."""
    await _many(store)
    for filters in FILTERS:
        whole = ids(await store.list_sessions(**filters))
        for size in (2, 7):
            pages = await _pages(store, size, **filters)
            assert [name for page in pages for name in ids(page)] == whole
            assert {len(page) for page in pages[:-1]} <= {size}


async def test_after_without_limit(store: SessionStore) -> None:
    """`after` without `limit` gives all the rest."""
    await _many(store)
    whole = await store.list_sessions()
    assert await store.list_sessions(after=whole[9]) == whole[10:]
    assert await store.list_sessions(after=whole[-1]) == []


async def test_after_is_a_place_and_no_row(store: SessionStore) -> None:
    """The next page is the same when the session that it continues behind was deleted or used since."""
    await _many(store)
    whole = await store.list_sessions()
    await store.delete_session(whole[4].id)
    assert await store.list_sessions(after=whole[4]) == whole[5:]
    await store.save_message(user(whole[7].id))
    assert await store.list_sessions(after=whole[7]) == whole[8:]


async def test_deleted_sessions_are_not_listed(store: SessionStore) -> None:
    """A deleted session is in no list."""
    gone, kept = await _aged(store, 0, user_id="u"), await _aged(store, 1, user_id="u")
    await store.delete_session(gone.id)
    assert await store.list_sessions() == await store.list_sessions(user_id="u") == [kept]


async def test_paging_while_others_write(store: SessionStore) -> None:
    """Whoever pages while sessions are used sees none twice, and every one that stayed where it was."""
    await _many(store)
    at_rest = {f"s{number:02}" for number in range(0, 24, 2)}

    async def use() -> None:
        for number in range(1, 24, 2):
            await store.save_message(user(f"s{number:02}"))

    pages, _ = await asyncio.gather(_pages(store, 3), use())
    seen = [name for page in pages for name in ids(page)]
    assert len(seen) == len(set(seen))
    assert at_rest <= set(seen)


async def test_messages_change_the_counters_in_lists(store: SessionStore) -> None:
    """A list shows the counters as they are now."""
    info, _ = await session_of(store, "one")
    await store.save_message(user(info.id, usage={"input_tokens": 2}))
    (listed,) = await store.list_sessions()
    assert (listed.message_count, listed.input_tokens) == (2, 2)
    assert listed == await stored(store, info.id)
