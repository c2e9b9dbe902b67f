"""Engines that a host made, on databases without tables."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.sql.hosts import disposing


@pytest.fixture
async def engine(empty_database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine as a host makes it, on a database without tables."""
    async with disposing(create_async_engine(empty_database_url)) as engine:
        yield engine


@pytest.fixture
async def postgres_engine(empty_postgresql_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine as a host makes it, on a PostgreSQL database without tables."""
    async with disposing(create_async_engine(empty_postgresql_url)) as engine:
        yield engine
