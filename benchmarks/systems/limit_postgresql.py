"""The limit on Postgres: asyncpg, prepared statements, and an append as one statement in one round trip."""

from typing import Any, ClassVar

import asyncpg

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
from benchmarks.target import POOL_SIZE

_COUNT_UP = f"""
    UPDATE sessionstore_sessions SET last_seq = last_seq + $2, message_count = message_count + $2, {ADD_NO_TOKENS},
        last_message_at = greatest(clock_timestamp(), last_message_at + interval '1 microsecond')
            + $2 * interval '1 microsecond',
        updated_at = greatest(clock_timestamp(), updated_at + interval '1 microsecond')
    WHERE id = $1 AND tenant_id = '' RETURNING last_seq - $2 AS before, turn_count, last_message_at AS at"""

# One message as scalars: a fifth faster than as arrays of one.
_APPEND_ONE = f"""
    WITH s AS ({_COUNT_UP}),
    m AS (
        INSERT INTO sessionstore_messages ({MESSAGE_COLUMNS})
        SELECT $1, before + 1, $3, 'assistant', turn_count, false, 'complete', NULL, NULL, {NO_TOKENS}, NULL, '{{}}',
            at, at FROM s RETURNING seq)
    INSERT INTO sessionstore_parts ({PART_COLUMNS})
    SELECT $1, seq, p.* FROM m, (VALUES
        (0, $4::text, $5::text, $6::text, $7::text, $8::text, $9::text),
        (1, $10, $11, $12, $13, $14, $15),
        (2, $16, $17, $18, $19, $20, $21)) AS p"""

_APPEND_MANY = f"""
    WITH s AS ({_COUNT_UP}),
    m AS (
        INSERT INTO sessionstore_messages ({MESSAGE_COLUMNS})
        SELECT $1, before + n, id, 'assistant', turn_count, false, 'complete', NULL, NULL, {NO_TOKENS}, NULL, '{{}}',
            at - ($2 - n) * interval '1 microsecond', at - ($2 - n) * interval '1 microsecond'
        FROM s, unnest($3::text[]) WITH ORDINALITY AS given (id, n))
    INSERT INTO sessionstore_parts ({PART_COLUMNS})
    SELECT $1, before + n, position, id, type, text, tool_call_id, tool_name, payload
    FROM s, unnest($4::bigint[], $5::int[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[])
        AS p (n, position, id, type, text, tool_call_id, tool_name, payload)"""

_MESSAGES = f"SELECT {READ_MESSAGE} FROM sessionstore_messages WHERE session_id = $1"
_PARTS = f"SELECT {READ_PART} FROM sessionstore_parts WHERE session_id = $1"
_LOAD = f"{_MESSAGES} ORDER BY seq", f"{_PARTS} ORDER BY message_seq, position"
_LAST = f"{_MESSAGES} ORDER BY seq DESC LIMIT $2"
_AFTER = f"{_MESSAGES} AND seq > $2 ORDER BY seq LIMIT $3"
_PARTS_BETWEEN = f"{_PARTS} AND message_seq BETWEEN $2 AND $3 ORDER BY message_seq, position"


class AsyncpgLimit(OwnTables):
    """One connection of asyncpg, or its pool where several tasks write."""

    name: ClassVar[str] = "limit: asyncpg"
    families: ClassVar[tuple[str, ...]] = ("postgresql",)
    distributions: ClassVar[tuple[str, ...]] = ("asyncpg",)

    async def connect(self) -> None:
        """Open the pool, and the connection that a task on its own uses."""
        self._pool: Any = await asyncpg.create_pool(self.target.location, min_size=1, max_size=POOL_SIZE)
        self._connection: Any = await asyncpg.connect(self.target.location)

    async def disconnect(self) -> None:
        """Close both."""
        await self._connection.close()
        await self._pool.close()

    async def append(self, session: str, number: int, count: int) -> None:
        """Append in one statement, which commits itself."""
        given = [self.given(session, number + n) for n in range(count)]
        statement, parameters = _one(session, *given[0]) if count == 1 else _many(session, given)
        if self.crowded:
            await self._pool.execute(statement, *parameters)
        else:
            await self._connection.execute(statement, *parameters)

    async def load(self, session: str) -> int:
        """Fetch the rows of all messages, then those of all parts."""
        messages = await self._connection.fetch(_LOAD[0], session)
        return self.told(session, messages, await self._connection.fetch(_LOAD[1], session))

    async def last(self, session: str, limit: int) -> int:
        """Fetch the latest rows, then their parts."""
        messages = await self._connection.fetch(_LAST, session, limit)
        return await self._with_parts(session, messages[::-1])

    async def after(self, session: str, number: int, limit: int) -> int:
        """Fetch the rows behind a `seq`, then their parts."""
        messages = await self._connection.fetch(_AFTER, session, number, limit)
        return await self._with_parts(session, messages)

    async def _with_parts(self, session: str, messages: list[Any]) -> int:
        parts = await self._connection.fetch(_PARTS_BETWEEN, session, messages[0][0], messages[-1][0])
        return self.told(session, messages, parts)

    async def page(self, limit: int) -> int:
        """Fetch the rows of sessions."""
        return self.listed(await self._connection.fetch(f"{LIST} $1", limit))


def _one(session: str, id_: str, rows: list[tuple[Any, ...]]) -> tuple[str, tuple[Any, ...]]:
    return _APPEND_ONE, (session, 1, id_, *(value for row in rows for value in row[1:]))


def _many(session: str, given: list[tuple[str, list[tuple[Any, ...]]]]) -> tuple[str, tuple[Any, ...]]:
    rows = [(n, *row) for n, (_, parts) in enumerate(given, 1) for row in parts]
    return _APPEND_MANY, (session, len(given), [id_ for id_, _ in given], *map(list, zip(*rows, strict=True)))
