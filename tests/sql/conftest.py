"""Engines that a host made, on databases with our tables."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore import SQLSessionStore

from .hosts import disposing


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine as a host makes it, on an upgraded database without rows."""
    async with disposing(create_async_engine(database_url)) as engine:
        yield engine


@pytest.fixture
def hosted(engine: AsyncEngine) -> SQLSessionStore:
    """A store on the host's engine."""
    return SQLSessionStore(engine)
