"""oats' module functions: one storage for a process, in the configured store or the default database."""

import asyncio
import gc
from pathlib import Path

import pytest

from sessionstore import SQLSessionStore, migrate
from sessionstore.adapters import oats
from sessionstore.defaults import DATABASE_VARIABLE
from sessionstore.errors import InvalidValue
from tests import databases


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin as a process does."""
    monkeypatch.setattr(oats, "_configured", None)
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)


async def test_sessions_of_the_configured_store(store: SQLSessionStore) -> None:
    """The functions create, give and list sessions of the configured store."""
    oats.configure(store)
    assert oats.get_session_storage() is oats.get_session_storage()
    created = await oats.create_session(
        "/p", title="t", model_id="m", provider_id="q", root_session_id="r", working_dir="/w"
    )
    info = await store.get_session(created.id)
    assert info == created.info
    assert [info.project_dir, info.working_dir, info.title] == ["/p", "/w", "t"]
    assert [info.model_id, info.provider_id, info.root_session_id] == ["m", "q", "r"]
    created.create_user_message("hello")
    await oats.get_session_storage().update(created)
    assert await oats.get_session(created.id) == created
    assert await oats.list_sessions() == [created.info]
    assert await oats.get_session("other") is None


async def test_defaults(store: SQLSessionStore) -> None:
    """The working directory is the project's unless given, and a title is made up."""
    oats.configure(store)
    session = await oats.create_session("/p")
    assert (session.info.working_dir, session.title) == ("/p", "New Session")
    assert (await oats.create_session("/p", "")).info.working_dir == ""


@pytest.mark.parametrize("name", ["project_dir", "working_dir", "title", "model_id", "provider_id", "root_session_id"])
async def test_bad_values(store: SQLSessionStore, name: str) -> None:
    """A bad value is refused as by every call of the store, by its name."""
    oats.configure(store)
    for bad in ("a\0", 5):
        with pytest.raises(InvalidValue, match=rf"info\.{name}"):
            await oats.create_session(**{"project_dir": "/p", "working_dir": "/w", name: bad})  # pyright: ignore[reportArgumentType]
    assert await oats.list_sessions() == []


async def test_the_default_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unconfigured, sessions are in sessions.db in the working directory, whose tables are made."""
    monkeypatch.chdir(tmp_path)
    session = await oats.create_session("/p")
    async with SQLSessionStore.from_url("sqlite+aiosqlite:///sessions.db") as store:
        assert await store.get_session(session.id) == session.info
    assert oats.get_session_storage() is await oats.get_session_storage()


async def test_the_database_of_the_environment(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unconfigured, the database is the environment's, upgraded once however many ask for it at once."""
    monkeypatch.setenv(DATABASE_VARIABLE, empty_database_url)
    storages = await asyncio.gather(*(_asked() for _ in range(12)))
    assert len(set(storages)) == 1
    assert len(await oats.list_sessions()) == 12
    async with SQLSessionStore.from_url(empty_database_url) as store:
        assert await migrate.check(store.engine)
        assert len(await store.list_sessions()) == 12


async def _asked() -> oats.SessionStorage:
    storage = await oats.get_session_storage()
    await oats.create_session("/p")
    return storage


async def test_first_calls_of_several_processes(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Storages that know nothing of each other may upgrade the same database at once."""
    monkeypatch.setenv(DATABASE_VARIABLE, empty_database_url)
    storages = [oats._DefaultStorage() for _ in range(4)]
    assert await asyncio.gather(*(storage.list() for storage in storages)) == [[]] * 4


def test_one_event_loop_after_another(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default database may be used from several event loops, by many at once, and leaves nothing open."""
    monkeypatch.setenv(DATABASE_VARIABLE, empty_database_url)

    async def use() -> int:
        await asyncio.gather(*(oats.create_session("/p") for _ in range(8)))
        return len(await oats.list_sessions())

    assert [databases.run(use()) for _ in range(2)] == [8, 16]
    gc.collect()  # a connection that is left open warns when it goes


async def test_configuring_again(store: SQLSessionStore) -> None:
    """The last store that was configured is used."""
    oats.configure(store.for_tenant("acme"))
    await oats.create_session("/p")
    oats.configure(store)
    assert await oats.list_sessions() == []


async def test_a_database_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL in the environment that isn't usable is refused each time, until it is mended."""
    for url, reason in (("nonsense://", "supported"), ("sqlite+aiosqlite:///:memory:", "in memory")):
        monkeypatch.setenv(DATABASE_VARIABLE, url)
        for _ in range(2):
            with pytest.raises(InvalidValue, match=reason):
                oats.get_session_storage()
