"""The schema history, callable with the host's connection: upgrade, look, locate.

Every run takes one lock for the whole database, in the transaction that changes it, so
that many processes may start at once; Alembic's own state is per process and has a lock too.
"""

import asyncio
import io
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.schema import CreateSchema

from sessionstore.errors import InvalidValue, SchemaOutOfDate
from sessionstore.sql.connections import begin_immediate
from sessionstore.sql.dialect import capabilities_of
from sessionstore.sql.failures import check_schema_name, place_of, translated
from sessionstore.sql.loops import enter_loop
from sessionstore.sql.schema import metadata

VERSION_TABLE = "sessionstore_version"

LOCK_SECONDS = 60
"""How long a run waits for another process's."""

_SET_TIMEOUT = text("SELECT set_config('lock_timeout', :timeout, true)")
_LOCK_KEY = 0x73657373696F6E73  # "sessions" in ASCII
_alembic_lock = threading.Lock()  # alembic.op and alembic.context are global to the process


async def upgrade(
    connection: AsyncConnection | AsyncEngine, *, schema: str | None = None, revision: str = "head"
) -> None:
    """Bring the tables to a revision, creating `schema` if need be; safe from many processes at once.

    All or nothing. With an engine it commits; with a connection it works inside the caller's
    transaction. Raises `StoreUnavailable` when another run doesn't end within `LOCK_SECONDS`,
    and `SchemaOutOfDate` for a database that a newer version made.
    """
    check_schema_name(schema)
    if revision == "head" and await check(connection, schema=schema):
        return
    async with exclusive(connection) as locked:
        if schema is not None and capabilities_of(locked.dialect).advisory_locks:
            await locked.execute(CreateSchema(schema, if_not_exists=True))
        if await current(locked, schema=schema) is None and await locked.run_sync(_has_tables, schema):
            raise SchemaOutOfDate(
                "the tables are there without sessionstore_version: another Alembic history made them; "
                "run `alembic upgrade heads` in that application"
            )
        await _run(locked, schema, lambda config: command.upgrade(config, revision))


async def downgrade(connection: AsyncConnection | AsyncEngine, *, schema: str | None = None, revision: str) -> None:
    """Take the tables back to a revision; `base` drops them with all that is in them."""
    check_schema_name(schema)
    async with exclusive(connection) as locked:
        await _run(locked, schema, lambda config: command.downgrade(config, revision))


async def current(connection: AsyncConnection | AsyncEngine, *, schema: str | None = None) -> str | None:
    """Return the revision that the tables are at, or `None` when there are none."""

    def read(sync_connection: Connection) -> str | None:
        options = {"version_table": VERSION_TABLE, "version_table_schema": schema}
        heads = MigrationContext.configure(sync_connection, opts=options).get_current_heads()
        return ", ".join(sorted(heads)) or None

    check_schema_name(schema)
    with translated(place_of(connection.engine.url)):
        if isinstance(connection, AsyncEngine):
            await enter_loop(connection)
            async with connection.connect() as own:
                return await own.run_sync(read)
        return await connection.run_sync(read)


async def check(connection: AsyncConnection | AsyncEngine, *, schema: str | None = None) -> bool:
    """Whether the tables are up to date."""
    return await current(connection, schema=schema) == ScriptDirectory.from_config(_config()).get_current_head()


def sql(database: str, *, schema: str | None = None) -> str:
    """Return the SQL that makes the tables in an empty database, for a DBA to run.

    `database` is a URL or a dialect's name (`postgresql`, `sqlite`).
    """
    check_schema_name(schema)
    try:
        url = make_url(database if "://" in database else f"{database}://")
        capabilities = capabilities_of(url.get_dialect()())
    except (ArgumentError, ImportError):
        raise InvalidValue("database: neither a URL nor the name of a dialect") from None
    output = io.StringIO()
    config = _config(output_buffer=output)
    config.attributes.update(dialect_name=url.get_backend_name(), schema=schema)
    with _alembic_lock:
        command.upgrade(config, "head", sql=True)
    statements = output.getvalue()
    if schema is not None and capabilities.advisory_locks:
        return f'CREATE SCHEMA IF NOT EXISTS "{schema}";\n\n{statements}'
    return statements


def include_name(
    name: str | None,
    type_: Literal["schema", "table", "column", "index", "unique_constraint", "foreign_key_constraint"] | str,
    parent_names: Mapping[str, str | None],
) -> bool:
    """Return `False` for what is ours: hand it to the `context.configure` of the host's env.py.

    Without it the host's next autogenerate proposes to drop our tables.
    """
    table = name if type_ == "table" else parent_names.get("table_name")
    return table != VERSION_TABLE and table not in metadata.tables


def versions_location() -> str:
    """Return the folder of our revisions, for `version_locations` of a host with one track."""
    return str(_location() / "versions")


@asynccontextmanager
async def exclusive(connection: AsyncConnection | AsyncEngine) -> AsyncGenerator[AsyncConnection]:
    """Hold the lock of all migrations of a database, in a transaction that an engine's run commits."""
    with translated(place_of(connection.engine.url)):
        if isinstance(connection, AsyncEngine):
            await enter_loop(connection)
            async with connection.connect() as own:
                # Under READ COMMITTED what the lock waited for is seen; autocommit would keep half a run.
                if (level := capabilities_of(own.dialect).isolation_level) is not None:
                    await own.execution_options(isolation_level=level)
                await _lock(own, anew=True)
                yield own
                await own.commit()
        else:
            await _lock(connection, anew=False)
            yield connection


async def _lock(connection: AsyncConnection, *, anew: bool) -> None:
    if capabilities_of(connection.dialect).advisory_locks:
        before = await connection.scalar(text("SELECT current_setting('lock_timeout')"))
        await connection.execute(_SET_TIMEOUT, {"timeout": f"{LOCK_SECONDS}s"})
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        await connection.execute(_SET_TIMEOUT, {"timeout": before})
        return
    await begin_immediate(connection, anew=anew)


def _has_tables(connection: Connection, schema: str | None) -> bool:
    return inspect(connection).has_table("sessionstore_sessions", schema=schema)


async def _run(connection: AsyncConnection, schema: str | None, act: Callable[[Config], Any]) -> None:
    def run(sync_connection: Connection) -> None:
        config = _config()
        config.attributes.update(connection=sync_connection, schema=schema)
        act(config)

    while not _alembic_lock.acquire(blocking=False):  # noqa: ASYNC110 - the holder may be in another thread
        await asyncio.sleep(0.01)
    try:
        await connection.run_sync(run)
    except CommandError as error:
        raise SchemaOutOfDate(
            f"the migrations can't run: {error}; if a newer version made these tables, install that version"
        ) from error
    finally:
        _alembic_lock.release()


def _location() -> Path:
    """Find the migrations: inside the installed package, or beside src in a checkout."""
    here = Path(__file__).resolve()
    installed = here.parent / "migrations"
    return installed if installed.is_dir() else here.parents[2] / "migrations"


def _config(**options: Any) -> Config:
    config = Config(**options)
    config.set_main_option("script_location", str(_location()).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config
