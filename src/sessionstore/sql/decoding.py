"""Executing statements, also on rows that a driver can't turn into values.

SQLite lets text into its columns that isn't UTF-8, and Postgres has instants, such as
infinity, that psycopg refuses. Drivers then give up the whole result and don't say on which
row. Asked again leniently they give such a value raw; the row is then known, and refused by
name (`CorruptRecord`).
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import CursorResult, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

_UNDECODABLE = ("Could not decode to UTF-8", "timestamp too ")  # sqlite3, psycopg
_TIMES = "timestamptz"


async def execute(
    connection: AsyncConnection,
    statement: Executable,
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
) -> CursorResult[Any]:
    """Execute a statement; values that can't be decoded come as bytes or as the database's text."""
    try:
        return await connection.execute(statement, parameters, execution_options=options)
    except DBAPIError as error:
        if not undecodable(error.orig):
            raise
    with lenient((await connection.get_raw_connection()).driver_connection):
        return await connection.execute(statement, parameters, execution_options=options)


def undecodable(error: BaseException | None) -> bool:
    """Whether a driver's error says that it can't turn a stored value into one of Python's."""
    return str(error).startswith(_UNDECODABLE)


def lenient(connection: Any) -> AbstractContextManager[None]:
    """Have a driver's connection give raw what it can't decode."""
    return _lenient_text(connection) if hasattr(connection, "text_factory") else _lenient_times(connection)


@contextmanager
def _lenient_text(connection: Any) -> Generator[None]:
    before = connection.text_factory
    connection.text_factory = _text_or_bytes
    try:
        yield
    finally:
        connection.text_factory = before


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


@contextmanager
def _lenient_times(connection: Any) -> Generator[None]:
    from psycopg import DataError  # an optional dependency, which is here by now
    from psycopg.pq import Format
    from psycopg.types.datetime import TimestamptzLoader

    class Lenient(TimestamptzLoader):  # in Python: the one in C doesn't ask a subclass
        def load(self, data: Any) -> Any:
            try:
                return super().load(data)
            except DataError:
                return bytes(data).decode()

    adapters = connection.adapters
    before = adapters.get_loader(adapters.types[_TIMES].oid, Format.TEXT)
    adapters.register_loader(_TIMES, Lenient)
    try:
        yield
    finally:
        adapters.register_loader(_TIMES, before)
