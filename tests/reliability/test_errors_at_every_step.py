"""The law of drivers' errors at every step: whole or absent, an error of ours, and the store goes on at once."""

import logging
from collections.abc import Iterable

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore.sql import attempts
from tests.databases import PostgresDatabase

from .drivers import RoundTrips, count_round_trips
from .faults import KINDS, MAIN_KINDS
from .subject import MAIN, PATHS, Subject, subject_on

QUICK = [pytest.param(path, MAIN_KINDS, id=path) for path in MAIN]
OTHER_KINDS = tuple(kind for kind in KINDS if kind not in MAIN_KINDS)
SLOW = [
    pytest.param(path, OTHER_KINDS if path in MAIN else tuple(KINDS), id=f"all of {path}", marks=pytest.mark.slow)
    for path in PATHS
]


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> RoundTrips:
    """The drivers' round trips; retries come soon, and end soon; and no log record keeps cursors open."""
    caplog.set_level(logging.CRITICAL + 1, "sqlalchemy.pool")
    monkeypatch.setattr(attempts, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(attempts, "RETRY_SECONDS", 0.01)
    return count_round_trips(monkeypatch)


async def _fail_at_every_step(subject: Subject, path: str, trips: RoundTrips, kinds: Iterable[str]) -> None:
    clean = await subject.clean_run(path)
    for name in kinds:
        kind = KINDS[name]
        for step in range(1, 1000):
            trips.arm(kind.fault, step, lasting=kind.lasting)
            outcome = await subject.ended(subject.task(path))
            trips.disarm()
            try:
                await subject.law(clean, outcome, allowed=kind.error)
            except AssertionError as error:
                error.add_note(f"{name}, at round trip {step}")
                raise
            if not trips.happened:
                break


@pytest.mark.parametrize(("path", "kinds"), QUICK + SLOW)
async def test_an_error_at_every_step(database_url: str, path: str, kinds: Iterable[str], trips: RoundTrips) -> None:
    """A write whose n-th round trip fails, for every n, is whole or absent, and says so."""
    async with subject_on(None, database_url) as subject:
        await _fail_at_every_step(subject, path, trips, kinds)


@pytest.mark.parametrize("path", ["save_message", "pop_message", "replace_message"])
async def test_on_a_hosts_engine(database_url: str, path: str, trips: RoundTrips) -> None:
    """The same on an engine as a host makes it, whose transactions begin otherwise on SQLite."""
    async with subject_on(create_async_engine(database_url), database_url) as subject:
        await _fail_at_every_step(subject, path, trips, MAIN_KINDS)


@pytest.mark.parametrize("path", ["save_message", "pop_message"])
async def test_with_psycopg(
    postgresql_url: str, postgres_database: PostgresDatabase, path: str, trips: RoundTrips
) -> None:
    """The same with psycopg."""
    async with subject_on(None, postgres_database.url("psycopg")) as subject:
        await _fail_at_every_step(subject, path, trips, (*MAIN_KINDS, "serialization"))


@pytest.mark.parametrize("path", ["save_message", "pop_message"])
async def test_without_a_connection(database_url: str, path: str, trips: RoundTrips) -> None:
    """The same when the pool is empty, so that connecting fails too."""
    async with subject_on(None, database_url) as subject:
        clean = await subject.clean_run(path)
        for step in range(1, 1000):
            await subject.store.engine.dispose()
            trips.arm(KINDS["lost before"].fault, step)
            outcome = await subject.ended(subject.task(path))
            trips.disarm()
            await subject.law(clean, outcome)
            if not trips.happened:
                return
