"""Python's garbage collector, and what makes a great many objects."""

import gc
from collections.abc import Generator
from contextlib import contextmanager

MANY = 2000
"""From how many on it pays."""


@contextmanager
def collector_paused(count: int) -> Generator[None]:
    """Keep the collector of cycles from running while so many objects are made, none of them garbage.

    It would look through all of them again and again: that took more than half of the time of reading a long session.
    It is one switch for the whole process: other threads go without it for as long.
    """
    if count < MANY or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
