"""Writes that come while another one runs, on a database that has one writer at a time: they share a transaction.

Waiting for each other's commits in the database costs more than all that they do: it looks again after a pause, and
each commit is written to its log.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sessionstore.events import Announcement
from sessionstore.sql.drivers import Driver, done_at_once
from sessionstore.sql.shielding import Call, Kept, by_itself, unknown_to_the_loop

T = TypeVar("T")

Written = tuple[T, list[Announcement]]
"""What a write returns, and the events to publish once it is committed."""

Write = Callable[[Driver], Coroutine[Any, Any, Written[T]]]
"""A write within a transaction, which neither begins nor commits it."""


class Undone(Exception):
    """What an attempt raises of which nothing is left, and which is to be made again by itself."""


@dataclass(slots=True)
class _Waiting:
    write: Write[Any]
    call: Call
    ended: asyncio.Future[None]
    context: Context = field(default_factory=copy_context)
    written: Written[Any] | None = None
    error: BaseException | None = None

    def end(self, _: object = None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class Batch:
    """Writes that are to share a transaction."""

    def __init__(self, waiting: list[_Waiting]) -> None:
        self._waiting = waiting

    def call(self) -> Call:
        """Return the call of them all, whose caller has gone when all of theirs have."""
        call = Call()

        def leave(_: object = None) -> None:
            if all(one.call.left for one in self._waiting):
                call.leave()

        for one in self._waiting:
            one.call.add_done_callback(leave)
        leave()
        return call

    def begin(self, driver: Driver) -> Coroutine[Any, Any, bool]:
        """Say that they begin, those whose callers are still there, and return the work on a connection.

        It returns whether all is done, or nothing, because one of several failed. Raises `CancelledError` when no
        caller is left.
        """
        self._waiting = [one for one in self._waiting if not one.call.left]
        for one in self._waiting:
            one.call.begin()
        if not self._waiting:
            raise asyncio.CancelledError
        return _written(self._waiting, driver)

    def undo(self) -> None:
        """Let each caller try by itself: an error may come of what another one wrote, and belongs to nobody yet."""
        for one in self._waiting:
            one.error = Undone()
            with suppress(asyncio.CancelledError):  # who has gone says so when it begins again
                one.call.pause()

    def end(self, error: BaseException | None = None) -> None:
        """Let the callers go on; without a result of their own they raise this error."""
        for one in self._waiting:
            if one.written is None and one.error is None:
                one.error = error
            one.end()


Run = Callable[[Batch], Awaitable[bool]]
"""Takes a connection, and has a batch begin and written there; returns whether it is done."""


class WriteQueue:
    """The writes of one event loop on one engine."""

    def __init__(self) -> None:
        self.busy = False
        """Whether a write runs, so that the next one had better wait here."""

        self._waiting: list[_Waiting] = []

    async def lead(self, writing: Awaitable[T], run: Run) -> T:
        """Wait for a write that nobody is ahead of; those that come meanwhile are done when it has ended."""
        self.busy = True
        try:
            return await writing
        finally:
            self.busy = False
            if self._waiting:
                self._go_on(run)

    async def join(self, write: Write[T], call: Call, run: Run) -> Written[T]:
        """Wait until others are done, and write in one transaction with all that wait.

        Raises `Undone` when one of them failed, and nothing was done; else what is raised says nothing about others'
        writes. A caller who is cancelled waits as `Call` says.
        """
        one = _Waiting(write, call, call.get_loop().create_future())
        self._waiting.append(one)
        if not self.busy:
            self._go_on(run)
        call.add_done_callback(one.end)  # as it is when its caller has gone
        await Kept(_until(one.ended), call, interruptible=False)
        if one.error is not None:
            raise one.error
        if one.written is None:
            call.raise_cancellation()
            raise asyncio.CancelledError
        return one.written

    def _go_on(self, run: Run) -> None:
        loop = self._waiting[0].call.get_loop()
        if loop.is_closed():
            return
        self.busy = True
        try:
            unknown_to_the_loop(by_itself(self._run(run), loop, Context()))
        except BaseException:
            self.busy = False
            raise

    async def _run(self, run: Run) -> None:
        try:
            while self._waiting:
                batch, self._waiting = Batch(self._waiting), []
                try:
                    if not await run(batch):
                        batch.undo()
                except BaseException as error:  # noqa: BLE001 - it is theirs
                    batch.end(error)
                else:
                    batch.end()
                await asyncio.sleep(0)  # whoever is back may write again
        finally:
            self.busy = False


async def _until(ended: asyncio.Future[None]) -> None:
    await ended


async def _written(waiting: Sequence[_Waiting], driver: Driver) -> bool:
    """Do writes in one transaction; or undo all, and return `False`. What is raised is about the transaction."""
    await driver.begin()
    written: list[Written[Any]] = []
    for one in waiting:
        try:
            written.append(one.context.run(done_at_once, one.write(driver)))
        except BaseException as error:  # noqa: BLE001 - the caller's
            await driver.rollback()
            if len(waiting) > 1:
                return False
            one.error = error
            return True
    for one, (_, events) in zip(waiting, written, strict=True):
        one.call.commit(events)
    await driver.commit()
    for one, result in zip(waiting, written, strict=True):
        one.written = result
    return True
