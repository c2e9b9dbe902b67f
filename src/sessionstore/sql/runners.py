"""Who takes connections, begins, commits, retries and completes: the only place that does."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from sessionstore.errors import InvalidValue, SessionStoreError, StoreUnavailable
from sessionstore.events import Event, Events
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
from sessionstore.sql.failures import failure_of, place_of, reported_by_server, translated
from sessionstore.sql.loops import enter_loop
from sessionstore.sql.shielding import Call, completed
from sessionstore.sql.transaction import Earlier, Operation, Scope, Transaction

RETRY_SECONDS = 15.0
"""How long lost connections, deadlocks and serialization failures are retried."""

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0
_LONGEST_PAUSE_IN_A_CROWD = 0.05  # whoever waited longer would lose against newcomers, time and again

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
        interruptible = self._capabilities.interruptible

        async def attempt(_: Earlier | None) -> T:
            await enter_loop(self._engine)
            pool = self._driver_pool()
            alone = pool is None and self._autocommit
            async with self._turn:
                return await self._outside(call, pool, operation, autocommit=alone, shielded=not interruptible)

        work = _persist(attempt, call, self._place, repeatable=True)
        return await (work if interruptible else completed(work, call, interruptible=False))

    async def write(
        self, operation: Operation[T], *, quick: Operation[T | None] | None = None, repeatable: bool = False
    ) -> T:
        """Run an operation and commit it.

        Events are delivered before this returns; a caller who is cancelled doesn't wait for the handlers.
        """
        call = Call()

        async def attempt(earlier: Earlier | None) -> tuple[T, list[Event]]:
            await enter_loop(self._engine)
            pool = self._driver_pool()
            alone = self._capabilities.writes_in_ctes and (pool is not None or self._autocommit)
            if quick is not None and alone:
                async with self._turn:
                    done = await self._outside(call, pool, committing(quick), autocommit=alone, shielded=True)
                if done is not None:
                    return done

            async def body(transaction: Transaction) -> T:
                done = None if quick is None or alone else await quick(transaction)
                return await operation(transaction) if done is None else done

            async with self._turn:
                return await self._begun(call, pool, body, earlier)

        def committing(quick: Operation[T | None]) -> Operation[tuple[T, list[Event]] | None]:
            async def body(transaction: Transaction) -> tuple[T, list[Event]] | None:
                call.commit(None)
                done = await quick(transaction)
                return None if done is None else (done, transaction.events)

            return body

        async def whole() -> T:
            result, events = await _persist(attempt, call, self._place, repeatable=repeatable)
            call.settle()
            await self._events.publish(events)
            return result

        return await completed(whole(), call, interruptible=self._capabilities.interruptible)

    async def _outside(
        self, call: Call, pool: DriverPool | None, operation: Operation[T], *, autocommit: bool, shielded: bool
    ) -> T:
        """Run an operation on a connection on which each statement is by itself, where the database can do that."""
        if pool is not None:

            async def body(direct: DriverConnection) -> T:
                return await operation(Transaction(direct, self._scope, begun=False))

            return await pool.run(self._engine, self._scope.schema, call.begin, body, shielded=shielded)
        take = AsyncEngine.connect if shielded else connected
        async with take(self._engine) as connection, self._sound(connection):
            call.begin()
            if autocommit:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
            elif self._scope.row_level_security:
                await self._ensure_transactional(connection)
            return await operation(await Transaction.entered(connection, self._scope, begun=not autocommit))

    async def _begun(
        self, call: Call, pool: DriverPool | None, operation: Operation[T], earlier: Earlier | None
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
            return await pool.run(self._engine, self._scope.schema, call.begin, body, shielded=True)
        async with self._engine.connect() as connection, self._sound(connection):
            call.begin()
            await self._ensure_transactional(connection)
            entered = await Transaction.entered(connection, self._scope, earlier=earlier)
            return await whole(entered, connection.commit)

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


async def _persist(attempt: Callable[[Earlier | None], Awaitable[T]], call: Call, place: str, *, repeatable: bool) -> T:
    """Try until it works, until trying again wouldn't help or be safe, or until the time is up.

    An attempt is told of an earlier one that may have been committed.
    """
    loop = asyncio.get_running_loop()
    deadline = 0.0
    pause = _FIRST_PAUSE
    earlier: Earlier | None = None
    while True:
        try:
            return await attempt(earlier)
        except SessionStoreError:
            raise
        except Exception as error:
            failure = failure_of(error, place)
            if failure is None:
                raise
            if call.committing and failure.outcome_unknown:
                earlier = Earlier(call.events)
            deadline = deadline or loop.time() + RETRY_SECONDS
            may_repeat = failure.retryable and (repeatable or earlier is None)
            if not may_repeat or loop.time() + pause > deadline:
                raise (failure.error if earlier is None else _unknown()) from error
        if earlier is None:
            call.pause()
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries, guards nothing
        pause = min(2 * pause, _LONGEST_PAUSE if failure.outcome_unknown else _LONGEST_PAUSE_IN_A_CROWD)


def _unknown() -> StoreUnavailable:
    message = "an error came while committing: the change may or may not have been made"
    return StoreUnavailable(message, maybe_applied=True)
