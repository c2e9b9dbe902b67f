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


@contextmanager
def _paused() -> Generator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
