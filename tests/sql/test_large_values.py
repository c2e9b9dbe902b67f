"""The law of large values: they come back exactly, and nothing but reading their message loads them."""

import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from sessionstore import Message, SessionInfo, SQLSessionStore, ToolResultPart
from sessionstore.testing.build import ids, user

MEGABYTE = 2**20
SMALL = MEGABYTE // 2
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

SIZES = [pytest.param(4, id="4 MB"), pytest.param(50, id="50 MB", marks=pytest.mark.slow)]


def _output(megabytes: int) -> str:
    """Return so many megabytes of a tool's output, with what makes text awkward in it."""
    block = "\u20ac\U0001f980 'quoted' \"twice\" \\n\r\n\t\x1b[0m " + "".join(map(chr, range(0x20, 0x7F)))
    return (block * (megabytes * MEGABYTE // len(block.encode()) + 1)) + "the end"


def _large(megabytes: int, id: str = "large") -> Message:
    part = ToolResultPart(tool_call_id="c", tool_name="cat", output=_output(megabytes))
    return Message(id=id, session_id="s", role="tool", parts=[part])


@pytest.fixture(params=SIZES)
async def megabytes(request: pytest.FixtureRequest, store: SQLSessionStore) -> AsyncIterator[int]:
    """How large the message is that stands in the middle of session `s`."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_message(user("s", "one", id="one"))
    await store.save_message(_large(request.param))
    await store.save_messages([user("s", name, id=name) for name in ("three", "four", "five", "six")])
    return request.param


async def _peak(call: Callable[[], Awaitable[Any]]) -> int:
    """Return how much memory a call took at most."""
    tracemalloc.start()
    try:
        await call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _calls(store: SQLSessionStore) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Everything but reading the message, deleting it last."""
    again = user("s", "seven", id="seven")
    return {
        "info": lambda: store.get_session("s"),
        "list": lambda: store.list_sessions(),
        "last 4": lambda: store.get_messages("s", limit=4),
        "after seq": lambda: store.get_messages_after("s", 2),
        "after id": lambda: store.get_messages_after("s", "large"),
        "before it": lambda: store.get_messages_after("s", 0, limit=1),
        "another": lambda: store.get_message("s", "one"),
        "append": lambda: store.save_message(again),
        "append again": lambda: store.save_message(again),
        "append many": lambda: store.save_messages([again, user("s", id="eight")]),
        "replace another": lambda: store.replace_message(user("s", "better", id="one")),
        "title": lambda: store.update_session_title("s", "title"),
        "update": lambda: store.update_session(SessionInfo(id="s")),
        "usage": lambda: store.add_usage("s", {"input_tokens": 1}),
        "summary": lambda: store.update_session_summary("s", "six", covers_through="large"),
        "track": lambda: store.track_read_file("s", "/a"),
        "has read": lambda: store.has_read_file("s", "/a"),
        "files": lambda: store.list_read_files("s"),
        "recover": lambda: store.recover(),
        "pop another": lambda: store.pop_message("s"),
        "delete others": lambda: store.delete_messages("s", after="four"),
        "replace it": lambda: store.replace_message(user("s", "small", id="large")),
        "delete all": lambda: store.delete_messages("s"),
        "delete": lambda: store.delete_session("s"),
    }


async def test_it_comes_back_exactly(store: SQLSessionStore, megabytes: int) -> None:
    """A large tool output is returned exactly, alone and among others, and saving it again is a repeat."""
    found = await store.get_message("s", "large")
    assert found is not None
    (part,) = found.get_tool_results()
    assert part.output == _output(megabytes)
    assert (await store.get_messages("s"))[1] == found
    assert await store.save_message(found) == found
    info = await store.get_session("s")
    assert info is not None
    assert info.message_count == 6


async def test_nothing_else_loads_it(store: SQLSessionStore, megabytes: int) -> None:
    """No call but reading the message itself takes memory for it, not even deleting it."""
    assert await _peak(lambda: store.get_message("s", "large")) > megabytes * MEGABYTE
    assert await _peak(lambda: store.get_messages_after("s", LONG_AGO, limit=2)) > megabytes * MEGABYTE
    heavy = {name: peak for name, call in _calls(store).items() if (peak := await _peak(call)) > SMALL}
    assert heavy == {}


async def test_popping_it_gives_it_back(store: SQLSessionStore, megabytes: int) -> None:
    """A large message that is popped is returned whole, and gone."""
    await store.delete_messages("s", after="large")
    popped = await store.pop_message("s")
    assert popped is not None
    assert popped.get_tool_results()[0].output == _output(megabytes)
    assert ids(await store.get_messages("s")) == ["one"]
