"""The laws of stricter isolation: writers that are broken off are tried again, but never in a caller's transaction."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.errors import StoreUnavailable
from sessionstore.sql.transaction import Transaction
from tests.sql.hosts import SETTINGS, disposing
from tests.sql.invariants import broken

from .clients import message_of

WRITERS, APPENDS = 30, 3
PATIENCE = 60
"""Seconds for all of them. A wait of 15 seconds is an error by itself."""


@pytest.fixture(params=["serializable", pytest.param("repeatable read", marks=pytest.mark.slow)])
async def engine(request: pytest.FixtureRequest, postgresql_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine of a host's, whose transactions are isolated strictly."""
    async with disposing(SETTINGS["postgresql"][request.param](postgresql_url)) as engine:
        yield engine


@pytest.fixture
async def store(engine: AsyncEngine) -> SQLSessionStore:
    store = SQLSessionStore(engine)
    await store.create_session(SessionInfo(id="s"))
    return store


async def test_many_writers(store: SQLSessionStore) -> None:
    """Thirty writers on one session are all done in bounded time, and none gets an error."""

    async def write(name: int) -> None:
        for number in range(APPENDS):
            await store.save_message(message_of("s", f"{name}.{number}"))

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(write(name) for name in range(WRITERS)))
    stored = await store.get_messages("s")
    assert [message.seq for message in stored] == list(range(1, WRITERS * APPENDS + 1))
    assert {message.id for message in stored} == {f"{w}.{n}" for w in range(WRITERS) for n in range(APPENDS)}
    assert await broken(store.engine) == []


async def _overtaken(store: SQLSessionStore, connection: AsyncConnection) -> None:
    """Begin a caller's transaction, and let another one append before it does."""
    assert await store.bind(connection).get_messages("s") == []
    await store.save_message(message_of("s", "first"))


async def test_the_callers_transaction(store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the caller's transaction a serialization failure is StoreUnavailable after one attempt: it is theirs."""
    attempts = 0
    entered = Transaction.entered.__func__

    async def count(*arguments: object, **named: object) -> Transaction:
        nonlocal attempts
        attempts += 1
        return await entered(Transaction, *arguments, **named)

    async with store.engine.connect() as connection:
        await _overtaken(store, connection)
        monkeypatch.setattr(Transaction, "entered", count)
        with pytest.raises(StoreUnavailable) as raised:
            await store.bind(connection).save_message(message_of("s", "second"))
        assert attempts == 1
        assert getattr(raised.value.__cause__, "orig", None).sqlstate == "40001"
        await connection.rollback()
        await store.bind(connection).save_message(message_of("s", "second"))
        await connection.commit()
    assert [message.id for message in await store.get_messages("s")] == ["first", "second"]
