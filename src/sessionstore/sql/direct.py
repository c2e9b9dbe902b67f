"""Statements on the driver's own connection, for engines that are ours alone.

Core compiles each statement once; after that only the pool is SQLAlchemy's. On a small statement its
cursor and result layers cost as much as the database's work does. A host's engine always gets Core:
it may have listeners (tracing, SET ROLE) that must see every statement.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any, Self, TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, Executable, PoolProxiedConnection, event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import greenlet_spawn

from sessionstore.collecting import Pause
from sessionstore.sql.connections import watched
from sessionstore.sql.dialect import capabilities_of
from sessionstore.sql.drivers import DRIVERS, Driver
from sessionstore.sql.failures import failure_of
from sessionstore.sql.pooling import ConnectionPool
from sessionstore.sql.shielding import Call, Keeping, Kept, completed, taken
from sessionstore.sql.texts import StatementText
from sessionstore.sql.write_queue import WriteQueue

T = TypeVar("T")

_MADE_AT = "sessionstore_made_at"


class DriverConnection:
    """A connection on which statements skip Core's cursors and results; see `transaction.Connection`.

    From when a statement has given many rows until the next one, or the connection's exit, the collector pauses.
    """

    def __init__(self, driver: Driver, dialect: Dialect, schema: str | None, texts: dict[Any, StatementText]) -> None:
        self.dialect = dialect
        self._pause = Pause()
        self._driver = driver
        self._schema = schema
        self._texts = texts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pause.end()

    async def rows(self, statement: Executable, parameters: dict[str, Any]) -> Sequence[Any]:
        """Execute a statement and return its rows."""
        text = self._text(statement)
        return text.rows(await self._found(text, parameters))

    async def records(self, statement: Executable, parameters: dict[str, Any]) -> Sequence[Any]:
        """Execute a statement and return its rows, whose values have no names."""
        text = self._text(statement)
        return text.records(await self._found(text, parameters))

    async def _found(self, text: StatementText, parameters: dict[str, Any]) -> Sequence[Any]:
        self._pause.end()
        found = await self._driver.rows(text.sql, text.values(parameters))
        self._pause.begin(len(found))
        return found

    async def run(self, statement: Executable, parameters: dict[str, Any]) -> int:
        """Execute a statement and return how many rows it changed."""
        text = self._text(statement)
        return await self._driver.run(text.sql, text.values(parameters))

    async def run_many(self, statement: Executable, rows: Sequence[dict[str, Any]]) -> None:
        """Execute a statement once for each set of parameters."""
        text = self._text(statement, tuple(rows[0]))
        await self._driver.run_many(text.sql, [text.values(row) for row in rows])

    def _text(self, statement: Executable, columns: tuple[str, ...] = ()) -> StatementText:
        key = (statement, self._schema, columns)
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = StatementText(statement, self.dialect, self._schema, columns)
        return text


class DriverPool:
    """The pool of an engine that is ours, giving out the driver's own connections."""

    def __init__(self, engine: AsyncEngine, *, checked: bool) -> None:
        self._checked = checked
        capabilities = capabilities_of(engine.dialect)
        self._interruptible = capabilities.interruptible
        self._parallel = capabilities.locks_rows
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, WriteQueue] = WeakKeyDictionary()
        self._wrap = DRIVERS[engine.dialect.driver]
        self._texts: dict[Any, StatementText] = {}  # statements are module constants, so these are few
        self._lost_at = 0.0
        self.fits = True
        """Whether all connections so far could be used so."""

        event.listen(engine.sync_engine, "connect", self._note)

    def _note(self, connection: Any, record: Any) -> None:
        record.info[_MADE_AT] = time.monotonic()
        self.fits = self.fits and connection.run_async(self._is_fit)

    async def _is_fit(self, connection: Any) -> bool:
        return await self._wrap(connection).fits()

    def at_hand(self, engine: AsyncEngine) -> bool:
        """Whether a connection is there, and SQLAlchemy doesn't wait before it gives that out."""
        pool = self._own(engine)
        return pool is not None and self._at_hand(pool)

    def ready(self, engine: AsyncEngine) -> bool:
        """Whether a call's own task can get a connection: one is at hand, or can be waited for."""
        pool = self._own(engine)
        return pool is not None and (self._at_hand(pool) or pool.exhausted)

    def _at_hand(self, pool: ConnectionPool) -> bool:
        record = pool.peek()
        return record is not None and self._is_good(pool, record)

    def _is_good(self, pool: ConnectionPool, record: Any) -> bool:
        """Whether a connection can be used so, and was made after the server went away, as others may be lost too."""
        return self.fits and pool.is_usable(record) and record.info[_MADE_AT] >= self._lost_at

    def _own(self, engine: AsyncEngine) -> ConnectionPool | None:
        """Return the engine's pool if connections can be had of it without SQLAlchemy's help."""
        pool = engine.sync_engine.pool
        return pool if isinstance(pool, ConnectionPool) and not self._checked else None

    def usable(self, engine: AsyncEngine) -> bool:
        """Whether statements may go to the driver now: nobody listens to them, logs them or wraps connections."""
        return self.fits and not watched(engine)

    def connection(self, engine: AsyncEngine, driver: Driver, schema: str | None) -> DriverConnection:
        """Return how statements are executed on a connection of the driver's."""
        return DriverConnection(driver, engine.dialect, schema, self._texts)

    def queue(self, engine: AsyncEngine) -> WriteQueue | None:
        """Return the queue of this event loop's writes, where a database has one writer at a time."""
        if self._parallel or not isinstance(engine.sync_engine.pool, QueuePool):
            return None
        loop = asyncio.get_running_loop()
        queue = self._queues.get(loop)
        if queue is None:
            queue = self._queues[loop] = WriteQueue()
        return queue

    async def run(
        self,
        engine: AsyncEngine,
        call: Call,
        work: Callable[[Driver], Coroutine[Any, Any, T]],
        keeping: Keeping,
    ) -> T:
        """Do some work on a connection, which comes in no transaction and is given back; a broken one is thrown away.

        The work waits for statements only: it may be done in another thread. The call is told before that it begins.
        """
        pooled = self._take_at_once(engine)
        done = self._done(pooled, call, work) if pooled else self._done_in_turn(engine, call, work, keeping)
        return await (Kept(done, call, interruptible=self._interruptible) if keeping is Keeping.BY_CALLER else done)

    async def _done_in_turn(
        self, engine: AsyncEngine, call: Call, work: Callable[[Driver], Coroutine[Any, Any, T]], keeping: Keeping
    ) -> T:
        return await self._done(await self._take(engine, call, keeping), call, work)

    async def _done(
        self,
        pooled: PoolProxiedConnection,
        call: Call,
        work: Callable[[Driver], Coroutine[Any, Any, T]],
    ) -> T:
        driver = self._wrap(pooled.driver_connection)
        if call.left:
            await _give_back(pooled)
            call.raise_cancellation()
        try:
            if driver.in_transaction:  # somebody's listener has begun one at connecting
                await greenlet_spawn(pooled.commit)
            call.begin()
            done = await driver.complete(work(driver))
        except BaseException as error:
            await completed(self._clean_up(pooled, driver, error))
            raise
        await _give_back(pooled)
        return done

    def _take_at_once(self, engine: AsyncEngine) -> PoolProxiedConnection | None:
        """Take a connection if that needs no waiting at all, not even for a greenlet."""
        pool = self._own(engine)
        record = None if pool is None else pool.take()
        if pool is None or record is None:
            return None
        if self._is_good(pool, record):
            return pool.check_out(record)
        pool.put_back(record)
        return None

    async def _take(self, engine: AsyncEngine, call: Call, keeping: Keeping) -> PoolProxiedConnection:
        """Take the next connection that is given back, if all are in use; what is lost is made anew."""
        pool = self._own(engine)
        record = await pool.wait(call) if pool is not None and pool.exhausted else None
        if pool is not None and record is not None:
            if self._is_good(pool, record):
                return pool.check_out(record)
            making = self._made_anew(pool, record)
        else:
            making = self._made(engine)
        if keeping is Keeping.BY_TASK:
            return await making
        try:
            return await taken(making, _give_back, call)
        except BaseException:
            if pool is not None and record is not None and getcoroutinestate(making) == CORO_CREATED:
                making.close()  # as its task was cancelled before it began
                pool.put_back(record)
            raise

    async def _made(self, engine: AsyncEngine) -> PoolProxiedConnection:
        """Have SQLAlchemy give out a connection, or make one."""
        while True:
            pooled = await self._fitting(await engine.raw_connection())
            if pooled.info[_MADE_AT] >= self._lost_at:
                return pooled
            await greenlet_spawn(pooled.invalidate)

    async def _made_anew(self, pool: ConnectionPool, record: Any) -> PoolProxiedConnection:
        return await self._fitting(await greenlet_spawn(pool.make_anew, record))

    async def _fitting(self, pooled: PoolProxiedConnection) -> PoolProxiedConnection:
        if not self.fits:  # as of now: when it is tried again Core does it
            await greenlet_spawn(pooled.close)
            raise ConnectionError("the engine makes connections of another kind now")
        return pooled

    async def _clean_up(self, pooled: PoolProxiedConnection, driver: Driver, error: BaseException) -> None:
        """Roll back, or throw the connection away when its state isn't known or it is lost."""
        failure = failure_of(error) if isinstance(error, Exception) else None
        if failure is not None and failure.retryable and failure.outcome_unknown:
            if not isinstance(error, TimeoutError):  # a slow statement says nothing of other connections
                self._lost_at = time.monotonic()
        elif driver.sound_after(error):
            with suppress(Exception):  # if it can't be used any more, the first error tells more than this one
                try:
                    if driver.in_transaction:
                        await driver.complete(driver.rollback())
                except BaseException:
                    await _throw_away(pooled)
                    raise
                await _give_back(pooled)
            return
        await _throw_away(pooled)


async def _give_back(pooled: PoolProxiedConnection) -> None:
    # The pool closes connections that it has no room for, and waits for that. Else no greenlet is needed, which costs
    # more than all that is done in it.
    pool: Any = cast("Any", pooled)._pool  # noqa: SLF001 - which the engine may have put aside meanwhile
    waits = not isinstance(pool, QueuePool) or pool.checkedin() >= pool.size()
    try:
        await greenlet_spawn(pooled.close) if waits else pooled.close()
    except BaseException:
        await _throw_away(pooled)
        raise


async def _throw_away(pooled: PoolProxiedConnection) -> None:
    if pooled.is_valid:
        await greenlet_spawn(pooled.invalidate)


_pools: WeakKeyDictionary[AsyncEngine, DriverPool] = WeakKeyDictionary()


def adopt(engine: AsyncEngine, *, checked: bool) -> None:
    """Note that an engine is ours alone, so that its statements may go to the driver directly.

    `checked` says that its pool looks after connections before it gives them out, and may have to wait, or that its
    driver sets timeouts for the task that runs a statement.
    """
    if engine.dialect.driver in DRIVERS:
        _pools[engine] = DriverPool(engine, checked=checked)


def pool_of(engine: AsyncEngine) -> DriverPool | None:
    """Return the pool of an engine that is ours."""
    return _pools.get(engine)
