"""A draft's upkeep: when what has come is stored, and how its writer shows that it lives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sessionstore.errors import MessageConflict, MessageNotFound, SessionNotFound, SessionStoreError

logger = logging.getLogger("sessionstore")

FLUSH_SECONDS = 0.25
"""How long after a delta the first flush comes: readers elsewhere are no further behind."""

FLUSH_GROWTH = 1.03
LONGEST_FLUSH_SECONDS = 5.0
"""Each pause is so much longer than the one before, up to this: 87 flushes in the first 100 seconds of a
stream, and 12 a minute later on, however many deltas there are."""

HEARTBEAT_SECONDS = 15.0
"""How long a draft without deltas goes without a sign of life. `recover` takes it for dead after 60 seconds."""

LOST = (SessionNotFound, MessageNotFound, MessageConflict)
"""What a write raises when the draft isn't there any more, or is somebody else's: trying again is no use."""


class Upkeep:
    """A task that calls `write` when there is news, not too often, and when there was none for long.

    A write that fails is logged and tried again; one that finds the draft lost is the last.
    """

    def __init__(self, write: Callable[[], Awaitable[None]]) -> None:
        self._write = write
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; `stop` ends it."""
        self._task = asyncio.create_task(self._attend(), name="sessionstore draft")

    def tell(self) -> None:
        """Say that there is something to write."""
        self._news.set()

    async def stop(self) -> None:
        """End it; a write under way is waited for."""
        self._ended.set()
        self._news.set()
        if self._task is not None:
            await asyncio.wait({self._task})  # it may have been cancelled, with all tasks of a loop that is closing

    async def _attend(self) -> None:
        interval = FLUSH_SECONDS
        while True:
            if await _comes(self._news, HEARTBEAT_SECONDS):
                await _comes(self._ended, interval)
                interval = min(interval * FLUSH_GROWTH, LONGEST_FLUSH_SECONDS)
            if self._ended.is_set():
                return
            self._news.clear()
            try:
                await self._write()
            except LOST:
                return  # the next call of the draft raises it
            except SessionStoreError as error:
                logger.warning("a draft couldn't be flushed, and will be again: %s", error)
                self._news.set()
            except Exception:  # whatever it is, the stream goes on
                logger.exception("a draft couldn't be flushed, and will be again")
                self._news.set()


async def _comes(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but no longer than so many seconds; tell whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
