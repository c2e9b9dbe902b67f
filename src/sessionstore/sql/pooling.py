"""The pool of connections of `from_url`'s engines: whoever came first gets the next one that is given back.

SQLAlchemy's own does so too, most of the time: whoever asks between a connection's return and its waiter's turn takes
it, and the waiter goes to the end of the line. And it waits in a greenlet and, before Python 3.12, in another task,
which costs more than the append that waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import RLock, local
from typing import Any, cast

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only
from sqlalchemy.util import queue as queues
from typing_extensions import override

from sessionstore.sql.shielding import Call

_Waiter = asyncio.Future[None]


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

        Raises `queue.Empty` when the time is up, when the pool may have one more connection, and when the call is done,
        whose caller has gone then.
        """
        loop = asyncio.get_running_loop()
        until = None if seconds is None else loop.time() + seconds
        first = False
        while True:
            waiter: _Waiter = loop.create_future()
            with self._lock:
                self._waiting.appendleft(waiter) if first else self._waiting.append(waiter)
                self._call()
            await self._called_up(waiter, until, call)
            with self._lock:
                if waiter in self._called:
                    item = self._next()
                    self._called.discard(waiter)  # behind that: what is counted as free meanwhile is too little
                    self._call()
                    return item
                with suppress(ValueError):
                    self._waiting.remove(waiter)
            if (call is not None and call.done()) or self.has_room():
                raise queues.Empty
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
        """Take the first one out of the line who is still there, of those whose event loop runs."""
        passed: list[_Waiter] = []
        found: _Waiter | None = None
        while self._waiting and found is None:
            waiter = self._waiting.popleft()
            if waiter.get_loop().is_running():
                found = None if waiter.done() else waiter
            elif not waiter.get_loop().is_closed():
                passed.append(waiter)
        self._waiting.extendleft(reversed(passed))
        return found

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
                _wake_in_its_loop(waiter)
            finally:
                self._calling = False


def _wake(waiter: _Waiter, _: object = None) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _give_up(waiter: _Waiter) -> None:
    if not waiter.done():
        waiter.set_exception(queues.Empty())


def _wake_in_its_loop(waiter: _Waiter) -> None:
    loop = waiter.get_loop()
    if loop is asyncio._get_running_loop():  # noqa: SLF001
        _wake(waiter)
    else:
        with suppress(RuntimeError):  # it was closed just now
            loop.call_soon_threadsafe(_wake, waiter)


class ConnectionPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool with a `WaitingLine`, in which one can also stand without a greenlet.

    Records are SQLAlchemy's `ConnectionPoolEntry`s: places in the pool, with a connection or without.
    """

    _queue_class = WaitingLine

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._line = cast("WaitingLine", self._pool)
        self._line.has_room = self._has_room
        self._chosen = local()

    @property
    def exhausted(self) -> bool:
        """Whether nothing is idle and there may be no more connections."""
        return self._line.empty() and not self._has_room()

    def peek(self) -> Any:
        """Return the record that would be given out now, or `None`."""
        return self._line.peek()

    def take(self) -> Any:
        """Take the record of an idle connection, for `check_out` or `put_back`; `None` if there is none."""
        with suppress(queues.Empty):
            return self._line.get_nowait()
        return None

    async def wait(self, call: Call) -> Any:
        """Take the record of the next connection that is given back; `None` if there may be more of them.

        Raises SQLAlchemy's `TimeoutError`; and the caller's cancellation, when the call isn't waited for any more.
        """
        try:
            return await self._line.wait(self.timeout(), call)
        except queues.Empty:
            if call.left:
                call.raise_cancellation()
        if self._has_room():
            return None
        message = f"QueuePool limit of size {self.size()} overflow {self.overflow()} reached, connection timed out"
        raise PoolTimeoutError(f"{message}, timeout {self.timeout():0.2f}", code="3o7r")

    def is_usable(self, record: Any) -> bool:
        """Whether SQLAlchemy would give out the record's connection, and not make it anew: see `get_connection`."""
        lost = max(self._invalidate_time, record._soft_invalidate_time)  # noqa: SLF001
        return record.dbapi_connection is not None and lost <= record.starttime

    def check_out(self, record: Any) -> PoolProxiedConnection:
        """Check out a record that was taken. Whoever isn't in a greenlet may do that with one that is usable."""
        self._chosen.record = record
        return self.connect()

    def make_anew(self, record: Any) -> PoolProxiedConnection:
        """Check out a record that was taken with another connection than it had."""
        if record.dbapi_connection is not None:
            record.invalidate()
        return self.check_out(record)

    def put_back(self, record: Any) -> None:
        """Put back a record that was taken."""
        self._line.put_back(record)

    @override
    def dispose(self) -> None:
        super().dispose()
        self._line.make_room(for_all=True)

    def _has_room(self) -> bool:
        return not -1 < self._max_overflow <= self._overflow

    @override
    def _do_get(self) -> Any:
        chosen = self._chosen.__dict__.pop("record", None)
        return super()._do_get() if chosen is None else chosen

    @override
    def _dec_overflow(self) -> Any:
        done = super()._dec_overflow()
        self._line.make_room()
        return done
