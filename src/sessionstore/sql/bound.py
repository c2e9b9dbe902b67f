"""Runs operations in the caller's transaction."""

import asyncio
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from sessionstore.errors import InvalidValue
from sessionstore.events import Announcement
from sessionstore.sql.connections import in_autocommit
from sessionstore.sql.dialect import capabilities_of
from sessionstore.sql.failures import translated
from sessionstore.sql.shielding import completed
from sessionstore.sql.transaction import Operation, Scope, Transaction, quick_or

T = TypeVar("T")


class CallersTransaction:
    """Runs operations inside the caller's transaction, and keeps their events until it has committed."""

    def __init__(self, bound: AsyncConnection | AsyncSession, scope: Scope) -> None:
        self._bound = bound
        self._scope = scope
        self._turn = asyncio.Lock()  # a connection takes one call at a time
        self.events: list[Announcement] = []

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
                result = await quick_or(quick, operation)(transaction)
                self.events += transaction.events
                return result

    async def _refuse_autocommit(self, connection: AsyncConnection) -> None:
        if capabilities_of(connection.dialect).isolation_level is not None and await in_autocommit(connection):
            raise InvalidValue("connection: is in autocommit mode, so there is no transaction to work inside")
