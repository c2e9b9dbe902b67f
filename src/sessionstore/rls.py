"""Row-level security on Postgres: an opt-in second wall between tenants.

The first wall is that a store puts its tenant into every statement. The second holds
against SQL that doesn't: with `install`ed policies the database itself shows a transaction
only the tenant that was set in it. `SQLSessionStore(engine, row_level_security=True)` sets
it, for the transaction only, and refuses to work where the wall isn't up: for superusers, roles
with BYPASSRLS, and an owner whose tables aren't FORCEd. It costs each call one more
round trip.

A transaction without a tenant sees nothing, and neither does tenant `""`: after a
transaction-local setting a pooled connection reads `''`.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sessionstore.errors import InvalidValue
from sessionstore.sql.dialect import capabilities_of
from sessionstore.sql.failures import check_schema_name, place_of, translated
from sessionstore.sql.loops import enter_loop
from sessionstore.sql.schema import metadata, qualified, sessions
from sessionstore.sql.transaction import TENANT_SETTING

_POLICY = "sessionstore_tenant"
_TENANT = f"nullif(current_setting('{TENANT_SETTING}', true), '')"


async def install(connection: AsyncConnection | AsyncEngine, *, schema: str | None = None) -> None:
    """Put policies on the five tables, or put them there anew; for the tables' owner to call.

    All or nothing. With an engine it commits; with a connection it works inside the caller's
    transaction. The policies hold for the owner too (FORCE).
    """
    statements: list[str] = []
    for table in metadata.sorted_tables:
        name = qualified(table.name, schema)
        allowed = f"tenant_id = {_TENANT}"
        if table is not sessions:
            owner = qualified(sessions.name, schema)
            # By key, and correlated, so that it is one index look-up for each row that is touched.
            allowed = f"EXISTS (SELECT 1 FROM {owner} s WHERE s.id = {name}.session_id AND s.{allowed})"  # noqa: S608
        statements += (
            f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
            f"DROP POLICY IF EXISTS {_POLICY} ON {name}",
            f"CREATE POLICY {_POLICY} ON {name} USING ({allowed}) WITH CHECK ({allowed})",
        )
    await _execute(connection, schema, statements)


async def remove(connection: AsyncConnection | AsyncEngine, *, schema: str | None = None) -> None:
    """Take the policies away again."""
    statements: list[str] = []
    for table in metadata.sorted_tables:
        name = qualified(table.name, schema)
        statements += (
            f"DROP POLICY IF EXISTS {_POLICY} ON {name}",
            f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY",
            f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY",
        )
    await _execute(connection, schema, statements)


async def _execute(connection: AsyncConnection | AsyncEngine, schema: str | None, statements: list[str]) -> None:
    check_schema_name(schema)
    if not capabilities_of(connection.dialect).row_level_security:
        raise InvalidValue("connection: this database has no row-level security; it takes PostgreSQL")
    with translated(place_of(connection.engine.url)):
        if isinstance(connection, AsyncEngine):
            await enter_loop(connection)
            async with connection.begin() as own:
                for statement in statements:
                    await own.execute(text(statement))
        else:
            for statement in statements:
                await connection.execute(text(statement))
