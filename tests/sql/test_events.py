"""The laws of events: told after the commit, once, to those who asked, whatever they do with it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sessionstore import Event, Message, Session, SessionInfo, SQLSessionStore
from sessionstore.errors import InvalidValue, MessageConflict, MessageNotFound, SessionExists, SessionNotFound
from sessionstore.testing.build import user

from .calls import filled_session


@pytest.fixture
def heard(store: SQLSessionStore) -> list[Event]:
    """What was announced."""
    events: list[Event] = []
    store.events.subscribe(events.append)
    return events


def _saved(message_id: str, seq: int) -> Event:
    return Event("message.saved", {"session_id": "s", "message_id": message_id, "seq": seq})


UPDATED = Event("session.updated", {"session_id": "s"})


async def test_each_write_is_announced(store: SQLSessionStore, heard: list[Event]) -> None:
    """Every write is announced with its type and data, in the order of the writes, and nothing else is."""
    s = store
    steps: list[tuple[Callable[[], Awaitable[Any]], list[Event]]] = [
        (
            lambda: s.create_session(SessionInfo(id="s", title="t")),
            [Event("session.created", {"session_id": "s", "title": "t"})],
        ),
        (lambda: s.save_message(user("s", id="m1")), [_saved("m1", 1)]),
        (lambda: s.save_messages([user("s", id="m2"), user("s", id="m3")]), [_saved("m2", 2), _saved("m3", 3)]),
        (lambda: s.replace_message(user("s", "other", id="m2")), [_saved("m2", 2)]),
        (lambda: s.update_session_title("s", "u"), [UPDATED]),
        (lambda: s.update_session(SessionInfo(id="s")), [UPDATED]),
        (lambda: s.add_usage("s", {"input_tokens": 1}), [UPDATED]),
        (lambda: s.update_session_summary("s", "m3"), [UPDATED]),
        (lambda: s.update_session_summary("s", None), [UPDATED]),
        (lambda: s.pop_message("s"), [UPDATED]),
        (lambda: s.delete_messages("s", after="m1"), [UPDATED]),
        (lambda: s.get_messages("s"), []),
        (lambda: s.list_sessions(), []),
        (lambda: s.track_read_file("s", "/a"), []),
        (lambda: s.export_session("s"), []),
        (lambda: s.recover(stale_after=0), []),
        (lambda: s.delete_session("s"), [Event("session.deleted", {"session_id": "s"})]),
    ]
    for step, expected in steps:
        heard.clear()
        await step()
        assert heard == expected


async def test_a_whole_session_is_announced(store: SQLSessionStore, heard: list[Event]) -> None:
    """save_session announces the session before its messages when it is new, and later only what changed."""
    info = SessionInfo(id="s", title="t")
    created = Event("session.created", {"session_id": "s", "title": "t"})
    first = [user("s", "1", id="m1"), user("s", "2", id="m2")]
    await store.save_session(Session(info=info, messages=first))
    assert heard == [created, _saved("m1", 1), _saved("m2", 2)]
    heard.clear()
    second = [first[0], user("s", "changed", id="m2"), user("s", "3", id="m3")]
    await store.save_session(Session(info=info, messages=second))
    assert sorted(map(repr, heard)) == sorted(map(repr, [UPDATED, _saved("m2", 2), _saved("m3", 3)]))
    archive = await store.export_session("s")
    await store.delete_session("s")
    heard.clear()
    assert archive is not None
    await store.import_session(archive)
    assert heard[0] == created


async def test_recovered_drafts_are_announced(store: SQLSessionStore, heard: list[Event]) -> None:
    """A draft that recover interrupts is announced as saved."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_message(Message(id="d", session_id="s", role="assistant", status="in_progress"))
    heard.clear()
    await asyncio.sleep(0.01)
    await store.recover(stale_after=0)
    assert heard == [_saved("d", 1)]


async def test_repeats_and_failures_are_not_announced(store: SQLSessionStore, heard: list[Event]) -> None:
    """What changed nothing isn't announced: repeats, what isn't there, and every error."""
    await filled_session(store)
    heard.clear()
    stored = await store.get_message("s", "m1")
    assert stored is not None
    await store.save_message(stored)
    await store.save_messages([stored, stored])
    assert await store.pop_message("absent") is None
    assert await store.delete_messages("absent") == 0
    assert await store.delete_messages("s", after=10_000) == 0
    assert await store.delete_session("absent") is False
    failures: list[tuple[type[Exception], Callable[[], Awaitable[Any]]]] = [
        (SessionExists, lambda: store.create_session(SessionInfo(id="s"))),
        (SessionNotFound, lambda: store.save_message(user("absent"))),
        (MessageConflict, lambda: store.save_messages([user("s", id="n"), user("s", "other", id="m1")])),
        (MessageNotFound, lambda: store.replace_message(user("s", id="absent"))),
        (SessionNotFound, lambda: store.update_session_title("absent", "t")),
        (InvalidValue, lambda: store.save_message(user("s", metadata={"a": b""}))),
    ]
    for kind, call in failures:
        with pytest.raises(kind):
            await call()
    assert heard == []


async def test_handlers_see_what_was_committed(store: SQLSessionStore) -> None:
    """A handler, sync or async, is called after the commit: it can read, and write, through the same store."""
    seen: list[int] = []

    async def reads(event: Event) -> None:
        seen.append(len(await store.get_messages(event.data["session_id"])))
        if len(seen) == 1:
            await store.save_message(user("s", "from the handler"))

    store.events.subscribe(reads, "message.saved")
    await store.create_session(SessionInfo(id="s"))
    await store.save_message(user("s"))
    assert sorted(seen) == [1, 2]


async def test_types_choose_what_is_heard(store: SQLSessionStore) -> None:
    """With types a handler hears only those; without, everything."""
    heard: dict[str, list[str]] = {"all": [], "two": [], "none": []}
    store.events.subscribe(lambda event: heard["all"].append(event.type))
    store.events.subscribe(lambda event: heard["two"].append(event.type), "session.created", "session.deleted")
    store.events.subscribe(lambda event: heard["none"].append(event.type), "session.compacted")
    await filled_session(store)
    await store.delete_session("s")
    assert heard["two"] == ["session.created", "session.deleted"]
    assert heard["none"] == []
    assert heard["all"][0] == "session.created"
    assert heard["all"].count("message.saved") == 4


class Failing(BaseException):
    """Not even an Exception."""


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, SessionNotFound, asyncio.TimeoutError])
async def test_a_failing_handler_breaks_nothing(
    store: SQLSessionStore, caplog: pytest.LogCaptureFixture, error: type[BaseException], asynchronous: bool
) -> None:
    """A handler's error is logged; the write is done and returns, and the other handlers hear of it."""

    def fails(event: Event) -> None:
        raise error("of a handler")

    async def fails_later(event: Event) -> None:
        await asyncio.sleep(0)
        raise error("of a handler")

    heard: list[str] = []
    store.events.subscribe(fails_later if asynchronous else fails)
    store.events.subscribe(lambda event: heard.append(event.type))
    with caplog.at_level(logging.ERROR, logger="sessionstore"):
        created = await store.create_session(SessionInfo(id="s"))
    assert created.id == "s"
    assert heard == ["session.created"]
    assert any(record.exc_info and record.exc_info[0] is error for record in caplog.records)


async def test_a_cancelled_caller_is_announced_all_the_same(store: SQLSessionStore, heard: list[Event]) -> None:
    """What was committed although its caller was cancelled is announced; what wasn't is not."""
    await store.create_session(SessionInfo(id="s"))
    heard.clear()
    for turns in range(0, 60, 4):
        task = asyncio.ensure_future(store.save_message(user("s", id=f"m{turns}")))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    there = [message.id for message in await store.get_messages("s")]
    assert [event.data["message_id"] for event in heard] == there


async def test_unsubscribing_ends_it(store: SQLSessionStore) -> None:
    """After unsubscribe, which may be called twice and inside a handler, the handler hears nothing more."""
    heard: list[str] = []
    once: list[str] = []

    def handler(event: Event) -> None:
        heard.append(event.type)

    def only_once(event: Event) -> None:
        once.append(event.type)
        end_once()

    end_once = store.events.subscribe(only_once)
    first, second = store.events.subscribe(handler), store.events.subscribe(handler)
    await store.create_session(SessionInfo(id="s"))
    assert heard == ["session.created"] * 2
    first()
    first()
    await store.update_session_title("s", "t")
    assert heard == ["session.created"] * 2 + ["session.updated"]
    second()
    await store.delete_session("s")
    assert len(heard) == 3
    assert once == ["session.created"]


async def test_other_stores_hear_nothing(store: SQLSessionStore, heard: list[Event]) -> None:
    """Subscriptions are one store's: another store on the same engine shares none, for_tenant and bind share them."""
    other = SQLSessionStore(store.engine)
    await other.create_session(SessionInfo(id="o"))
    assert heard == []
    await store.for_tenant("").create_session(SessionInfo(id="s"))
    assert [event.type for event in heard] == ["session.created"]
