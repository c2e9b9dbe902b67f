"""Writes that come while another one runs, on a database that has one writer at a time: they share a transaction.

Waiting for each other's commits in the database costs more than all that they do: it looks again after a pause, and
each commit is written to its log.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sessionstore.events import Announcement
from sessionstore.sql.drivers import Driver, done_at_once
from sessionstore.sql.shielding import Call, by_itself, unknown_to_the_loop

T = TypeVar("T")

Written = tuple[T, list[Announcement]]
"""What a write returns, and the events to publish once it is committed."""

Write = Callable[[Driver], Coroutine[Any, Any, Written[T]]]
"""A write within a transaction, which neither begins nor commits it."""


@dataclass(slots=True)
class _Waiting:
    write: Write[Any]
    call: Call = field(default_factory=Call)
    context: Context = field(default_factory=copy_context)
    written: Written[Any] | None = None
    error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        if self.written is None and self.error is None:
            self.error = error


class Batch:
    """Writes that are to share a transaction."""

    def __init__(self, waiting: list[_Waiting]) -> None:
        self._waiting = waiting

    def begin(self, driver: Driver) -> Coroutine[Any, Any, None]:
        """Say that they begin, those whose callers are still there, and return the work on a connection.

        All are done in one transaction, or, when one of them fails, each in its own. Raises `CancelledError` when no
        caller is left.
        """
        self._waiting = [one for one in self._waiting if not one.call.left]
        for one in self._waiting:
            one.call.begin()
        if not self._waiting:
            raise asyncio.CancelledError
        return self._write(driver)

    async def _write(self, driver: Driver) -> None:
        if not await _written(self._waiting, driver) and len(self._waiting) > 1:
            for one in self._waiting:
                await _written([one], driver)

    def end(self, error: BaseException | None = None) -> None:
        """Let the callers go on; those that have neither a result nor an error of their own raise this one."""
        for one in self._waiting:
            if error is not None:
                one.fail(error)
            one.call.wake()


Run = Callable[[Batch], Awaitable[None]]
"""Takes a connection, begins a batch, and has it written there."""


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

        What is raised says nothing about the others' writes. The call is told how far it has come. A caller who is
        cancelled waits as `Call` says.
        """
        one = _Waiting(write)
        self._waiting.append(one)
        if not self.busy:
            self._go_on(run)
        try:
            await one.call
        except asyncio.CancelledError as cancellation:  # it came after the call had been woken
            call.cancel(*cancellation.args)
        one.call.pass_on_to(call)
        if one.error is not None:
            raise one.error
        if one.written is None:  # nor has it begun: the caller has gone
            call.raise_cancellation()
            raise asyncio.CancelledError
        return one.written

    def _go_on(self, run: Run) -> None:
        loop = self._waiting[0].call.get_loop()
        if not loop.is_closed():
            self.busy = True
            unknown_to_the_loop(by_itself(self._run(run), loop))

    async def _run(self, run: Run) -> None:
        try:
            while self._waiting:
                batch, self._waiting = Batch(self._waiting), []
                try:
                    await run(batch)
                except BaseException as error:  # noqa: BLE001 - it is theirs
                    batch.end(error)
                else:
                    batch.end()
                await asyncio.sleep(0)  # whoever is back may write again
        finally:
            self.busy = False


async def _written(waiting: Sequence[_Waiting], driver: Driver) -> bool:
    """Do writes in one transaction; or undo all, and return `False`. What is raised is about the transaction."""
    await driver.begin()
    written: list[Written[Any]] = []
    for one in waiting:
        try:
            written.append(one.context.run(done_at_once, one.write(driver)))
        except BaseException as error:  # noqa: BLE001 - the caller's
            await driver.rollback()
            if len(waiting) == 1:
                one.fail(error)
            return False
    for one, (_, events) in zip(waiting, written, strict=True):
        one.call.commit(events)
    await driver.commit()
    for one, result in zip(waiting, written, strict=True):
        one.written = result
    return True
