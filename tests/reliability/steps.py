"""Tasks whose steps are counted, so that a caller can be cancelled at each of them."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any


class Steps:
    """Counts the suspensions of all tasks that are made while it watches, and does something at one of them.

    `answered` says when: before the suspended task is told that what it waits for has come, or as it begins to wait.
    """

    def __init__(self, at: int, action: Callable[[], object], *, answered: bool) -> None:
        self._at, self._action, self._answered = at, action, answered
        self._count = 0

    @property
    def happened(self) -> bool:
        """Whether there were so many suspensions."""
        return self._count >= self._at

    def suspended(self, waiting_for: Any) -> None:
        """Count a suspension."""
        self._count += 1
        if self._count != self._at:
            return
        if self._answered and waiting_for is not None:
            waiting_for.add_done_callback(lambda _: self._action())
        else:
            asyncio.get_running_loop().call_soon(self._action)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count the steps of tasks that are made meanwhile."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(
            lambda loop, coroutine, **options: asyncio.Task(_Counted(coroutine, self), loop=loop, **options)
        )
        try:
            yield
        finally:
            loop.set_task_factory(None)


class _Counted(Coroutine[Any, Any, Any]):
    """A coroutine that tells of its suspensions."""

    def __init__(self, coroutine: Any, steps: Steps) -> None:
        self._coroutine, self._steps = coroutine, steps

    def _told(self, waiting_for: Any) -> Any:
        self._steps.suspended(waiting_for)
        return waiting_for

    def send(self, value: Any) -> Any:
        return self._told(self._coroutine.send(value))

    def throw(self, *error: Any) -> Any:
        return self._told(self._coroutine.throw(*error))

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        raise TypeError("this is for a task, which sends; it isn't awaited")
