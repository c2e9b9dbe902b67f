"""Counting a call's round trips, or its hops to SQLite's thread."""

from collections.abc import Awaitable
from typing import Any

from sessionstore import SQLSessionStore
from tests.reliability.drivers import Original, RoundTrips, Wire


async def counted(trips: RoundTrips, call: Awaitable[Any]) -> int:
    """Return how many round trips a call makes."""
    count = 0

    async def one_more(_wire: Wire, original: Original) -> Any:
        nonlocal count
        count += 1
        return await original()

    trips.arm(one_more, 1, lasting=True)
    await call
    trips.disarm()
    return count


async def given_back(trips: RoundTrips, store: SQLSessionStore) -> int:
    """Return what giving a connection back costs: older SQLAlchemy rolls back in a hop of its own then."""

    async def connected() -> None:
        async with store.engine.connect():
            pass

    await connected()
    return await counted(trips, connected())
