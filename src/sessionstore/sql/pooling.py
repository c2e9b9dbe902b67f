"""The pool of connections of `from_url`'s engines: whoever came first gets the next one that is given back.

SQLAlchemy's own does so too, most of the time: whoever asks between a connection's return and its waiter's turn takes
it, and the waiter goes to the end of the line. And it waits in a greenlet and, before Python 3.12, in another task,
which costs more than the append that waits.
"""

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
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


class WaitingLine(queues.QueueCommon[Any]):
    """The idle connections of a pool, and those who wait for one, of any thread and event loop.

    Nothing is idle while somebody waits.
    """

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:
        self.maxsize = maxsize
        self.use_lifo = use_lifo
        self._idle: deque[Any] = deque()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        # The collector gives back what was dropped, in any thread, and in the midst of the methods here.
        self._lock = RLock()
        self._serving = False

    @override
    def empty(self) -> bool:
        return not self._idle

    @override
    def full(self) -> bool:
        return 0 < self.maxsize <= len(self._idle)

    @override
    def qsize(self) -> int:
        return len(self._idle)

    @override
    def put_nowait(self, item: Any) -> None:
        with self._lock:
            self._drop_those_gone()
            if self.full() and not self._waiting:
                raise queues.Full
            self.put_back(item)

    @override
    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self.put_nowait(item)  # pools never wait for room

    def put_back(self, item: Any) -> None:
        """Put back what was taken from here, also if there is no room any more."""
        with self._lock:
            self._idle.append(item)
            self._serve()

    @override
    def get_nowait(self) -> Any:
        with self._lock:
            if not self._idle:
                raise queues.Empty
            return self._idle.pop() if self.use_lifo else self._idle.popleft()

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
            return self._idle[-1 if self.use_lifo else 0] if self._idle else None

    async def wait(self, seconds: float | None, call: Call | None = None) -> Any:
        """Return the next connection that is given back, in turn. Raises `queue.Empty` when the time is up.

        So it does when the call is done, whose caller has gone then.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Any] = loop.create_future()
        with self._lock:
            self._waiting.append(waiter)
            self._serve()
        timer = None if seconds is None else loop.call_later(seconds, _give_up, waiter)
        give_up = partial(_give_up, waiter)
        if call is not None:
            call.add_done_callback(give_up)
        try:
            return await waiter
        except BaseException:
            self._leave(waiter)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if call is not None:
                call.remove_done_callback(give_up)

    def _leave(self, waiter: asyncio.Future[Any]) -> None:
        with self._lock, suppress(ValueError):
            self._waiting.remove(waiter)
        if not waiter.done():
            with suppress(RuntimeError):  # its event loop is closed
                waiter.cancel()
        elif not waiter.cancelled() and waiter.exception() is None:  # it came, and our turn didn't
            self.put_back(waiter.result())

    def _drop_those_gone(self) -> None:
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()

    def _serve(self) -> None:
        """Hand out what is idle. Called in its own midst it leaves that to the loop that runs."""
        while not self._serving and self._idle:
            self._drop_those_gone()
            if not self._waiting:
                return
            with self._as_the_only_one():
                self._hand(self._waiting.popleft(), self._idle.popleft())

    @contextmanager
    def _as_the_only_one(self) -> Generator[None]:
        self._serving = True
        try:
            yield
        finally:
            self._serving = False

    def _hand(self, waiter: asyncio.Future[Any], item: Any) -> None:
        loop = waiter.get_loop()
        if loop is asyncio._get_running_loop():  # noqa: SLF001
            waiter.set_result(item)
            return
        try:
            loop.call_soon_threadsafe(self._deliver, waiter, item)
        except RuntimeError:  # it is closed, and nobody waits there any more
            self._idle.appendleft(item)

    def _deliver(self, waiter: asyncio.Future[Any], item: Any) -> None:
        if waiter.done():
            self.put_back(item)
        else:
            waiter.set_result(item)


def _give_up(waiter: asyncio.Future[Any], _: object = None) -> None:
    if not waiter.done():
        waiter.set_exception(queues.Empty())


class ConnectionPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool with a `WaitingLine`, in which one can also stand without a greenlet."""

    _queue_class = WaitingLine

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._line = cast("WaitingLine", self._pool)
        self._chosen = local()

    @property
    def at_hand(self) -> bool:
        """Whether a connection is idle that doesn't have to be made anew."""
        record = self._line.peek()
        return record is not None and self._is_usable(record)

    @property
    def exhausted(self) -> bool:
        """Whether nothing is idle and there may be no more connections."""
        return self._line.empty() and -1 < self._max_overflow <= self.overflow()

    def take(self) -> PoolProxiedConnection | None:
        """Check out an idle connection; `None` if there is none, or it has to be made anew."""
        try:
            record = self._line.get_nowait()
        except queues.Empty:
            return None
        return self._checked_out(record)

    async def next(self, call: Call) -> PoolProxiedConnection | None:
        """Check out the next connection that is given back; `None` if it has to be made anew.

        Raises SQLAlchemy's `TimeoutError`; and the caller's cancellation, when the call isn't waited for any more.
        """
        try:
            return self._checked_out(await self._line.wait(self.timeout(), call))
        except queues.Empty:
            if call.left:
                call.raise_cancellation()
        message = f"QueuePool limit of size {self.size()} overflow {self.overflow()} reached, connection timed out"
        raise PoolTimeoutError(f"{message}, timeout {self.timeout():0.2f}", code="3o7r")

    def _checked_out(self, record: Any) -> PoolProxiedConnection | None:
        if not self._is_usable(record):
            self._line.put_back(record)
            return None
        self._chosen.record = record
        return self.connect()

    def _is_usable(self, record: Any) -> bool:
        """Whether SQLAlchemy would give out the record's connection, and not make it anew: see `get_connection`."""
        lost = max(self._invalidate_time, record._soft_invalidate_time)  # noqa: SLF001
        return record.dbapi_connection is not None and lost <= record.starttime

    @override
    def _do_get(self) -> Any:
        chosen = self._chosen.__dict__.pop("record", None)
        return super()._do_get() if chosen is None else chosen
