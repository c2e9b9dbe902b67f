"""Raw aiosqlite, by its public calls: a thread hop each."""

import asyncio
from typing import Any, ClassVar

import aiosqlite

from benchmarks.systems.limit_sqlite import (
    AFTER,
    COUNT_UP,
    INSERT_MESSAGE,
    INSERT_PART,
    LAST,
    LOAD,
    PAGE,
    PARTS_BETWEEN,
    counting,
    rows_of,
)
from benchmarks.systems.own_tables import OwnTables


class AiosqliteLimit(OwnTables):
    """One connection of aiosqlite; tasks take turns."""

    name: ClassVar[str] = "aiosqlite, a hop a statement"
    families: ClassVar[tuple[str, ...]] = ("sqlite",)
    distributions: ClassVar[tuple[str, ...]] = ("aiosqlite",)

    async def connect(self) -> None:
        """Open the connection."""
        self._turn = asyncio.Lock()
        self._connection = await aiosqlite.connect(self.target.location, isolation_level=None, timeout=30)
        await self._connection.execute("PRAGMA foreign_keys = ON")
        await self._connection.execute("PRAGMA journal_mode = WAL")

    async def disconnect(self) -> None:
        """Close it."""
        await self._connection.close()

    async def append(self, session: str, number: int, count: int) -> None:
        """Append in one transaction of five calls."""
        connection = self._connection
        given = [self.given(session, number + n) for n in range(count)]
        async with self._turn:
            await connection.execute("BEGIN IMMEDIATE")
            counters: Any = next(iter(await connection.execute_fetchall(COUNT_UP, counting(session, count))))
            messages, parts = rows_of(session, given, counters)
            await connection.executemany(INSERT_MESSAGE, messages)
            await connection.executemany(INSERT_PART, parts)
            await connection.execute("COMMIT")

    async def _fetch(self, statement: str, *parameters: Any) -> list[Any]:
        return list(await self._connection.execute_fetchall(statement, parameters))

    async def load(self, session: str) -> int:
        """Fetch the rows of all messages, then those of all parts."""
        messages = await self._fetch(LOAD[0], session)
        await self._fetch(LOAD[1], session)
        return len(messages)

    async def last(self, session: str, limit: int) -> int:
        """Fetch the latest rows, then their parts."""
        messages = await self._fetch(LAST, session, limit)
        await self._fetch(PARTS_BETWEEN, session, messages[-1][0], messages[0][0])
        return len(messages)

    async def after(self, session: str, number: int, limit: int) -> int:
        """Fetch the rows behind a `seq`, then their parts."""
        messages = await self._fetch(AFTER, session, number, limit)
        await self._fetch(PARTS_BETWEEN, session, messages[0][0], messages[-1][0])
        return len(messages)

    async def page(self, limit: int) -> int:
        """Fetch the rows of sessions."""
        return len(await self._fetch(PAGE, limit))
