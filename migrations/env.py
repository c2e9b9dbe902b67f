"""How Alembic runs our migrations: on a connection that is handed in, or on one of its own."""

import asyncio
import os
from typing import Any

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import migrate
from sessionstore.sql.schema import metadata


def configure(**options: Any) -> None:
    schema = context.config.attributes.get("schema")
    context.configure(
        target_metadata=metadata,
        include_name=lambda name, type_, parents: type_ != "table" or not migrate.include_name(name, type_, parents),
        version_table=migrate.VERSION_TABLE,
        version_table_schema=schema,
        sessionstore_schema=schema,
        sessionstore_own_track=True,
        render_as_batch=True,
        transactional_ddl=True,
        **options,
    )


def run(connection: Connection) -> None:
    configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def run_on_own_connection() -> None:
    url = context.get_x_argument(as_dictionary=True).get("url") or os.environ["SESSIONSTORE_DATABASE_URL"]
    engine = create_async_engine(url)
    async with migrate.exclusive(engine) as connection:
        await connection.run_sync(run)
    await engine.dispose()


if context.is_offline_mode():
    configure(dialect_name=context.config.attributes["dialect_name"], literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
elif (handed_in := context.config.attributes.get("connection")) is not None:
    run(handed_in)
else:
    asyncio.run(run_on_own_connection())
