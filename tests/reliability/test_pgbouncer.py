"""The laws behind PgBouncer in transaction mode, where each transaction of a client is on another connection."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.errors import InvalidValue, StoreUnavailable
from sessionstore.testing import SessionStoreLaws
from sessionstore.testing.build import ids, seqs, user
from tests.databases import PostgresServer
from tests.migrations.processes import run_together
from tests.sql.hosts import at_once
from tests.sql.roles import ROLE, guarded

from .pooler import Pooler

pytestmark = pytest.mark.slow

DRIVERS = ["asyncpg", "psycopg"]


@pytest.fixture(scope="module")
def pooler(postgres_server: PostgresServer) -> Iterator[Pooler]:
    """A PgBouncer in front of the run's server, for the tests of this file."""
    with Pooler(postgres_server.url(None), ROLE) as pooler:
        yield pooler


@pytest.fixture(params=DRIVERS)
def pooled_url(request: pytest.FixtureRequest, pooler: Pooler, postgresql_url: str) -> str:
    """An upgraded database without rows, through the pooler."""
    return pooler.url(postgresql_url, request.param)


class TestLaws(SessionStoreLaws):
    """Every law holds through the pooler."""

    @pytest.fixture
    async def store(self, pooled_url: str) -> AsyncIterator[SQLSessionStore]:
        async with SQLSessionStore.from_url(pooled_url, pgbouncer=True) as store:
            yield store


_UPGRADE = """
import asyncio
from sessionstore import SessionInfo, SQLSessionStore

async def main():
    async with SQLSessionStore.from_url(sys.argv[3], pgbouncer=True) as store:
        wait("start")
        await store.upgrade()
        await store.create_session(SessionInfo(id=sys.argv[2]))

asyncio.run(main())
"""


@pytest.mark.parametrize("driver", DRIVERS)
async def test_eight_processes_upgrade(pooler: Pooler, empty_postgresql_url: str, driver: str, tmp_path: Path) -> None:
    """Eight processes that start at once upgrade an empty database through the pooler: all succeed."""
    url = pooler.url(empty_postgresql_url, driver)
    assert await run_together(8, _UPGRADE, tmp_path, url) == []
    async with SQLSessionStore.from_url(url, pgbouncer=True) as store:
        assert sorted(ids(await store.list_sessions())) == [str(number) for number in range(8)]


_WRITE = """
import asyncio
from sessionstore import Message, SQLSessionStore, TextPart

async def write(store, name):
    for number in range(10):
        message = Message(id=f"{name}.{number}", session_id="s", role="user", parts=[TextPart(content="x")])
        saved = await store.save_message(message)
        read, follows = await asyncio.gather(
            store.get_message("s", message.id), store.get_messages_after("s", saved.seq - 1, limit=1)
        )
        assert read == saved and follows == [saved], (saved, read, follows)

async def main():
    async with SQLSessionStore.from_url(sys.argv[3], pgbouncer=True) as store:
        wait("start")
        await asyncio.gather(*(write(store, f"{sys.argv[2]}.{name}") for name in range(10)))

asyncio.run(main())
"""


async def test_thirty_writers(pooled_url: str, tmp_path: Path) -> None:
    """Thirty writers in three processes append and read through four connections: no error, nothing lost or doubled."""
    async with SQLSessionStore.from_url(pooled_url, pgbouncer=True) as store:
        await store.create_session(SessionInfo(id="s"))
        assert await run_together(3, _WRITE, tmp_path, pooled_url) == []
        messages = await store.get_messages("s")
    assert seqs(messages) == list(range(1, 301))
    assert len(set(ids(messages))) == 300


async def _failures(store: SQLSessionStore) -> list[BaseException]:
    """Let ten clients take turns on the pooler's connections; return what stopped them."""

    async def client(name: str) -> None:
        await store.create_session(SessionInfo(id=name))
        for _ in range(20):
            saved = await store.save_message(user(name))
            assert await store.get_messages_after(name, (saved.seq or 0) - 1) == [saved]

    done = await asyncio.gather(*(client(str(name)) for name in range(10)), return_exceptions=True)
    return [error for error in done if error is not None]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncpg 0.30 drops a connection that breaks in its set-up
async def test_without_the_setting(pooler: Pooler, postgresql_url: str) -> None:
    """Without `pgbouncer=True` asyncpg's prepared statements get lost: `StoreUnavailable` names the setting."""
    async with SQLSessionStore.from_url(pooler.url(postgresql_url, "asyncpg")) as store:
        failures = await _failures(store)
    gc.collect()
    assert [error for error in failures if isinstance(error, StoreUnavailable) and "pgbouncer=True" in str(error)]


async def test_with_the_setting(pooled_url: str) -> None:
    """With `pgbouncer=True` the same clients do the same without an error."""
    async with SQLSessionStore.from_url(pooled_url, pgbouncer=True) as store:
        assert await _failures(store) == []


@pytest.mark.parametrize(
    ("driver", "options", "name"),
    [
        ("asyncpg", {"server_settings": {"search_path": "x"}}, "search_path"),
        ("psycopg", {"options": "-c search_path=x"}, "options"),
    ],
)
async def test_a_refused_option_is_named(
    pooler: Pooler, postgresql_url: str, driver: str, options: dict[str, Any], name: str
) -> None:
    """A connection option that the pooler doesn't know is `InvalidValue`, which names it, at once."""
    url = pooler.url(postgresql_url, driver)
    async with SQLSessionStore.from_url(url, pgbouncer=True, engine_kwargs={"connect_args": options}) as store:
        async with asyncio.timeout(5):
            with pytest.raises(InvalidValue, match=f"'{name}'"):
                await store.list_sessions()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_tenants_share_connections(pooler: Pooler, postgresql_url: str, driver: str) -> None:
    """With row-level security no tenant, and nobody without one, sees what the connection's last user was shown."""
    url = pooler.url(postgresql_url, driver, user=ROLE)
    anyone = text("SELECT count(*) FROM sessionstore_sessions")

    async def tenant(store: SQLSessionStore) -> None:
        await store.create_session(SessionInfo(id=store.tenant_id))
        for number in range(1, 16):
            await store.save_message(user(store.tenant_id))
            assert ids(await store.list_sessions()) == [store.tenant_id]
            assert len(await store.get_messages(store.tenant_id)) == number
            assert await store.get_messages("t0" if store.tenant_id != "t0" else "t1") == []
            async with store.engine.connect() as connection:
                assert await connection.scalar(anyone) == 0

    async with guarded(postgresql_url):
        first = SQLSessionStore.from_url(url, pgbouncer=True, tenant_id="t0", row_level_security=True)
        async with first:
            await at_once(*(tenant(first.for_tenant(f"t{number}")) for number in range(8)))
