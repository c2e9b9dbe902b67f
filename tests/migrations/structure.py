"""What a database's catalog says of our tables, to compare two ways of making them."""

import re
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sessionstore import migrate
from sessionstore.sql.schema import metadata

_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
       pg_get_expr(d.adbin, d.adrelid), (SELECT collname FROM pg_collation WHERE oid = a.attcollation)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (c.oid, a.attnum)
WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relkind = 'r' AND a.attnum > 0 ORDER BY 1, 2
"""
_INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = :schema ORDER BY 1, 2"
_CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid, true), condeferrable FROM pg_constraint
WHERE connamespace = CAST(:schema AS regnamespace) ORDER BY 1, 2, 3
"""
_OTHERS = """
SELECT relname, relkind FROM pg_class
WHERE relnamespace = CAST(:schema AS regnamespace) AND relkind NOT IN ('r', 'i') ORDER BY 1
"""


def metadata_in(schema: str | None) -> MetaData:
    """Return our tables as they are in a schema."""
    if schema is None:
        return metadata
    moved = MetaData()
    for table in metadata.sorted_tables:
        table.to_metadata(moved, schema=schema)
    return moved


async def create_all(engine: AsyncEngine, schema: str | None = None) -> None:
    """Make the tables from the metadata, without migrations."""
    async with engine.begin() as connection:
        if schema is not None:
            await connection.execute(text(f'CREATE SCHEMA "{schema}"'))
        await connection.run_sync(metadata_in(schema).create_all)


async def structure(engine: AsyncEngine, schema: str | None = None) -> dict[str, list[str]]:
    """Return all that the catalog says of the schema, but for the version table."""
    async with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            rows = {"all": await connection.execute(text("SELECT type, name, tbl_name, sql FROM sqlite_master"))}
        else:
            parameters = {"schema": f'"{schema or "public"}"'}
            rows = {
                name: await connection.execute(
                    text(query), parameters if "CAST" in query else {"schema": schema or "public"}
                )
                for name, query in (
                    ("columns", _COLUMNS),
                    ("indexes", _INDEXES),
                    ("constraints", _CONSTRAINTS),
                    ("others", _OTHERS),
                )
            }
        return {
            name: sorted(line for row in found if migrate.VERSION_TABLE not in str(row) for line in _lines(row))
            for name, found in rows.items()
        }


def _lines(row: Any) -> list[str]:
    """Return what a row says; of a CREATE TABLE each column and constraint by itself: their order is free."""
    *names, last = (re.sub(r"\s+", " ", str(value)) for value in row)
    table = re.fullmatch(r"CREATE TABLE \S+ \((.*)\)", last)
    pieces = [last] if table is None else re.split(r", (?![^(]*\))", table[1])
    return [repr((*names, piece.strip())) for piece in pieces]


async def differences(connection: AsyncConnection, schema: str | None = None) -> list[Any]:
    """Return what Alembic would change to bring the tables to the metadata."""

    def compare(sync_connection: Connection) -> list[Any]:
        context = MigrationContext.configure(
            sync_connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_schemas": schema is not None,
                "include_name": lambda name, type_, _: type_ != "schema" or name == schema,
                "version_table": migrate.VERSION_TABLE,
                "version_table_schema": schema,
            },
        )
        return list(compare_metadata(context, metadata_in(schema)))

    return await connection.run_sync(compare)


async def tables(engine: AsyncEngine, schema: str | None = None) -> set[str]:
    """Return the names of all tables, as a second connection sees them."""
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names(schema=schema)))


async def schemas(engine: AsyncEngine) -> set[str]:
    """Return the names of all schemas."""
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_schema_names()))
