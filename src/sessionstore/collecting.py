"""Python's garbage collector, and what makes a great many objects."""

import gc
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext

MANY = 2000
"""From how many on it pays."""


_UNPAUSED = nullcontext()


def collector_paused(count: int) -> AbstractContextManager[None]:
    """Keep the collector of cycles from running while so many objects are made, none of them garbage.

    It would look through all of them again and again: that took more than half of the time of reading a long session.
    It is one switch for the whole process: other threads go without it for as long.
    """
    return _paused() if count >= MANY and gc.isenabled() else _UNPAUSED


class Pause:
    """A pause of the collector as `collector_paused` makes it, from some place on."""

    def __init__(self) -> None:
        self._paused = False

    def begin(self, count: int) -> None:
        """Begin it if there are so many objects that it pays."""
        if count >= MANY and gc.isenabled():
            self._paused = True
            gc.disable()

    def end(self) -> None:
        """End it, if it has begun."""
        if self._paused:
            self._paused = False
            gc.enable()


@contextmanager
def _paused() -> Generator[None]:
    pause = Pause()
    pause.begin(MANY)
    try:
        yield
    finally:
        pause.end()
