"""Which event loop an engine's connections belong to, where they belong to one; and who makes the first of them."""

import asyncio
import threading
from weakref import WeakKeyDictionary, WeakSet, ref

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool, Pool

from sessionstore.errors import SessionStoreError
from sessionstore.sql.connections import connected
from sessionstore.sql.dialect import binds_to_loop
from sessionstore.sql.failures import OTHER_LOOP

_loops: WeakKeyDictionary[Pool, ref[asyncio.AbstractEventLoop]] = WeakKeyDictionary()
_begun: WeakSet[Pool] = WeakSet()
_beginning: WeakKeyDictionary[Pool, threading.Lock] = WeakKeyDictionary()
_PAUSE = 0.005


def entered(engine: AsyncEngine) -> bool:
    """Return whether the engine can be used in this event loop as it is; see `enter_loop`."""
    pool = engine.sync_engine.pool
    if not binds_to_loop(engine.dialect) or isinstance(pool, NullPool):
        return pool in _begun
    loop = asyncio.get_running_loop()
    if _loops.setdefault(pool, ref(loop))() is not loop:
        raise SessionStoreError(OTHER_LOOP)
    return True


async def enter_loop(engine: AsyncEngine) -> None:
    """See that the engine can be used in this event loop. This must come before a connection is touched.

    Raises `SessionStoreError` when connections belong to a loop, and the engine's pool was first used in another one:
    in two threads at once that can crash the process. Disposing of an engine gives it a new pool, and with that a new
    start. Where they belong to none, one loop at a time makes the first connection: SQLAlchemy waits for that with a
    lock of one loop's, and a second loop would wait for ever.
    """
    if not entered(engine):
        await _begin(engine, engine.sync_engine.pool)


async def _begin(engine: AsyncEngine, pool: Pool) -> None:
    lock = _beginning.setdefault(pool, threading.Lock())
    while not lock.acquire(blocking=False):  # noqa: ASYNC110 - whoever has it may be in another loop
        await asyncio.sleep(_PAUSE)
    try:
        if pool not in _begun:
            async with connected(engine):
                _begun.add(pool)
    finally:
        lock.release()
