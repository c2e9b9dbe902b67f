"""The drivers' own connections, as far as transactions need them."""

import sqlite3
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from functools import partial
from inspect import CORO_CREATED, getcoroutinestate
from traceback import clear_frames
from typing import Any, Protocol, TypeVar

from typing_extensions import override

from sessionstore.errors import SessionStoreError
from sessionstore.sql.decoding import lenient, undecodable
from sessionstore.sql.failures import reported_by_server

T = TypeVar("T")


class Driver(Protocol):
    """What drivers have in common: enough to run a transaction.

    Statements are executed within `complete`, and by work that waits for nothing else.
    """

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    async def fits(self) -> bool:
        """Return whether this connection can be used so."""
        ...

    def sound_after(self, error: BaseException) -> bool:
        """Whether the connection's state is known after an error, so that it can be rolled back."""
        ...

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        """Do some work on this connection: any number of statements, and what is between them."""
        ...

    async def rows(self, sql: str, values: Sequence[Any]) -> Sequence[Any]:
        """Execute a statement and return its records."""
        ...

    async def run(self, sql: str, values: Sequence[Any]) -> int:
        """Execute a statement and return how many rows it changed."""
        ...

    async def run_many(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        """Execute a statement with each set of values."""
        ...

    async def begin(self) -> None:
        """Begin a transaction."""
        ...

    async def commit(self) -> None:
        """Commit the transaction."""
        ...

    async def rollback(self) -> None:
        """Roll the transaction back."""
        ...


class _Asyncpg:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @property
    def in_transaction(self) -> bool:
        return self._connection.is_in_transaction()

    async def fits(self) -> bool:
        return True

    def sound_after(self, error: BaseException) -> bool:
        return isinstance(error, SessionStoreError) or (isinstance(error, Exception) and reported_by_server(error))

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        return await work

    async def rows(self, sql: str, values: Sequence[Any]) -> Sequence[Any]:
        return await self._connection.fetch(sql, *values)

    async def run(self, sql: str, values: Sequence[Any]) -> int:
        status: str = await self._connection.execute(sql, *values)
        return int(status.rpartition(" ")[2])

    async def run_many(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        await self._connection.executemany(sql, values)

    async def begin(self) -> None:
        await self._connection.execute("BEGIN")

    async def commit(self) -> None:
        await self._connection.execute("COMMIT")

    async def rollback(self) -> None:
        await self._connection.execute("ROLLBACK")


class Work(tuple[()]):
    """Work to be done in a connection's thread; to connections that don't know it, a statement's no parameters."""

    def __new__(cls, work: Callable[[sqlite3.Connection], Any]) -> "Work":
        """Return work that is still to be done."""
        made = super().__new__(cls)
        made._work = work
        made._results = []
        return made

    _work: Callable[[sqlite3.Connection], Any]
    _results: list[Any]

    def done_on(self, connection: sqlite3.Connection) -> "Work":
        """Do it, and return what stands for the statement's cursor."""
        self._results.append(self._work(connection))
        return self

    def fetchall(self) -> list[Any]:
        """Return the result as a cursor would its rows."""
        return self._results


class WorkingConnection(sqlite3.Connection):
    """A connection that may be given work in place of a statement.

    aiosqlite has its thread execute one statement a hop. That statement can be a whole transaction this way, and by
    what both modules offer to everyone: sqlite3 its `factory`, aiosqlite `execute_fetchall`.
    """

    @override
    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        return parameters.done_on(self) if isinstance(parameters, Work) else super().execute(sql, parameters)


def done_at_once(work: Coroutine[Any, Any, T]) -> T:
    """Do work that waits for nothing, as its statements are plain calls."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    work.close()
    raise RuntimeError("work in SQLite's thread has waited for something else than statements")


class _Aiosqlite:
    """One hop to the driver's thread for all of the work, in which statements are plain calls of sqlite3."""

    _raw: sqlite3.Connection

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    async def fits(self) -> bool:
        """Return whether work is done: tracers and hosts' hooks wrap connections, or make others."""
        try:
            return await self._connection.execute_fetchall("SELECT 0", Work(lambda _: True)) == [True]
        except Exception:  # noqa: BLE001 - by whatever stands in between
            return False

    def sound_after(self, error: BaseException) -> bool:  # noqa: ARG002 - its thread has done all it was asked for
        return True

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        def done(raw: sqlite3.Connection) -> Any:
            self._raw = raw
            return done_at_once(work)

        try:
            results = await self._connection.execute_fetchall("", Work(partial(copy_context().run, done)))
        finally:
            if getcoroutinestate(work) == CORO_CREATED:  # the connection was closed; what runs can't be closed here
                work.close()
        return results.pop()  # the thread keeps the list until it gets more to do

    async def rows(self, sql: str, values: Sequence[Any]) -> Sequence[Any]:
        try:
            return self._fetched(sql, values)
        except sqlite3.OperationalError as error:
            if not undecodable(error):
                raise
            clear_frames(error.__traceback__)  # they hold the cursor, and an open one keeps from committing
        with lenient(self._raw):
            return self._fetched(sql, values)

    def _fetched(self, sql: str, values: Sequence[Any]) -> Sequence[Any]:
        return self._raw.execute(sql, values).fetchall()

    async def run(self, sql: str, values: Sequence[Any]) -> int:
        return self._raw.execute(sql, values).rowcount

    async def run_many(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        self._raw.executemany(sql, values)

    async def begin(self) -> None:
        if not self._raw.in_transaction:  # as it always is with `autocommit=False`
            self._raw.execute(f"BEGIN {self._raw.isolation_level or 'IMMEDIATE'}")

    async def commit(self) -> None:
        self._raw.commit()

    async def rollback(self) -> None:
        self._raw.rollback()


DRIVERS: Mapping[str, Callable[[Any], Driver]] = {"asyncpg": _Asyncpg, "aiosqlite": _Aiosqlite}
"""By what SQLAlchemy's dialects call their drivers."""
