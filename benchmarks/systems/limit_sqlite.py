"""The limit on SQLite: `sqlite3` in WAL mode, an append as one transaction, in the same thread or in another."""

import asyncio
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from benchmarks.systems.own_tables import (
    ADD_NO_TOKENS,
    LIST,
    MESSAGE_COLUMNS,
    NO_TOKENS,
    PART_COLUMNS,
    READ_MESSAGE,
    READ_PART,
    OwnTables,
)

COUNT_UP = f"""
    UPDATE sessionstore_sessions SET last_seq = last_seq + :count, message_count = message_count + :count,
        {ADD_NO_TOKENS}, last_message_at = max(:now, coalesce(last_message_at, 0) + :count),
        updated_at = max(:now, updated_at + 1)
    WHERE id = :session AND tenant_id = '' RETURNING last_seq - :count, turn_count, last_message_at - :count"""
INSERT_MESSAGE = f"""
    INSERT INTO sessionstore_messages ({MESSAGE_COLUMNS})
    VALUES (?, ?, ?, 'assistant', ?, 0, 'complete', NULL, NULL, {NO_TOKENS}, NULL, '{{}}', ?, ?)"""
INSERT_PART = f"INSERT INTO sessionstore_parts ({PART_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

_MESSAGES = f"SELECT {READ_MESSAGE} FROM sessionstore_messages WHERE session_id = ?"
_PARTS = f"SELECT {READ_PART} FROM sessionstore_parts WHERE session_id = ?"
LOAD = f"{_MESSAGES} ORDER BY seq", f"{_PARTS} ORDER BY message_seq, position"
LAST = f"{_MESSAGES} ORDER BY seq DESC LIMIT ?"
AFTER = f"{_MESSAGES} AND seq > ? ORDER BY seq LIMIT ?"
PARTS_BETWEEN = f"{_PARTS} AND message_seq BETWEEN ? AND ? ORDER BY message_seq, position"
PAGE = f"{LIST} ?"


def counting(session: str, count: int) -> dict[str, Any]:
    """Return the parameters of `COUNT_UP`."""
    return {"session": session, "count": count, "now": time.time_ns() // 1000}


def rows_of(
    session: str, given: list[tuple[str, list[tuple[Any, ...]]]], counters: tuple[int, int, int]
) -> tuple[list[Any], list[Any]]:
    """Return the rows of messages and parts."""
    before, turn, at = counters
    messages = [(session, before + n, id_, turn, at + n, at + n) for n, (id_, _) in enumerate(given, 1)]
    parts = [(session, before + n, *row) for n, (_, rows) in enumerate(given, 1) for row in rows]
    return messages, parts


def connect(path: str) -> sqlite3.Connection:
    """Return a connection whose transactions begin and end where it is said."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


class SqliteLimit(OwnTables):
    """`sqlite3` in the event loop's own thread, which it blocks."""

    name: ClassVar[str] = "limit: sqlite3"
    families: ClassVar[tuple[str, ...]] = ("sqlite",)

    async def connect(self) -> None:
        """Open the connection."""
        self._connection = connect(self.target.location)

    async def disconnect(self) -> None:
        """Close it."""
        self._connection.close()

    async def append(self, session: str, number: int, count: int) -> None:
        """Append in one transaction."""
        self._append(session, number, count)

    def _append(self, session: str, number: int, count: int) -> None:
        connection = self._connection
        given = [self.given(session, number + n) for n in range(count)]
        connection.execute("BEGIN IMMEDIATE")
        counters = connection.execute(COUNT_UP, counting(session, count)).fetchall()[0]
        messages, parts = rows_of(session, given, counters)
        connection.executemany(INSERT_MESSAGE, messages)
        connection.executemany(INSERT_PART, parts)
        connection.execute("COMMIT")

    async def load(self, session: str) -> int:
        """Fetch the rows of all messages, then those of all parts."""
        return self._load(session)

    def _load(self, session: str) -> int:
        messages, parts = (self._connection.execute(statement, (session,)).fetchall() for statement in LOAD)
        return self.told(session, messages, parts)

    async def last(self, session: str, limit: int) -> int:
        """Fetch the latest rows, then their parts."""
        return self._last(session, limit)

    def _last(self, session: str, limit: int) -> int:
        messages = self._connection.execute(LAST, (session, limit)).fetchall()
        return self._with_parts(session, messages[::-1])

    async def after(self, session: str, number: int, limit: int) -> int:
        """Fetch the rows behind a `seq`, then their parts."""
        return self._after(session, number, limit)

    def _after(self, session: str, number: int, limit: int) -> int:
        messages = self._connection.execute(AFTER, (session, number, limit)).fetchall()
        return self._with_parts(session, messages)

    def _with_parts(self, session: str, messages: list[Any]) -> int:
        bounds = messages[0][0], messages[-1][0]
        return self.told(session, messages, self._connection.execute(PARTS_BETWEEN, (session, *bounds)).fetchall())

    async def page(self, limit: int) -> int:
        """Fetch the rows of sessions."""
        return self._page(limit)

    def _page(self, limit: int) -> int:
        return self.listed(self._connection.execute(PAGE, (limit,)).fetchall())


class SqliteThread(SqliteLimit):
    """The same in another thread, with one hop an operation: the least that doesn't block the event loop."""

    name: ClassVar[str] = "sqlite3, one thread hop"

    async def connect(self) -> None:
        """Start the thread, and open the connection."""
        self._thread = ThreadPoolExecutor(1)
        await super().connect()

    async def disconnect(self) -> None:
        """Close the connection, and end the thread."""
        await super().disconnect()
        self._thread.shutdown()

    def _in_thread(self, call: Any, *arguments: Any) -> "asyncio.Future[Any]":
        return asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    async def append(self, session: str, number: int, count: int) -> None:
        """Append in one hop."""
        await self._in_thread(self._append, session, number, count)

    async def load(self, session: str) -> int:
        """Load in one hop."""
        return await self._in_thread(self._load, session)

    async def last(self, session: str, limit: int) -> int:
        """Read in one hop."""
        return await self._in_thread(self._last, session, limit)

    async def after(self, session: str, number: int, limit: int) -> int:
        """Read in one hop."""
        return await self._in_thread(self._after, session, number, limit)

    async def page(self, limit: int) -> int:
        """Read in one hop."""
        return await self._in_thread(self._page, limit)
