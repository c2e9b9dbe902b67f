"""The line of those who wait for a connection: whoever came first gets the next one that is given back.

SQLAlchemy's own does so too, most of the time: whoever asks between a connection's return and its waiter's turn takes
it, and the waiter goes to the end of the line. And it waits in a greenlet and, before Python 3.12, in another task,
which costs more than the append that waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import RLock
from typing import Any

from sqlalchemy.util import await_only
from sqlalchemy.util import queue as queues
from typing_extensions import override

from sessionstore.sql.shielding import Call

_Waiter = asyncio.Future[None]
_LOOK_AGAIN_SECONDS = 1.0


class Room(queues.Empty):
    """Raised in place of a connection, as the pool may have one more."""


def _nowhere() -> bool:
    return False


class WaitingLine(queues.QueueCommon[Any]):
    """The idle connections of a pool, and those who wait for one, of any thread and event loop.

    Who is called takes one at the next turn of its event loop. Until then the connection stays here, so that it isn't
    lost with that, and is there for nobody else.
    """

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:
        self.maxsize = maxsize
        self.use_lifo = use_lifo
        self.has_room: Callable[[], bool] = _nowhere
        """Whether the pool may have more connections."""

        self._idle: deque[Any] = deque()
        self._waiting: deque[_Waiter] = deque()
        self._called: set[_Waiter] = set()
        # The collector gives back what was dropped, in any thread, and in the midst of the methods here.
        self._lock = RLock()
        self._calling = False

    @override
    def empty(self) -> bool:
        return self.qsize() <= 0

    @override
    def full(self) -> bool:
        return 0 < self.maxsize <= self.qsize()

    @override
    def qsize(self) -> int:
        """Return how many there are that nobody was called for."""
        if self._called:
            with self._lock:  # whoever's event loop has stopped doesn't come
                for waiter in [*self._called]:
                    if not waiter.get_loop().is_running():
                        self._called.discard(waiter)
        return len(self._idle) - len(self._called)

    @override
    def put_nowait(self, item: Any) -> None:
        with self._lock:
            if self.full():
                raise queues.Full
            self._idle.append(item)
            self._call()

    @override
    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self.put_nowait(item)  # pools never wait for room

    def put_back(self, item: Any) -> None:
        """Put back what was just taken from here."""
        with self._lock:
            self._idle.append(item) if self.use_lifo else self._idle.appendleft(item)
            self._call()

    @override
    def get_nowait(self) -> Any:
        with self._lock:
            if self.empty():
                raise queues.Empty
            return self._next()

    @override
    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            return self.get_nowait()
        except queues.Empty:
            if not block:
                raise
        return await_only(self.wait(timeout))

    def peek(self) -> Any:
        """Return what would be given out now, or `None`."""
        with self._lock:
            return None if self.empty() else self._idle[-1 if self.use_lifo else 0]

    async def wait(self, seconds: float | None, call: Call | None = None) -> Any:
        """Return the next connection that is given back, in turn.

        Raises `Room` when the pool may have one more connection, and `queue.Empty` when the time is up, or the call is
        done, whose caller has gone then.
        """
        loop = asyncio.get_running_loop()
        until = None if seconds is None else loop.time() + seconds
        first = False
        while True:
            waiter: _Waiter = loop.create_future()
            with self._lock:
                self._waiting.appendleft(waiter) if first else self._waiting.append(waiter)
                self._call()
                if self.has_room():  # since it was asked before, in another thread
                    self.make_room()
            await self._called_up(waiter, until, call)
            with self._lock:
                if waiter in self._called:
                    item = self._next()
                    self._called.discard(waiter)  # behind that: what is counted as free meanwhile is too little
                    self._call()
                    return item
                with suppress(ValueError):
                    self._waiting.remove(waiter)
            if call is not None and call.done():
                if self.has_room():
                    self.make_room()
                raise queues.Empty
            if self.has_room():
                raise Room
            first = True  # somebody else has used the room, or our event loop had stopped

    async def _called_up(self, waiter: _Waiter, until: float | None, call: Call | None) -> None:
        loop = waiter.get_loop()
        timer = None if until is None else loop.call_at(until, _give_up, waiter)
        gone = partial(_wake, waiter)
        if call is not None:
            call.add_done_callback(gone)
        try:
            await waiter
        except BaseException:
            with self._lock:
                self._called.discard(waiter)
                with suppress(ValueError):
                    self._waiting.remove(waiter)
                self._call()
            if self.has_room():
                self.make_room()  # in case that it was this one who was woken for it
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if call is not None:
                call.remove_done_callback(gone)

    def make_room(self, *, for_all: bool = False) -> None:
        """Wake the first one, or all, as the pool may have more connections."""
        with self._lock:
            while (waiter := self._first()) is not None:
                _wake_in_its_loop(waiter)
                if not for_all:
                    return

    def _next(self) -> Any:
        return self._idle.pop() if self.use_lifo else self._idle.popleft()

    def _first(self) -> _Waiter | None:
        """Take the first one out of the line who is still there, and whose event loop runs."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                if waiter.get_loop().is_running():
                    return waiter
                _wake_in_its_loop(waiter)  # to come back when that goes on, if ever
        return None

    def _call(self) -> None:
        """Call as many as there are connections for. The collector, in its midst, leaves that to the loop that runs."""
        while not self._calling and self._waiting and not self.empty():
            self._calling = True
            try:
                if self.empty():  # asked again, now that nobody comes between
                    continue
                waiter = self._first()
                if waiter is None:
                    return
                self._called.add(waiter)
                if not _wake_in_its_loop(waiter):
                    self._look_again()
            finally:
                self._calling = False

    def _look_again(self) -> None:
        """Have this event loop look again soon, in case that the one of who was called stops."""
        with suppress(RuntimeError):
            asyncio.get_running_loop().call_later(_LOOK_AGAIN_SECONDS, self._look)

    def _look(self) -> None:
        with self._lock:
            self._call()


def _wake(waiter: _Waiter, _: object = None) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _give_up(waiter: _Waiter) -> None:
    if not waiter.done():
        waiter.set_exception(queues.Empty())


def _wake_in_its_loop(waiter: _Waiter) -> bool:
    """Wake somebody who waits, and return whether that was in this event loop."""
    loop = waiter.get_loop()
    if loop is asyncio._get_running_loop():  # noqa: SLF001
        _wake(waiter)
        return True
    with suppress(RuntimeError):  # it was closed just now
        loop.call_soon_threadsafe(_wake, waiter)
    return False
