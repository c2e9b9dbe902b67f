"""Who takes connections, begins, commits, retries and completes: the only place that does."""

from __future__ import annotations  # those of inner functions would be evaluated in each call

from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from itertools import starmap
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sessionstore.errors import SessionStoreError
from sessionstore.events import Event, Events
from sessionstore.sql.attempts import Attempts
from sessionstore.sql.connections import (
    begin_immediate,
    connected,
    in_autocommit,
    prepared_by_listeners,
    roll_back,
    turn_of,
)
from sessionstore.sql.dialect import capabilities_of
from sessionstore.sql.direct import DriverPool, pool_of
from sessionstore.sql.drivers import Driver
from sessionstore.sql.failures import place_of, reported_by_server
from sessionstore.sql.loops import enter_loop, entered
from sessionstore.sql.shielding import Call, Keeping, completed
from sessionstore.sql.transaction import Earlier, Operation, Scope, Transaction, quick_or
from sessionstore.sql.write_queue import Batch, Write, Written

T = TypeVar("T")


class OwnTransactions:
    """Runs each operation in a transaction of its own, tries again where that is safe, and publishes its events."""

    def __init__(self, engine: AsyncEngine, scope: Scope, events: Events) -> None:
        self._capabilities = capabilities_of(engine.dialect)
        self._engine = engine
        self._scope = scope
        self._events = events
        self._turn = turn_of(engine)
        self._place = place_of(engine.url)
        self._pool = None if scope.row_level_security else pool_of(engine)

    @property
    def background(self) -> bool:
        """Whether operations may also run between the caller's calls."""
        return True

    @property
    def _autocommit(self) -> bool:
        """Whether a statement may go without a transaction, of which nobody then has to know."""
        transactional = self._scope.row_level_security or prepared_by_listeners(self._engine)
        return self._capabilities.autocommit and not transactional

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that changes nothing."""
        call = Call()

        async def attempt(_: Earlier | None, keeping: Keeping) -> T:
            return await self._read(call, await self._entered(), operation, keeping)

        attempts = Attempts(attempt, call, self._place, repeatable=True)
        if self._capabilities.interruptible:
            return await attempts.rest(Keeping.NOT)
        pool = self._driver_pool()
        if pool is not None and pool.at_hand(self._engine) and entered(self._engine):
            first = self._read(call, pool, operation, Keeping.BY_CALLER)
            if await attempts.first(first):
                call.raise_cancellation()
                return attempts.result
        return await completed(attempts.rest(), call, interruptible=False)

    async def write(
        self, operation: Operation[T], *, quick: Operation[T | None] | None = None, repeatable: bool = False
    ) -> T:
        """Run an operation and commit it.

        Events are delivered before this returns; a caller who is cancelled doesn't wait for the handlers.
        """
        call = Call()

        async def attempt(earlier: Earlier | None, keeping: Keeping) -> Written[T]:
            return await self._written(call, await self._entered(), operation, quick, keeping, earlier)

        attempts = Attempts(attempt, call, self._place, repeatable=repeatable)
        pool = self._driver_pool()
        first = None if pool is None else self._first(call, pool, operation, quick)
        done = first is not None and await attempts.first(first)
        if done and not self._events.heard:
            call.raise_cancellation()
            return attempts.result[0]

        async def whole() -> T:
            result, events = attempts.result if done else await attempts.rest()
            call.settle()
            await self._events.publish(starmap(Event, events))
            return result

        return await completed(whole(), call, interruptible=self._capabilities.interruptible)

    def _first(
        self, call: Call, pool: DriverPool, operation: Operation[T], quick: Operation[T | None] | None
    ) -> Coroutine[Any, Any, Written[T]] | None:
        """Return a first attempt that needs no task of its own; `None` when SQLAlchemy has to make the connection."""
        queue = pool.queue(self._engine)
        if queue is None:
            ready = pool.ready(self._engine) and entered(self._engine)
            return self._written(call, pool, operation, quick, Keeping.BY_CALLER) if ready else None
        if not queue.busy and pool.at_hand(self._engine) and entered(self._engine):
            attempt = self._written(call, pool, operation, quick, Keeping.BY_CALLER)
            return queue.lead(attempt, partial(self._batch, pool))
        return queue.join(self._in_transaction(pool, quick_or(quick, operation)), call, partial(self._batch, pool))

    async def _written(
        self,
        call: Call,
        pool: DriverPool | None,
        operation: Operation[T],
        quick: Operation[T | None] | None,
        keeping: Keeping,
        earlier: Earlier | None = None,
    ) -> Written[T]:
        """Try once to run an operation and commit it."""
        alone = self._capabilities.writes_in_ctes and (pool is not None or self._autocommit)
        first, operation = (quick, operation) if alone else (None, quick_or(quick, operation))
        if pool is not None:
            async with self._turn:
                return await self._written_directly(call, pool, operation, first, keeping, earlier)
        if first is not None:

            async def committing(transaction: Transaction) -> Written[T] | None:
                call.commit(None)
                done = await first(transaction)
                return None if done is None else (done, transaction.events)

            async with self._turn:
                done = await self._outside(call, None, committing, keeping, autocommit=True)
            if done is not None:
                return done
            call.pause()

        async with self._turn:
            return await self._begun(call, operation, earlier)

    async def _read(self, call: Call, pool: DriverPool | None, operation: Operation[T], keeping: Keeping) -> T:
        async with self._turn:
            return await self._outside(call, pool, operation, keeping, autocommit=pool is None and self._autocommit)

    async def _outside(
        self, call: Call, pool: DriverPool | None, operation: Operation[T], keeping: Keeping, *, autocommit: bool
    ) -> T:
        """Run an operation on a connection on which each statement is by itself, where the database can do that."""
        if pool is not None:

            async def body(driver: Driver) -> T:
                with pool.connection(self._engine, driver, self._scope.schema) as direct:
                    return await operation(Transaction(direct, self._scope, begun=False))

            return await pool.run(self._engine, call, body, keeping)
        take = AsyncEngine.connect if keeping is Keeping.BY_TASK else connected
        async with take(self._engine) as connection, self._sound(connection):
            call.begin()
            if autocommit:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
            elif self._scope.row_level_security:
                await self._ensure_transactional(connection)
            return await operation(await Transaction.entered(connection, self._scope, begun=not autocommit))

    async def _begun(self, call: Call, operation: Operation[T], earlier: Earlier | None) -> Written[T]:
        """Run an operation in a transaction and commit it; what ends without that is rolled back."""
        async with self._engine.connect() as connection, self._sound(connection):
            call.begin()
            await self._ensure_transactional(connection)
            transaction = await Transaction.entered(connection, self._scope, earlier=earlier)
            result = await operation(transaction)
            call.commit(transaction.events)
            await connection.commit()
            return result, transaction.events

    async def _written_directly(
        self,
        call: Call,
        pool: DriverPool,
        operation: Operation[T],
        first: Operation[T | None] | None,
        keeping: Keeping,
        earlier: Earlier | None,
    ) -> Written[T]:
        """Do the same on a driver's connection; `first` is tried before, without a transaction."""
        write = self._in_transaction(pool, operation, earlier)

        async def body(driver: Driver) -> Written[T]:
            if first is not None:
                call.commit(None)
                with pool.connection(self._engine, driver, self._scope.schema) as direct:
                    transaction = Transaction(direct, self._scope, begun=False)
                    done = await first(transaction)
                if done is not None:
                    return done, transaction.events
                call.begin()  # nothing has been done, and nothing is committed before it is said again
            await driver.begin()
            written = await write(driver)
            call.commit(written[1])
            await driver.commit()
            return written

        return await pool.run(self._engine, call, body, keeping)

    async def _batch(self, pool: DriverPool, batch: Batch) -> bool:
        """Do writes of several callers, of this store and others, in one transaction."""
        await enter_loop(self._engine)
        return await pool.run(self._engine, batch.call(), batch.begin, Keeping.BY_TASK)

    def _in_transaction(self, pool: DriverPool, operation: Operation[T], earlier: Earlier | None = None) -> Write[T]:
        """Return a write of the operation, within a transaction that others begin and commit."""

        async def write(driver: Driver) -> Written[T]:
            with pool.connection(self._engine, driver, self._scope.schema) as direct:
                transaction = Transaction(direct, self._scope, earlier=earlier)
                return await operation(transaction), transaction.events

        return write

    async def _entered(self) -> DriverPool | None:
        """Return how statements reach the driver, once it is known that this event loop may use the engine."""
        await enter_loop(self._engine)
        return self._driver_pool()

    def _driver_pool(self) -> DriverPool | None:
        pool = self._pool
        return pool if pool is not None and pool.usable(self._engine) else None

    @asynccontextmanager
    async def _sound(self, connection: AsyncConnection) -> AsyncGenerator[None]:
        """Let no transaction that failed go back to the pool.

        After an error that says nothing about the connection's state it is thrown away: had it come at BEGIN,
        asyncpg would answer the next one with a savepoint, and whoever relied on that would never have committed.
        """
        try:
            yield
        except Exception as error:
            state_known = isinstance(error, SessionStoreError) or reported_by_server(error)
            if self._capabilities.interruptible and not state_known:
                await connection.invalidate()
            else:
                await roll_back(connection)
            raise

    async def _ensure_transactional(self, connection: AsyncConnection) -> None:
        """Ask for transactions on a host's engine that is in autocommit mode: a write is several statements."""
        if await in_autocommit(connection):
            if self._capabilities.isolation_level is None:
                await begin_immediate(connection)
            else:
                await connection.execution_options(isolation_level=self._capabilities.isolation_level)
