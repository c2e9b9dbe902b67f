"""The laws of row-level security: the database itself shows a transaction only its tenant's rows."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore import SessionInfo, SQLSessionStore, rls
from sessionstore.compaction import Truncate
from sessionstore.conversation.draft import stream
from sessionstore.errors import InvalidValue, SessionExists, SessionNotFound
from sessionstore.testing.build import ids, user
from tests.databases import TABLES

from .roles import ROLE, guarded


@pytest.fixture
async def owner(postgresql_url: str) -> AsyncIterator[AsyncEngine]:
    """The owner's engine, with policies on the tables for as long as the test lasts."""
    async with guarded(postgresql_url) as engine:
        yield engine


@pytest.fixture(params=["READ COMMITTED", "AUTOCOMMIT"])
async def application(
    owner: AsyncEngine, postgresql_url: str, request: pytest.FixtureRequest
) -> AsyncIterator[AsyncEngine]:
    """An application's engine, as a role that the policies hold for."""
    url = make_url(postgresql_url).set(username=ROLE)
    engine = create_async_engine(url, pool_size=1, max_overflow=0, isolation_level=request.param)
    yield engine
    await engine.dispose()


async def test_tenants_are_kept_apart_by_the_database(application: AsyncEngine) -> None:
    """A store works as ever, sees its own sessions only, and so does SQL that names no tenant."""
    acme = SQLSessionStore(application, tenant_id="acme", row_level_security=True)
    beta = acme.for_tenant("beta")
    await acme.create_session(SessionInfo(id="s"))
    saved = await acme.save_message(user("s", id="m"))
    assert await acme.save_message(user("s", id="m")) == saved
    await acme.update_session_summary("s", "m")
    await acme.track_read_file("s", "/a")
    assert await acme.has_read_file("s", "/a")
    async with stream(acme, "s", id="d") as draft:
        for text_ in ("so", " far", "\0"):
            await draft.append_text(text_)
            await draft.flush()
    assert ids(await acme.get_messages("s")) == ["m", "d"]
    with pytest.raises(SessionNotFound):
        await stream(beta, "s").__aenter__()
    fork = await acme.conversation("s").fork()
    await acme.conversation(fork.id).append(user(fork.id))
    assert await acme.conversation(fork.id).compact(Truncate(0)) is not None
    assert await beta.conversation(fork.id).turns() == []
    assert await acme.delete_session(fork.id)
    assert await beta.get_messages("s") == []
    assert await beta.list_sessions() == []
    with pytest.raises(SessionExists):
        await beta.create_session(SessionInfo(id="s"))
    async with application.connect() as connection:
        for table in TABLES:
            assert await connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0
    assert await acme.delete_session("s")


async def test_the_setting_ends_with_the_transaction(owner: AsyncEngine, postgresql_url: str) -> None:
    """In the caller's transaction the tenant is shown until its end; a pooled connection shows nothing afterwards."""
    engine = create_async_engine(make_url(postgresql_url).set(username=ROLE), pool_size=1, max_overflow=0)
    store = SQLSessionStore(engine, tenant_id="acme", row_level_security=True)
    async with engine.begin() as connection:
        await store.bind(connection).create_session(SessionInfo(id="s"))
        assert await connection.scalar(text("SELECT count(*) FROM sessionstore_sessions")) == 1
    async with engine.begin() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM sessionstore_sessions")) == 0
        with pytest.raises(DBAPIError):
            await connection.execute(text("INSERT INTO sessionstore_read_files VALUES ('s', '', '', '', now())"))
    await engine.dispose()


async def test_roles_that_would_bypass_it_are_refused(owner: AsyncEngine) -> None:
    """A superuser sees everything whatever the policies say: the store doesn't pretend otherwise."""
    store = SQLSessionStore(owner, tenant_id="acme", row_level_security=True)
    with pytest.raises(InvalidValue, match="row_level_security"):
        await store.list_sessions()
    with pytest.raises(InvalidValue, match="row_level_security"):
        await store.create_session(SessionInfo())


async def test_without_policies_it_is_refused(owner: AsyncEngine, postgresql_url: str) -> None:
    """A role that policies would hold for is refused while there are none."""
    await rls.remove(owner)
    engine = create_async_engine(make_url(postgresql_url).set(username=ROLE))
    store = SQLSessionStore(engine, tenant_id="acme", row_level_security=True)
    with pytest.raises(InvalidValue, match="row_level_security"):
        await store.list_sessions()
    await engine.dispose()


async def test_no_tenant_and_no_postgres_are_refused(owner: AsyncEngine, sqlite_url: str) -> None:
    """The tenant `""` matches no policy, and SQLite has none."""
    with pytest.raises(InvalidValue, match="tenant_id"):
        SQLSessionStore(owner, row_level_security=True)
    with pytest.raises(InvalidValue, match="row_level_security"):
        SQLSessionStore.from_url(sqlite_url, tenant_id="acme", row_level_security=True)
    sqlite = create_async_engine(sqlite_url)
    with pytest.raises(InvalidValue, match="PostgreSQL"):
        await rls.install(sqlite)
    await sqlite.dispose()
