"""The law of the repository's alembic.ini: Alembic's own command works on the schema, for those who work on it."""

import sys

from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import SessionInfo, SQLSessionStore, migrate
from tests.databases import TABLES
from tests.sql.hosts import disposing

from .processes import ROOT, Finished, run
from .structure import tables


async def alembic(*arguments: str, environment: dict[str, str] | None = None) -> Finished:
    """Run Alembic's command in the repository."""
    done = await run(sys.executable, "-m", "alembic", *arguments, cwd=ROOT, environment=environment)
    assert done.code == 0, done.errors
    return done


async def test_upgrade_and_check(empty_database_url: str) -> None:
    """`alembic -x url=… upgrade head` makes what store.upgrade makes, and `alembic check` finds nothing to add.

    Without -x the URL comes from SESSIONSTORE_DATABASE_URL.
    """
    await alembic("-x", f"url={empty_database_url}", "upgrade", "head")
    async with disposing(create_async_engine(empty_database_url)) as engine:
        assert await tables(engine) == {*TABLES, migrate.VERSION_TABLE}
        assert await migrate.check(engine)
        store = SQLSessionStore(engine)
        await store.upgrade()
        await store.create_session(SessionInfo(id="s"))
    checked = await alembic("check", environment={"SESSIONSTORE_DATABASE_URL": empty_database_url})
    assert "No new upgrade operations detected" in checked.output


async def test_downgrade(empty_sqlite_url: str) -> None:
    """`alembic downgrade base` takes back what store.upgrade made."""
    async with disposing(create_async_engine(empty_sqlite_url)) as engine:
        await migrate.upgrade(engine)
        await alembic("-x", f"url={empty_sqlite_url}", "downgrade", "base")
        assert await tables(engine) <= {migrate.VERSION_TABLE}
