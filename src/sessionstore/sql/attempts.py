"""Trying again, where that helps and is safe."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from sessionstore.errors import SessionStoreError, StoreUnavailable
from sessionstore.sql.failures import failure_of
from sessionstore.sql.shielding import Call, Keeping
from sessionstore.sql.transaction import Earlier
from sessionstore.sql.write_queue import Undone

RETRY_SECONDS = 15.0
"""How long lost connections, deadlocks and serialization failures are retried."""

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0
_LONGEST_PAUSE_IN_A_CROWD = 0.05  # whoever waited longer would lose against newcomers, time and again

T = TypeVar("T")


class Attempts(Generic[T]):
    """The attempts at an operation. Each is told of an earlier one that may have been committed."""

    def __init__(
        self,
        attempt: Callable[[Earlier | None, Keeping], Awaitable[T]],
        call: Call,
        place: str,
        *,
        repeatable: bool,
    ) -> None:
        self._attempt = attempt
        self._call = call
        self._place = place
        self._repeatable = repeatable
        self._failed: Exception | None = None
        self.result: T

    async def first(self, attempt: Awaitable[T]) -> bool:
        """Make the first attempt in the caller's task, and return whether that was all: `result` came of it then."""
        try:
            self.result = await attempt
        except Undone:
            return False
        except SessionStoreError:
            self._call.raise_cancellation()
            raise
        except Exception as error:  # noqa: BLE001 - raised again, as the first of the rest's
            self._failed = error
            return False
        return True

    async def rest(self, keeping: Keeping = Keeping.BY_TASK) -> T:
        """Try until it works, until trying again wouldn't help or be safe, or until the time is up."""
        loop = asyncio.get_running_loop()
        deadline = 0.0
        pause = _FIRST_PAUSE
        earlier: Earlier | None = None
        while True:
            try:
                return await self._next(earlier, keeping)
            except SessionStoreError:
                raise
            except Exception as error:
                failure = failure_of(error, self._place)
                if failure is None:
                    raise
                if self._call.committing and failure.outcome_unknown:
                    earlier = Earlier(self._call.events)
                deadline = deadline or loop.time() + RETRY_SECONDS
                may_repeat = failure.retryable and (self._repeatable or earlier is None)
                if not may_repeat or loop.time() + pause > deadline:
                    raise (failure.error if earlier is None else _unknown()) from error
            if earlier is None:
                self._call.pause()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries, guards nothing
            pause = min(2 * pause, _LONGEST_PAUSE if failure.outcome_unknown else _LONGEST_PAUSE_IN_A_CROWD)

    async def _next(self, earlier: Earlier | None, keeping: Keeping) -> T:
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed
        return await self._attempt(earlier, keeping)


def _unknown() -> StoreUnavailable:
    message = "an error came while committing: the change may or may not have been made"
    return StoreUnavailable(message, maybe_applied=True)
