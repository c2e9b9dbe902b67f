"""Async calls for callers who can't await: in an event loop of their own, on a thread of its own."""

import asyncio
from collections.abc import Coroutine
from threading import Lock, Thread, current_thread
from typing import Any, TypeVar

from sessionstore.errors import SessionStoreError

_T = TypeVar("_T")

_lock = Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: Thread | None = None


def wait_for(work: Coroutine[Any, Any, _T]) -> _T:
    """Do the work in the one loop that all callers of this process share, and return its result.

    One loop, so that an engine whose connections belong to a loop works from any thread. The caller's own loop, if it
    has one, stands still meanwhile. Raises `SessionStoreError` in that loop itself, which would wait for itself.
    """
    if current_thread() is _thread:
        work.close()
        raise SessionStoreError("this is the event loop of the calls that wait: use the async methods here")
    return asyncio.run_coroutine_threadsafe(work, _running_loop()).result()


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop, _thread
    with _lock:
        if _loop is None or _thread is None or not _thread.is_alive():  # a forked process has no threads
            _loop = asyncio.new_event_loop()
            _thread = Thread(target=_loop.run_forever, name="sessionstore", daemon=True)
            _thread.start()
        return _loop
