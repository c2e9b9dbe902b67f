"""The law of faults inside the caller's transaction: rolled back, nothing is left; cancelled, the caller goes on."""

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sessionstore.errors import SessionStoreError

from .drivers import RoundTrips, count_round_trips
from .faults import KINDS, Kind
from .steps import Steps
from .subject import MAIN, PATHS, SECONDS, Subject, subject_on

_QUICK = ("save_message", "pop_message", "save_session")


async def _fail(subject: Subject, path: str, trips: RoundTrips, kind: Kind, step: int) -> None:
    """Let a call's n-th round trip fail in a caller's transaction, which is rolled back then."""
    async with asyncio.timeout(SECONDS), subject.store.engine.connect() as connection:
        trips.arm(kind.fault, step)
        outcome = await subject.ended(subject.task(path, subject.store.bind(connection)))
        trips.disarm()
        with suppress(DBAPIError):  # a connection that is lost says so, to its owner
            await connection.rollback()
    assert not outcome.cancelled
    assert outcome.error is None or isinstance(outcome.error, SessionStoreError), repr(outcome.error)
    assert await subject.rows() == subject.before
    assert getattr(subject.store.engine.sync_engine.pool, "checkedout")() == 0  # noqa: B009
    await subject.next_write()


async def _errors_at_every_step(subject: Subject, path: str, trips: RoundTrips, kind: Kind) -> None:
    for step in range(1, 1000):
        await _fail(subject, path, trips, kind, step)
        if not trips.happened:
            return


@pytest.mark.parametrize(
    "path", [*_QUICK, *(pytest.param(p, marks=pytest.mark.slow) for p in PATHS if p not in _QUICK)]
)
async def test_an_error_at_every_step(
    database_url: str, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A call whose n-th round trip fails raises an error of ours, and the caller's rollback leaves nothing."""
    caplog.set_level("CRITICAL", "sqlalchemy.pool")
    trips = count_round_trips(monkeypatch)
    async with subject_on(None, database_url) as subject:
        for kind in ("lost before", "lost after", "serialization"):
            await _errors_at_every_step(subject, path, trips, KINDS[kind])


@pytest.mark.parametrize("path", [*MAIN, *(pytest.param(p, marks=pytest.mark.slow) for p in PATHS if p not in MAIN)])
async def test_cancelled_at_every_step(database_url: str, path: str) -> None:
    """A call that is cancelled at its n-th suspension is done whole, and the caller commits it, or rolls it back."""
    async with subject_on(None, database_url) as subject:
        clean = await subject.clean_run(path)
        for step in range(1, 1000):
            callers: list[asyncio.Task[object]] = []
            steps = Steps(step, lambda callers=callers: callers[0].cancel(), answered=step % 2 == 0)
            async with subject.store.engine.connect() as connection:
                with steps.watching():
                    callers.append(subject.task(path, subject.store.bind(connection)))
                    outcome = await subject.ended(callers[0])
                assert await connection.scalar(text("SELECT 1")) == 1
                await connection.commit()
            assert outcome.cancelled or (outcome.error and type(outcome.error).__name__) == clean.error
            assert await subject.rows() == clean.rows, "neither whole nor absent"
            await subject.next_write()
            await subject.restore()
            if not steps.happened:
                return
