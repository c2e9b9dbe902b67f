"""`Events`: who hears of what, and that a failing handler breaks nothing."""

import logging
from typing import NoReturn

import pytest

from sessionstore import Event
from sessionstore.events import Events

CREATED = Event("session.created", {"session_id": "s"})
SAVED = Event("message.saved", {"session_id": "s", "seq": 1})


async def test_handlers_hear_in_order() -> None:
    events, heard = Events(""), list[tuple[str, Event]]()
    events.subscribe(lambda event: heard.append(("sync", event)))

    async def handler(event: Event) -> None:
        heard.append(("async", event))

    events.subscribe(handler)
    await events.publish([CREATED, SAVED])
    assert heard == [("sync", CREATED), ("async", CREATED), ("sync", SAVED), ("async", SAVED)]


async def test_types_select() -> None:
    events, heard = Events(""), list[Event]()
    events.subscribe(heard.append, "message.saved", "session.deleted")
    await events.publish([CREATED, SAVED])
    assert heard == [SAVED]


async def test_unsubscribing() -> None:
    events, heard, others = Events(""), list[Event](), list[Event]()
    unsubscribe = events.subscribe(heard.append)
    events.subscribe(others.append)
    events.subscribe(heard.append)
    await events.publish([CREATED])
    unsubscribe()
    unsubscribe()
    await events.publish([SAVED])
    assert (heard, others) == ([CREATED, CREATED, SAVED], [CREATED, SAVED])


async def test_a_handler_may_unsubscribe_itself() -> None:
    events, heard = Events(""), list[Event]()

    def once(event: Event) -> None:
        heard.append(event)
        unsubscribe()

    unsubscribe = events.subscribe(once)
    events.subscribe(heard.append)
    await events.publish([CREATED, SAVED])
    assert heard == [CREATED, CREATED, SAVED]


async def test_a_tenant_hears_of_its_own() -> None:
    ours = Events("ours")
    theirs = ours.for_tenant("theirs")
    heard_by_us, heard_by_them = list[Event](), list[Event]()
    ours.subscribe(heard_by_us.append)
    theirs.subscribe(heard_by_them.append)
    await ours.publish([CREATED])
    await theirs.publish([SAVED])
    await ours.for_tenant("ours").publish([SAVED])
    assert (heard_by_us, heard_by_them) == ([CREATED, SAVED], [SAVED])


async def test_a_failing_handler_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    events, heard = Events(""), list[Event]()

    def fail(event: Event) -> NoReturn:
        raise RuntimeError("broken handler")

    async def fail_later(event: Event) -> NoReturn:
        raise LookupError("broken too")

    for handler in (fail, fail_later, heard.append):
        events.subscribe(handler)
    with caplog.at_level(logging.ERROR, "sessionstore"):
        await events.publish([CREATED])
    assert heard == [CREATED]
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [RuntimeError, LookupError]


def test_events_are_values() -> None:
    assert Event("t") == Event("t", {})
    with pytest.raises(AttributeError):
        CREATED.type = "other"  # type: ignore[misc]
