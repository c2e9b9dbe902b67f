"""`sessionstore db …`: the tables and their history."""

from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore import migrate
from sessionstore.cli.options import DEFAULT_URL, DatabaseUrl, Schema, Yes
from sessionstore.cli.running import confirm, failed, on_store, plain_errors
from sessionstore.sql.store import SQLSessionStore

app = typer.Typer(help="Create, upgrade and check the tables.", no_args_is_help=True)

Revision = Annotated[str, typer.Argument(metavar="REVISION")]


@app.command()
def upgrade(revision: Revision = "head", database_url: DatabaseUrl = DEFAULT_URL, schema: Schema = None) -> None:
    """Create the tables, or bring them up to date. Safe to run anywhere, at any time, at once."""

    async def act(store: SQLSessionStore) -> None:
        await migrate.upgrade(store.engine, schema=schema, revision=revision)
        await _tell_revision(store.engine, schema)

    on_store(database_url, schema, "", act)


@app.command(context_settings={"ignore_unknown_options": True})
def downgrade(
    revision: Revision, yes: Yes = False, database_url: DatabaseUrl = DEFAULT_URL, schema: Schema = None
) -> None:
    """Take the tables back to an earlier revision; `base` drops them, with all sessions in them."""

    async def act(store: SQLSessionStore) -> None:
        await migrate.downgrade(store.engine, schema=schema, revision=revision)
        await _tell_revision(store.engine, schema)

    if not yes:
        confirm(f"Downgrade to {revision}? `base` drops the tables with ALL sessions, for all tenants.")
    on_store(database_url, schema, "", act)


@app.command()
def current(database_url: DatabaseUrl = DEFAULT_URL, schema: Schema = None) -> None:
    """Print the revision that the tables are at."""
    on_store(database_url, schema, "", lambda store: _tell_revision(store.engine, schema))


@app.command()
def check(database_url: DatabaseUrl = DEFAULT_URL, schema: Schema = None) -> None:
    """Exit with 1 unless the tables are up to date."""

    async def act(store: SQLSessionStore) -> None:
        if not await migrate.check(store.engine, schema=schema):
            raise failed(
                "the tables are missing or not up to date; run `sessionstore db upgrade` "
                "(or, where your own Alembic makes them, `alembic upgrade heads`)"
            )
        typer.echo("up to date")

    on_store(database_url, schema, "", act)


@app.command()
def sql(database_url: DatabaseUrl = DEFAULT_URL, schema: Schema = None) -> None:
    """Print the SQL that makes the tables in an empty database, for a DBA to run."""
    with plain_errors():
        typer.echo(migrate.sql(database_url, schema=schema))


async def _tell_revision(engine: AsyncEngine, schema: str | None) -> None:
    typer.echo(await migrate.current(engine, schema=schema) or "no tables")
