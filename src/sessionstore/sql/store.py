"""`SQLSessionStore`: the interface over SQLAlchemy, on an engine or inside the caller's transaction."""

from collections.abc import Mapping
from itertools import starmap
from types import TracebackType
from typing import Any, Self

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from sessionstore import migrate
from sessionstore.conversation import Conversation
from sessionstore.errors import InvalidValue
from sessionstore.events import Event, Events
from sessionstore.sql import checks
from sessionstore.sql.bound import CallersTransaction
from sessionstore.sql.checks import check
from sessionstore.sql.dialect import capabilities_of
from sessionstore.sql.engine import make_engine
from sessionstore.sql.failures import check_schema_name
from sessionstore.sql.operations import Operations
from sessionstore.sql.runners import OwnTransactions
from sessionstore.sql.transaction import Scope


class _Store(Operations):
    """The interface's methods, and the service layer over them."""

    def conversation(self, session_id: str) -> Conversation:
        """Return the service layer on one session, which needn't be there yet; it works as this store does."""
        return Conversation(self, session_id)


class SQLSessionStore(_Store):
    """A `SessionStore` in a SQL database: SQLite through aiosqlite, Postgres through asyncpg or psycopg.

    It works on the application's engine as that is: it adds no listeners and changes no
    settings. It holds no connection between calls, one during a call, and shares no state
    with other instances. The tables live in `schema` (the connection's default, if left
    out); `upgrade` makes them. Sessions of other tenants than `tenant_id` are as if absent.
    `row_level_security` puts up a second wall on Postgres (`sessionstore.rls`), for a round
    trip more a call. `events` shares another store's subscriptions.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        schema: str | None = None,
        tenant_id: str = "",
        row_level_security: bool = False,
        events: Events | None = None,
    ) -> None:
        if not isinstance(engine, AsyncEngine):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue(f"engine: is {type(engine).__name__}; make it with create_async_engine, or use from_url")
        check_schema_name(schema)
        self._scope = Scope(check(checks.TENANT, tenant_id, "tenant_id"), schema, row_level_security)
        if row_level_security and not capabilities_of(engine.dialect).row_level_security:
            raise InvalidValue("row_level_security: this database has none; it takes PostgreSQL")
        if row_level_security and not tenant_id:
            raise InvalidValue("tenant_id: row-level security shows nothing to the tenant ''; give another one")
        self._engine = engine
        self._events = Events(tenant_id) if events is None else events.for_tenant(tenant_id)
        self._owns_engine = False
        self._auto_upgrade = False
        super().__init__(OwnTransactions(engine, self._scope, self._events))

    @classmethod
    def from_url(
        cls,
        url: str | URL,
        *,
        schema: str | None = None,
        tenant_id: str = "",
        row_level_security: bool = False,
        auto_upgrade: bool = False,
        pgbouncer: bool = False,
        engine_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return a store with an engine of its own; `close` it, or use it as a context manager.

        `auto_upgrade` brings the tables up to date on entering `async with`, and only there. `pgbouncer` is
        for a pooler in transaction mode. `engine_kwargs` go to `create_async_engine`. Raises `InvalidValue`
        for a URL without an async driver.
        """
        engine = make_engine(url, pgbouncer=pgbouncer, engine_kwargs=engine_kwargs)
        store = cls(engine, schema=schema, tenant_id=tenant_id, row_level_security=row_level_security)
        store._owns_engine = True
        store._auto_upgrade = auto_upgrade
        return store

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._engine.dialect.name}, schema={self._scope.schema!r})"

    async def __aenter__(self) -> Self:
        if self._auto_upgrade:
            await self.upgrade()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Dispose of the engine if `from_url` made it; the application's own stays as it is."""
        if self._owns_engine:
            await self._engine.dispose()

    async def upgrade(self) -> None:
        """Bring the tables up to date, creating `schema` if need be; safe from many processes at once."""
        await migrate.upgrade(self._engine, schema=self._scope.schema)

    @property
    def engine(self) -> AsyncEngine:
        """The engine."""
        return self._engine

    @property
    def tenant_id(self) -> str:
        """The owner of the sessions that this store sees."""
        return self._scope.tenant_id

    @property
    def events(self) -> Events:
        """What this tenant's stores announce once it is committed; see `Events.subscribe`."""
        return self._events

    def bind(self, connection: AsyncConnection | AsyncSession) -> "BoundSessionStore":
        """Return the same methods inside the caller's open transaction, which stays the caller's.

        It never commits and never rolls back. An error of ours leaves the transaction usable.
        """
        if not isinstance(connection, (AsyncConnection, AsyncSession)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue(
                f"connection: is {type(connection).__name__}; bind an AsyncConnection or AsyncSession of SQLAlchemy"
            )
        transaction = CallersTransaction(connection, self._scope)
        return BoundSessionStore(transaction, self._events)

    def for_tenant(self, tenant_id: str) -> Self:
        """Return the same store for another owner of sessions, on the same engine, which it doesn't close."""
        return type(self)(
            self._engine,
            schema=self._scope.schema,
            tenant_id=tenant_id,
            row_level_security=self._scope.row_level_security,
            events=self._events,
        )


class BoundSessionStore(_Store):
    """A `SessionStore` inside the caller's transaction; `SQLSessionStore.bind` makes it."""

    def __init__(self, transaction: CallersTransaction, events: Events) -> None:
        super().__init__(transaction)
        self._transaction = transaction
        self._events = events

    async def publish_events(self) -> None:
        """Deliver the events of what was done, once: call it when the transaction has committed."""
        collected, self._transaction.events = self._transaction.events, []
        await self._events.publish(starmap(Event, collected))
