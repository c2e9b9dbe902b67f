"""The law of the pause: Python's collector rests while many rows become models, and never while a statement runs."""

import gc
import weakref
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.collecting import MANY
from sessionstore.errors import CorruptRecord
from sessionstore.sql.drivers import DRIVERS
from sessionstore.sql.texts import StatementText
from sessionstore.sql.transaction import Transaction
from sessionstore.testing.build import user

_READ = text("SELECT seq FROM sessionstore_messages")


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    """Leave the collector as it was."""
    yield
    gc.enable()


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SQLSessionStore]:
    """A store with a long session."""
    async with SQLSessionStore.from_url(database_url) as store:
        await store.create_session(SessionInfo(id="s"))
        await store.save_messages([user("s", id=f"m{number}") for number in range(MANY)])
        yield store


@pytest.fixture
def turned(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the collector was on each time that many rows were turned into values."""
    seen: list[bool] = []
    records = StatementText.records

    def noting(self: StatementText, found: Sequence[Any]) -> Sequence[Any]:
        if len(found) >= MANY:
            seen.append(gc.isenabled())
        return records(self, found)

    monkeypatch.setattr(StatementText, "records", noting)
    return seen


async def test_it_rests_and_goes_on(store: SQLSessionStore, turned: list[bool]) -> None:
    """It rests while a long session is read, and is on again afterwards."""
    assert len(await store.get_messages("s")) == MANY
    assert turned == [False]
    assert gc.isenabled()


async def test_nothing_is_kept(store: SQLSessionStore) -> None:
    """What was read is gone with its last reference: no thread and no connection keeps it."""
    messages = await store.get_messages("s")
    first = weakref.ref(messages[0])
    del messages
    assert first() is None


async def test_it_goes_on_after_an_error(store: SQLSessionStore, turned: list[bool]) -> None:
    """It is on again also when a row can't be read."""
    async with store.engine.begin() as connection:
        await connection.execute(text("UPDATE sessionstore_messages SET metadata = '{' WHERE seq = 9"))
    with pytest.raises(CorruptRecord):
        await store.get_messages("s")
    assert turned == [False]
    assert gc.isenabled()


async def test_not_while_a_statement_runs(
    store: SQLSessionStore, turned: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on while the database works, also for the second statement of an operation."""
    sent: list[bool] = []
    driver: Any = DRIVERS[store.engine.dialect.driver]
    rows = driver.rows

    async def noting(self: Any, sql: str, values: Sequence[Any]) -> Sequence[Any]:
        sent.append(gc.isenabled())
        return await rows(self, sql, values)

    monkeypatch.setattr(driver, "rows", noting)

    async def operation(t: Transaction) -> int:
        return len(await t.records(_READ)) + len(await t.rows(_READ))

    assert await store.runner.read(operation) == 2 * MANY
    assert (sent, turned) == ([True, True], [False, False])
    assert gc.isenabled()


async def test_who_has_switched_it_off(store: SQLSessionStore) -> None:
    """Who has switched it off finds it off."""
    gc.disable()
    assert len(await store.get_messages("s")) == MANY
    assert not gc.isenabled()
