"""A role that row-level security holds for, and the policies."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore import rls
from tests.databases import TABLES

from .hosts import disposing

ROLE = "sessionstore_test_app"


@asynccontextmanager
async def guarded(url: str) -> AsyncIterator[AsyncEngine]:
    """Put policies on the tables, and let `ROLE` work with them; yield the owner's engine."""
    async with disposing(create_async_engine(url)) as engine:
        await rls.install(engine)
        await rls.install(engine)  # once more is no error
        async with engine.begin() as connection:
            await connection.execute(
                text(f"DO $$ BEGIN CREATE ROLE {ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
            )
            await connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(TABLES)} TO {ROLE}"))
        yield engine
        await rls.remove(engine)
