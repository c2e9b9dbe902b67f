"""What an operation works in: a connection inside a transaction."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from sqlalchemy import Dialect, Executable, Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from sessionstore.errors import InvalidValue
from sessionstore.events import Announcement
from sessionstore.sql.decoding import execute
from sessionstore.sql.dialect import capabilities_of
from sessionstore.sql.schema import metadata, qualified

TENANT_SETTING = "sessionstore.tenant_id"
"""What policies of `sessionstore.rls` ask for; it holds for one transaction."""

T = TypeVar("T")


_SHOW_TENANT = text(
    "SELECT set_config(:setting, :tenant, true),"
    " (SELECT bool_and(row_security_active(name)) FROM unnest(CAST(:tables AS text[])) AS name) AS active"
)


@dataclass(frozen=True)
class Scope:
    """What a store's transactions have in common."""

    tenant_id: str
    schema: str | None = None
    row_level_security: bool = False


class Connection(Protocol):
    """How statements reach the database: through Core, or on the driver's own connection (`direct`)."""

    @property
    def dialect(self) -> Dialect:
        """SQLAlchemy's dialect."""
        ...

    async def rows(self, statement: Executable, parameters: dict[str, Any]) -> Sequence[Any]:
        """Execute a statement and return its rows."""
        ...

    async def records(self, statement: Executable, parameters: dict[str, Any]) -> Sequence[Any]:
        """Execute a statement and return its rows, whose values need have no names."""
        ...

    async def run(self, statement: Executable, parameters: dict[str, Any]) -> int:
        """Execute a statement and return how many rows it changed."""
        ...

    async def run_many(self, statement: Executable, rows: Sequence[dict[str, Any]]) -> None:
        """Execute a statement once for each set of parameters, of which there is at least one."""
        ...


class _CoreConnection:
    """A connection of SQLAlchemy's, as hosts' engines and transactions have them."""

    def __init__(self, connection: AsyncConnection, schema: str | None) -> None:
        self.dialect = connection.dialect
        self._connection = connection
        self._options = {} if schema is None else {"schema_translate_map": {None: schema}}

    async def rows(self, statement: Executable, parameters: dict[str, Any]) -> Sequence[Any]:
        return (await execute(self._connection, statement, parameters, self._options)).all()

    records = rows

    async def run(self, statement: Executable, parameters: dict[str, Any]) -> int:
        return (await self._connection.execute(statement, parameters, execution_options=self._options)).rowcount

    async def run_many(self, statement: Executable, rows: Sequence[dict[str, Any]]) -> None:
        await self._connection.execute(statement, rows, execution_options=self._options)


@dataclass
class Earlier:
    """An earlier attempt at the same operation, whose outcome isn't known."""

    events: Sequence[Announcement] | None
    """What it would have announced; `None` when that isn't known either."""


class Transaction:
    """A connection inside a transaction, with what every statement of a store needs.

    Parameters of statements are never named like a column: SQLAlchemy would take them for
    values of an INSERT or UPDATE.
    """

    def __init__(
        self, connection: Connection, scope: Scope, *, begun: bool = True, earlier: Earlier | None = None
    ) -> None:
        self.capabilities = capabilities_of(connection.dialect)
        self.tenant_id = scope.tenant_id
        self.begun = begun
        self.earlier = earlier
        self.events: list[Announcement] = []
        self._connection = connection

    @classmethod
    async def entered(
        cls, connection: AsyncConnection, scope: Scope, *, begun: bool = True, earlier: Earlier | None = None
    ) -> Self:
        """Return a transaction in which row-level security, if asked for, shows the tenant's rows only."""
        transaction = cls(_CoreConnection(connection, scope.schema), scope, begun=begun, earlier=earlier)
        if scope.row_level_security:
            tables = [qualified(table.name, scope.schema) for table in metadata.sorted_tables]
            shown = (await transaction.rows(_SHOW_TENANT, setting=TENANT_SETTING, tables=tables))[0]
            if not shown.active:
                raise InvalidValue(
                    "row_level_security: isn't in force for this role; call sessionstore.rls.install(), "
                    "and connect as a role that is neither a superuser nor has BYPASSRLS"
                )
        return transaction

    async def rows(self, statement: Executable, **parameters: Any) -> Sequence[Row[Any]]:
        """Return all rows. The tenant is a parameter of every statement."""
        return await self.rows_of(statement, parameters)

    async def rows_of(self, statement: Executable, parameters: dict[str, Any]) -> Sequence[Row[Any]]:
        """Return all rows, for those with many parameters: passing each on by its name would cost as much as the rest.

        The dict becomes the statement's own.
        """
        parameters["tenant"] = self.tenant_id
        return await self._connection.rows(statement, parameters)

    async def records(self, statement: Executable, **parameters: Any) -> Sequence[Any]:
        """Return all rows for those who know the columns' places: naming them is a good part of a long read."""
        parameters["tenant"] = self.tenant_id
        return await self._connection.records(statement, parameters)

    async def row(self, statement: Executable, **parameters: Any) -> Row[Any] | None:
        """Return the first row, or `None`."""
        rows = await self.rows(statement, **parameters)
        return rows[0] if rows else None

    async def run(self, statement: Executable, **parameters: Any) -> int:
        """Execute a statement and return how many rows it changed."""
        parameters["tenant"] = self.tenant_id
        return await self._connection.run(statement, parameters)

    async def run_many(self, statement: Executable, rows: Sequence[dict[str, Any]]) -> None:
        """Execute a statement once for each set of parameters, in one go."""
        if rows:
            await self._connection.run_many(statement, rows)

    def announce(self, type_: str, **data: Any) -> None:
        """Have an event published once this is committed."""
        self.events.append((type_, data))

    def announce_earlier(self) -> bool:
        """Announce what an earlier attempt, which was committed after all, would have; or tell that it isn't known."""
        if self.earlier is not None and self.earlier.events is None:
            return False
        self.events += [] if self.earlier is None else self.earlier.events or ()
        return True


Operation = Callable[[Transaction], Awaitable[T]]
"""The body of a store's method: it neither commits nor rolls back, and awaits statements only.

It may run in another thread than the event loop's: where the driver has one of its own, it runs there.
"""


def quick_or(quick: Operation[T | None] | None, operation: Operation[T]) -> Operation[T]:
    """Return an operation that tries the quick one first."""
    if quick is None:
        return operation

    async def either(transaction: Transaction) -> T:
        done = await quick(transaction)
        return await operation(transaction) if done is None else done

    return either


class Runner(Protocol):
    """Runs operations: in transactions of the store's own, or in the caller's."""

    @property
    def background(self) -> bool:
        """Whether operations may run between the caller's calls: not in his transaction, behind his back."""
        ...

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that changes nothing."""
        ...

    async def write(
        self, operation: Operation[T], *, quick: Operation[T | None] | None = None, repeatable: bool = False
    ) -> T:
        """Run an operation, whole or not at all, and to its end although the caller is cancelled.

        `quick` is tried first: it does the usual case in fewer statements, in one where the database writes
        in CTEs, or it does nothing and returns `None`.
        `repeatable`: doing it twice is the same as once, also when others have written in between, so it is
        sent again when it isn't known whether it was committed. Others raise `StoreUnavailable` then.
        """
        ...
