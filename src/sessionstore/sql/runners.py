"""Who takes connections, begins, commits, retries and completes: the only place that does."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from sessionstore.errors import InvalidValue, SessionStoreError
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
from sessionstore.sql.direct import DriverConnection, DriverPool, pool_of
from sessionstore.sql.failures import place_of, reported_by_server, translated
from sessionstore.sql.loops import enter_loop
from sessionstore.sql.shielding import Call, Keeping, completed
from sessionstore.sql.transaction import Earlier, Operation, Scope, Transaction

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
            await enter_loop(self._engine)
            pool = self._driver_pool()
            async with self._turn:
                return await self._outside(call, pool, operation, keeping, autocommit=pool is None and self._autocommit)

        attempts = Attempts(attempt, call, self._place, repeatable=True)
        if self._capabilities.interruptible:
            return await attempts.rest(Keeping.NOT)
        if self._at_hand() and await attempts.first():
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
        attempt = partial(self._written, call, operation, quick)
        attempts = Attempts(attempt, call, self._place, repeatable=repeatable)
        done = self._at_hand() and await attempts.first()
        if done and not self._events.heard:
            call.raise_cancellation()
            return attempts.result[0]

        async def whole() -> T:
            result, events = attempts.result if done else await attempts.rest()
            call.settle()
            await self._events.publish(events)
            return result

        return await completed(whole(), call, interruptible=self._capabilities.interruptible)

    async def _written(
        self,
        call: Call,
        operation: Operation[T],
        quick: Operation[T | None] | None,
        earlier: Earlier | None,
        keeping: Keeping,
    ) -> tuple[T, list[Event]]:
        """Try once to run an operation and commit it; returns what it does, and the events to publish."""
        await enter_loop(self._engine)
        pool = self._driver_pool()
        alone = self._capabilities.writes_in_ctes and (pool is not None or self._autocommit)
        if quick is not None and alone:

            async def committing(transaction: Transaction) -> tuple[T, list[Event]] | None:
                call.commit(None)
                done = await quick(transaction)
                return None if done is None else (done, transaction.events)

            async with self._turn:
                done = await self._outside(call, pool, committing, keeping, autocommit=alone)
            if done is not None:
                return done

        async def body(transaction: Transaction) -> T:
            done = None if quick is None or alone else await quick(transaction)
            return await operation(transaction) if done is None else done

        async with self._turn:
            return await self._begun(call, pool, body, keeping, earlier)

    async def _outside(
        self, call: Call, pool: DriverPool | None, operation: Operation[T], keeping: Keeping, *, autocommit: bool
    ) -> T:
        """Run an operation on a connection on which each statement is by itself, where the database can do that."""
        if pool is not None:

            async def body(direct: DriverConnection) -> T:
                return await operation(Transaction(direct, self._scope, begun=False))

            return await pool.run(self._engine, self._scope.schema, call, body, keeping)
        take = AsyncEngine.connect if keeping is Keeping.BY_TASK else connected
        async with take(self._engine) as connection, self._sound(connection):
            call.begin()
            if autocommit:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
            elif self._scope.row_level_security:
                await self._ensure_transactional(connection)
            return await operation(await Transaction.entered(connection, self._scope, begun=not autocommit))

    async def _begun(
        self,
        call: Call,
        pool: DriverPool | None,
        operation: Operation[T],
        keeping: Keeping,
        earlier: Earlier | None,
    ) -> tuple[T, list[Event]]:
        """Run an operation in a transaction and commit it; what ends without that is rolled back.

        Returns what the operation does, and the events that are to be published.
        """

        async def whole(transaction: Transaction, commit: Callable[[], Awaitable[None]]) -> tuple[T, list[Event]]:
            result = await operation(transaction)
            call.commit(transaction.events)
            await commit()
            return result, transaction.events

        async def body(direct: DriverConnection) -> tuple[T, list[Event]]:
            await direct.begin()
            return await whole(Transaction(direct, self._scope, earlier=earlier), direct.commit)

        if pool is not None:
            return await pool.run(self._engine, self._scope.schema, call, body, keeping)
        async with self._engine.connect() as connection, self._sound(connection):
            call.begin()
            await self._ensure_transactional(connection)
            entered = await Transaction.entered(connection, self._scope, earlier=earlier)
            return await whole(entered, connection.commit)

    def _at_hand(self) -> bool:
        """Whether a call can begin in its caller's task, as it needs to wait for nothing but the database's answers."""
        pool = self._driver_pool()
        return pool is not None and pool.at_hand(self._engine)

    def _driver_pool(self) -> DriverPool | None:
        return None if self._scope.row_level_security else pool_of(self._engine)

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


class CallersTransaction:
    """Runs operations inside the caller's transaction, and keeps their events until it has committed."""

    def __init__(self, bound: AsyncConnection | AsyncSession, scope: Scope) -> None:
        self._bound = bound
        self._scope = scope
        self._turn = asyncio.Lock()  # a connection takes one call at a time
        self.events: list[Event] = []

    @property
    def background(self) -> bool:
        """Whether operations may also run between the caller's calls."""
        return False

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that changes nothing."""
        return await self.write(operation)

    async def write(
        self,
        operation: Operation[T],
        *,
        quick: Operation[T | None] | None = None,
        repeatable: bool = False,  # noqa: ARG002 - never repeated
    ) -> T:
        """Run an operation; the caller commits it.

        It completes although the caller is cancelled: giving it up would take the caller's connection along.
        """
        return await completed(self._run(operation, quick))

    async def _run(self, operation: Operation[T], quick: Operation[T | None] | None) -> T:
        async with self._turn:
            with translated():
                bound = self._bound
                connection = await bound.connection() if isinstance(bound, AsyncSession) else bound
                await self._refuse_autocommit(connection)
                transaction = await Transaction.entered(connection, self._scope)
                done = None if quick is None else await quick(transaction)
                result = await operation(transaction) if done is None else done
                self.events += transaction.events
                return result

    async def _refuse_autocommit(self, connection: AsyncConnection) -> None:
        if capabilities_of(connection.dialect).isolation_level is not None and await in_autocommit(connection):
            raise InvalidValue("connection: is in autocommit mode, so there is no transaction to work inside")
