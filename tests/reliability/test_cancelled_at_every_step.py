"""The law of cancelled callers at every step: whole or absent, and the store goes on at once."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from tests.databases import PostgresDatabase

from .steps import Steps
from .subject import MAIN, PATHS, Subject, subject_on

ALL = [pytest.param(path, marks=() if path in MAIN else pytest.mark.slow) for path in PATHS]


async def _cancel_at_every_step(subject: Subject, path: str, *, answered: bool, connecting: bool = False) -> None:
    clean = await subject.clean_run(path)
    for step in range(1, 1000):
        if connecting:
            await subject.store.engine.dispose()
        callers: list[asyncio.Task[object]] = []
        steps = Steps(step, lambda callers=callers: callers[0].cancel(), answered=answered)
        with steps.watching():
            callers.append(subject.task(path))
            outcome = await subject.ended(callers[0])
        assert len(asyncio.all_tasks()) == 1, "it left a task behind"
        if not connecting:
            assert await subject.rows() == clean.rows, "it had begun, and wasn't seen through"
        await subject.law(clean, outcome, allowed=asyncio.CancelledError)
        if not steps.happened:
            return


@pytest.mark.parametrize("answered", [False, True], ids=["waiting", "answered"])
@pytest.mark.parametrize("path", ALL)
async def test_cancelled_at_every_step(database_url: str, path: str, answered: bool) -> None:
    """A write whose caller is cancelled at its n-th suspension, for every n, is done whole."""
    async with subject_on(None, database_url) as subject:
        await _cancel_at_every_step(subject, path, answered=answered)


@pytest.mark.parametrize("answered", [False, True], ids=["waiting", "answered"])
@pytest.mark.parametrize("path", ["save_message", "pop_message"])
async def test_while_connecting(database_url: str, path: str, answered: bool) -> None:
    """The same when the pool is empty: whole or absent, and no connection is left half made."""
    async with subject_on(None, database_url) as subject:
        await _cancel_at_every_step(subject, path, answered=answered, connecting=True)


@pytest.mark.parametrize("path", ["save_message", "pop_message", "replace_message"])
async def test_on_a_hosts_engine(database_url: str, path: str) -> None:
    """The same on an engine as a host makes it."""
    async with subject_on(create_async_engine(database_url), database_url) as subject:
        await _cancel_at_every_step(subject, path, answered=False)


async def test_with_psycopg(postgresql_url: str, postgres_database: PostgresDatabase) -> None:
    """The same with psycopg."""
    async with subject_on(None, postgres_database.url("psycopg")) as subject:
        await _cancel_at_every_step(subject, "save_message", answered=True)
