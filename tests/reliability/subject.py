"""A store that calls are tried on again and again, each time from the same rows, and the laws of what comes of them."""

import asyncio
import gc
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore import Event, SessionArchive, SQLSessionStore
from sessionstore.errors import SessionStoreError, StoreUnavailable
from sessionstore.sql.operations import Operations
from sessionstore.sql.schema import metadata
from tests.sql.calls import MAKING, WRITES, Call, Target, filled_session
from tests.sql.invariants import broken

PATHS: dict[str, Call] = {
    **MAKING,
    **WRITES,
    "save_message again": lambda s, t: s.save_message(t.message("m2", "two")),
    "save_messages partly": lambda s, t: s.save_messages([t.message("m2", "two"), t.message()]),
}
"""Every write path."""

MAIN = (
    "save_message",
    "save_messages",
    "save_messages timed",
    "pop_message",
    "replace_message",
    "save_session",
    "delete_session",
)

SECONDS = 10.0
"""More than any call, or the next write, may take: a lock that is left behind shows as a timeout."""

_UNSTABLE = {"id"}
"""What a second run of the same call gives other values for: ids of parts; and times."""

Rows = dict[str, list[Any]]


def _target(path: str) -> Target:
    return Target("made" if path in MAKING else "s")


@dataclass(frozen=True)
class Outcome:
    """What came of a call, without the frames that it ran in, which would keep cursors open."""

    cancelled: bool = False
    error: BaseException | None = None

    @classmethod
    def of(cls, task: "asyncio.Future[Any]") -> "Outcome":
        if task.cancelled():
            return cls(cancelled=True)
        error = cause = task.exception()
        while cause is not None:
            traceback.clear_frames(cause.__traceback__)
            cause = cause.with_traceback(None).__cause__ or cause.__context__
        return cls(error=error)


@dataclass
class Clean:
    """What comes of a call when nothing goes wrong."""

    rows: Rows
    events: list[Event]
    error: str | None


@dataclass
class Subject:
    """A store under test, another engine to look at its rows with, and what the rows are in the beginning."""

    store: SQLSessionStore
    observer: AsyncEngine
    archive: SessionArchive
    events: list[Event] = field(default_factory=list[Event])
    before: Rows = field(default_factory=dict[str, list[Any]])

    async def rows(self) -> Rows:
        """Return what is stored, but for what differs each time."""
        found: Rows = {}
        async with self.observer.connect() as connection:
            for table in metadata.sorted_tables:
                unstable = _UNSTABLE if table.name.endswith("parts") else set[str]()
                columns = [c for c in table.c if not c.name.endswith("_at") and c.name not in unstable]
                result = await connection.execute(select(*columns).order_by(*table.primary_key))
                found[table.name] = [tuple(row) for row in result]
        return found

    async def restore(self) -> None:
        """Bring the rows back, through the store itself, which must be able to write at once."""
        async with asyncio.timeout(SECONDS):
            await self.store.delete_session("made")
            await self.store.delete_session("s")
            await self.store.import_session(self.archive)
        self.events.clear()

    async def clean_run(self, path: str) -> Clean:
        """Run a call with nothing in its way."""
        error = (await self.ended(self.task(path))).error
        assert error is None or isinstance(error, SessionStoreError)
        clean = Clean(await self.rows(), list(self.events), None if error is None else type(error).__name__)
        assert await broken(self.observer) == []
        await self.restore()
        assert await self.rows() == self.before
        return clean

    def task(self, path: str, store: Operations | None = None) -> "asyncio.Task[Any]":
        """Begin a call, on the store or on one that is bound."""

        async def call() -> Any:
            return await PATHS[path](store or self.store, _target(path))

        return asyncio.get_running_loop().create_task(call())

    async def ended(self, task: "asyncio.Task[Any]") -> Outcome:
        """Return what came of a call, when it has ended."""
        await asyncio.wait({task}, timeout=SECONDS)
        assert task.done(), "it hangs"
        return Outcome.of(task)

    async def law(self, clean: Clean, outcome: Outcome, *, allowed: type[BaseException] | None = None) -> None:
        """See that what came of a call is lawful, and bring the rows back."""
        rows = await self.rows()
        assert rows in (self.before, clean.rows), "neither whole nor absent"
        self._lawful_result(clean, outcome, rows, allowed)
        self._lawful_events(clean, outcome, rows)
        assert getattr(self.store.engine.sync_engine.pool, "checkedout")() == 0, "a connection is out"  # noqa: B009
        await self.next_write()
        await self.restore()

    async def next_write(self) -> None:
        """See that another connection can write at once: nothing is locked, and nothing left to be committed."""
        async with asyncio.timeout(SECONDS), self.observer.begin() as connection:
            await connection.execute(text("UPDATE sessionstore_sessions SET title = title"))

    def _lawful_result(self, clean: Clean, outcome: Outcome, rows: Rows, allowed: type[BaseException] | None) -> None:
        error = outcome.error
        if outcome.cancelled:
            assert allowed is asyncio.CancelledError
        elif error is None:
            assert clean.error is None
            assert rows == clean.rows, "returned, and not done"
        elif isinstance(error, StoreUnavailable):
            assert error.maybe_applied or rows == self.before, "done, and not said so"
        elif isinstance(error, SessionStoreError):
            assert allowed or type(error).__name__ == clean.error, repr(error)
            assert rows == self.before, "refused, and done"
        else:
            assert allowed, repr(error)
            assert isinstance(error, allowed), repr(error)

    def _lawful_events(self, clean: Clean, outcome: Outcome, rows: Rows) -> None:
        """What was committed was announced once, unless the error says that it isn't known; nothing else was."""
        if rows == self.before == clean.rows and outcome.error is None:
            # A message that was stored already, and an answer that got lost: who is to know that it wasn't stored now?
            assert len(self.events) <= 1
            return
        assert self.events in ([], clean.events), "announced in part, or twice"
        if rows == self.before != clean.rows:
            assert self.events == [], "announced, and not done"
        elif rows != self.before and outcome.error is None:
            assert self.events == clean.events, "done, and not announced"


@asynccontextmanager
async def subject_on(engine: AsyncEngine | None, url: str) -> AsyncIterator[Subject]:
    """Make a store, on an engine of the host's or on one of `from_url`, with a session in it."""
    store = SQLSessionStore.from_url(url) if engine is None else SQLSessionStore(engine)
    unexpected: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unexpected.append(context))
    observer = create_async_engine(url.replace("+psycopg", "+asyncpg"))
    try:
        await filled_session(store)
        archive = await store.export_session("s")
        assert archive is not None
        subject = Subject(store, observer, archive)
        subject.before = await subject.rows()
        store.events.subscribe(subject.events.append)
        yield subject
        assert await broken(observer) == []
    finally:
        await store.close()
        if engine is not None:
            await engine.dispose()
        await observer.dispose()
    gc.collect()
    assert unexpected == []
