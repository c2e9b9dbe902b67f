"""The pool of connections of `from_url`'s engines, for which one can wait without SQLAlchemy's help."""

from contextlib import suppress
from threading import local
from typing import Any, cast

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import queue as queues
from typing_extensions import override

from sessionstore.sql.shielding import Call
from sessionstore.sql.waiting import Room, WaitingLine


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
        except Room:
            return None
        except queues.Empty:
            if call.left:
                call.raise_cancellation()
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
        record.invalidate(soft=True)
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
