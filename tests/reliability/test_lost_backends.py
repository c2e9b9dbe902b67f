"""The laws of connections that the server ends: appends are sent again inside, and each is stored once."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from sessionstore import SessionInfo
from sessionstore.errors import StoreUnavailable
from tests.databases import PostgresDatabase
from tests.sql.invariants import broken

from .backends import Killer, victim
from .clients import Client, entry_of, message_of
from .linear import unexplained

TASKS, APPENDS = 16, 30


@pytest.mark.parametrize("driver", ["asyncpg", pytest.param("psycopg", marks=pytest.mark.slow)])
@pytest.mark.parametrize("all_of_them", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["one", "all"])
async def test_appends(
    postgres_database: PostgresDatabase, postgresql_url: str, driver: str, all_of_them: bool
) -> None:
    """Of 480 appends by 16 tasks, while backends are ended 11 times, none fails, none is lost and none is doubled."""
    killer = Killer(postgresql_url)
    async with victim(postgres_database.url(driver)) as store:
        await store.create_session(SessionInfo(id="s"))
        saved: list[tuple[int, str]] = []

        async def work(name: int) -> None:
            for number in range(APPENDS):
                message = await store.save_message(message_of("s", f"{name}.{number}"))
                saved.append((message.seq or 0, message.id))
                await asyncio.sleep(0.02)  # appends are quicker than the one who ends their backends

        places = range(20, TASKS * APPENDS - 20, 40)
        kills = killer.kill_at(lambda: len(saved), places, all_of_them=all_of_them)
        await asyncio.gather(kills, *(work(name) for name in range(TASKS)))
        stored = [entry_of(message) for message in await store.get_messages("s")]
        assert len(places) >= 8
        assert killer.ended >= len(places)
        assert [(entry.seq, entry.id) for entry in stored] == sorted(saved)
        assert [entry.seq for entry in stored] == list(range(1, TASKS * APPENDS + 1))
        assert {entry.version for entry in stored} == {0}
        assert await broken(store.engine) == []


async def test_inside_the_callers_transaction(postgresql_url: str) -> None:
    """In the caller's transaction nothing is sent again: a lost connection is StoreUnavailable, and nothing is left."""
    async with victim(postgresql_url) as store:
        await store.create_session(SessionInfo(id="s"))
        async with store.engine.connect() as connection:
            bound = store.bind(connection)
            await bound.save_message(message_of("s", "first"))
            await Killer(postgresql_url).kill(all_of_them=True)
            with pytest.raises(StoreUnavailable):
                await bound.save_message(message_of("s", "second"))
        assert (await store.save_message(message_of("s", "third"))).seq == 1
        assert await broken(store.engine) == []


@pytest.mark.slow
@pytest.mark.parametrize("round", range(3))
async def test_histories(postgresql_url: str, seed: int, round: int) -> None:
    """Of random calls by several clients, while backends are ended, some order explains all that they saw."""
    killer = Killer(postgresql_url, seed)
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(victim(postgresql_url)) for _ in range(4)]
        await stores[0].create_session(SessionInfo(id="s"))
        clients = [Client(store, "s", name, seed) for name, store in enumerate(stores)]
        kills = killer.kill_at(lambda: sum(len(client.calls) for client in clients), range(15, 220, 20))
        await asyncio.gather(kills, *(client.work(60) for client in clients))
        reader = Client(stores[0], "s", 9, seed)
        await reader.read_all()
        calls = [call for client in [*clients, reader] for call in client.calls]
        report = unexplained([replace(call, resent=killer.struck(call.invoked, call.returned)) for call in calls])
        assert report is None
        assert await broken(stores[0].engine) == []
