"""The law of the line itself: in turn, over threads and event loops, whenever the collector comes."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from sqlalchemy.util import queue as queues

from sessionstore.sql import waiting
from sessionstore.sql.shielding import Call
from sessionstore.sql.waiting import Room, WaitingLine


async def test_a_line_over_threads() -> None:
    """What is put there in a thread wakes who waits in another one; a closed event loop's waiters are passed over."""
    line = WaitingLine(1)
    dead = asyncio.new_event_loop()
    waiters = line.wait(None)

    def run() -> None:
        task = dead.create_task(waiters)
        dead.run_until_complete(asyncio.sleep(0))
        task._log_destroy_pending = False  # pyright: ignore
        dead.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    alive = asyncio.create_task(line.wait(5))
    await asyncio.sleep(0)
    thread = threading.Thread(target=line.put_nowait, args=("connection",))
    thread.start()
    thread.join()
    assert await alive == "connection"
    assert line.empty()


def _collecting(line: WaitingLine, place: int) -> Callable[..., Any]:
    """Return a trace function that gives a connection back before the so-manieth line of the line's own code."""
    lines = iter(range(place + 1))

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != waiting.__file__:
            return None
        if event == "line" and next(lines, None) == place:
            line.put_nowait("collected")
        return trace

    return trace


async def test_a_collector_in_the_midst() -> None:
    """The collector may give a connection back at any moment: whoever waits is served, and nothing is lost."""
    places = 0
    while True:
        line = WaitingLine()
        waiters = [asyncio.create_task(line.wait(5)) for _ in range(3)]
        await asyncio.sleep(0)
        before = sys.gettrace()
        sys.settrace(_collecting(line, places))
        try:
            line.put_nowait("given")
            while not any(one.done() for one in waiters):  # noqa: ASYNC110
                await asyncio.sleep(0)
        finally:
            sys.settrace(before)
        await asyncio.sleep(0.02)
        line.put_nowait("last")
        await asyncio.sleep(0.02)
        served = [one.result() for one in waiters if one.done()]
        assert line.empty()
        if len(served) == 2:  # the collector had nothing to do any more
            break
        assert sorted(served) == ["collected", "given", "last"]
        places += 1
    waiters[2].cancel()
    assert places > 20


async def test_an_event_loop_that_ends() -> None:
    """Who was called for a connection, and whose event loop ended before its turn, leaves it to others."""
    line = WaitingLine(1)
    gone = asyncio.new_event_loop()

    def run() -> None:
        task = gone.create_task(line.wait(None))
        gone.run_until_complete(asyncio.sleep(0))
        gone.call_soon(line.put_nowait, "connection")
        gone.call_soon(gone.stop)
        gone.run_forever()
        assert not task.done()
        task._log_destroy_pending = False  # pyright: ignore
        gone.close()

    await asyncio.to_thread(run)
    assert line.get_nowait() == "connection"


async def test_room_for_the_next_one() -> None:
    """When the one who was woken for room has gone, the next one is."""
    line = WaitingLine(1)
    line.has_room = lambda: room
    room, call = False, Call()
    first, second = asyncio.create_task(line.wait(5, call)), asyncio.create_task(line.wait(5))
    await asyncio.sleep(0)
    room = True
    line.make_room()
    call.leave()
    for one in (first, second):
        with pytest.raises(queues.Empty):
            await asyncio.wait_for(one, 1)


async def test_an_event_loop_that_goes_on() -> None:
    """Who waits in an event loop that stood still when a connection came back gets it when that goes on."""
    line = WaitingLine(1)

    def run() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(line.wait(5))
        loop.run_until_complete(asyncio.sleep(0))
        line.put_nowait("connection")
        assert loop.run_until_complete(asyncio.wait_for(task, 1)) == "connection"
        loop.close()

    await asyncio.to_thread(run)


async def test_an_event_loop_that_stops_before_its_turn() -> None:
    """When the event loop of who was called stops, the next one is called soon."""
    line = WaitingLine(1)
    blocked = threading.Event()

    async def block() -> None:
        blocked.set()
        time.sleep(0.2)  # noqa: ASYNC251 - so that its loop runs, and comes to nothing else

    def run() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(line.wait(None))
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(block())
        task._log_destroy_pending = False  # pyright: ignore
        ended.set()
        over.wait(5)
        loop.close()

    ended, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=run)
    thread.start()
    await asyncio.to_thread(blocked.wait, 5)
    other = asyncio.create_task(line.wait(5))
    await asyncio.sleep(0)
    line.put_nowait("connection")
    assert not other.done()
    assert await asyncio.wait_for(other, 3) == "connection"
    assert ended.is_set()
    over.set()
    thread.join()


async def test_room_that_is_there() -> None:
    """Nobody waits while the pool may have more connections."""
    line = WaitingLine(1)
    line.has_room = lambda: True
    with pytest.raises(Room):
        await asyncio.wait_for(line.wait(5), 1)


async def test_the_order_of_a_line() -> None:
    """Idle ones are given out oldest first, or youngest first; a full line takes no more, but what is put back.

    That is given out next.
    """
    for lifo, expected in ((False, [3, 1, 2]), (True, [3, 2, 1])):
        line = WaitingLine(2, lifo)
        line.put_nowait(1)
        line.put_nowait(2)
        with pytest.raises(queues.Full):
            line.put(3, block=False)
        line.put_back(3)
        assert [line.get(block=False) for _ in range(3)] == expected
        with pytest.raises(queues.Empty):
            line.get_nowait()
