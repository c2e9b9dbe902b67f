"""The laws of a server that stops in the middle: what was acknowledged is there, and the rest can be repeated."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.errors import StoreUnavailable
from sessionstore.sql import attempts
from tests import databases
from tests.databases import PostgresServer
from tests.sql.invariants import broken

from .clients import entry_of, message_of
from .history import Entry
from .servers import FAST, IMMEDIATE, OwnServer, programs

pytestmark = pytest.mark.slow

WRITERS, READERS = 8, 2


@pytest.fixture(scope="module")
def server(postgres_server: PostgresServer) -> Iterator[OwnServer]:
    """A server that this module may stop, with the tables in it."""
    with OwnServer(programs(postgres_server)) as server:
        databases.run(databases.upgrade(server.url()))
        yield server


@pytest.fixture(params=["postgresql+asyncpg", "postgresql+psycopg"])
async def store(request: pytest.FixtureRequest, server: OwnServer) -> AsyncIterator[SQLSessionStore]:
    async with SQLSessionStore.from_url(server.url(request.param)) as store:
        yield store
        await store.delete_session("s")


@dataclass
class Work:
    """Writers and readers of one session, until they are told to stop."""

    store: SQLSessionStore
    acknowledged: dict[str, Entry] = field(default_factory=dict[str, Entry])
    refused: int = 0
    reads: int = 0
    stopping: bool = False

    async def write(self, name: int) -> None:
        """Append one message after another; repeat one that failed until it is stored."""
        number = 0
        while not self.stopping:
            number += 1
            message = message_of("s", f"{name}.{number}")
            while message.id not in self.acknowledged:
                try:
                    self.acknowledged[message.id] = entry_of(await self.store.save_message(message))
                except StoreUnavailable:
                    self.refused += 1
                    await asyncio.sleep(0.05)

    async def follow(self) -> None:
        """Read what is new by the highest `seq` seen: all that is there, and nothing twice."""
        last = 0
        while not self.stopping:
            try:
                new = [entry_of(message) for message in await self.store.get_messages_after("s", last)]
            except StoreUnavailable:
                self.refused += 1
                continue
            assert [entry.seq for entry in new] == list(range(last + 1, last + 1 + len(new)))
            last += len(new)
            self.reads += 1
            await asyncio.sleep(0.002)

    async def until_more(self) -> None:
        """Wait until the work goes on: two more appends a writer."""
        enough = len(self.acknowledged) + 2 * WRITERS
        async with asyncio.timeout(60):
            while len(self.acknowledged) < enough:  # noqa: ASYNC110 - the writers go on
                await asyncio.sleep(0.01)


async def _restart(server: OwnServer, work: Work, mode: signal.Signals, pause: float) -> None:
    await work.until_more()
    await asyncio.to_thread(server.stop, mode)
    await asyncio.sleep(pause)
    await asyncio.to_thread(server.start)
    await work.until_more()


async def _worked_through(
    server: OwnServer, store: SQLSessionStore, pauses: list[tuple[signal.Signals, float]]
) -> Work:
    """Work while the server stops and starts; check that nothing is lost, doubled or half done, and return the work."""
    await store.create_session(SessionInfo(id="s"))
    work = Work(store)
    async with asyncio.TaskGroup() as group:
        for name in range(WRITERS):
            group.create_task(work.write(name))
        for _ in range(READERS):
            group.create_task(work.follow())
        for mode, pause in pauses:
            await _restart(server, work, mode, pause)
        work.stopping = True
    stored = [entry_of(message) for message in await store.get_messages("s")]
    assert {entry.id: entry for entry in stored} == work.acknowledged
    assert [entry.seq for entry in stored] == list(range(1, len(work.acknowledged) + 1))
    assert await broken(store.engine) == []
    return work


async def test_short_breaks(server: OwnServer, store: SQLSessionStore) -> None:
    """Through restarts and crashes of a second no append and no read fails, and none is lost or doubled."""
    work = await _worked_through(server, store, [(FAST, 0.3), (IMMEDIATE, 0.3), (FAST, 0), (IMMEDIATE, 0)])
    print(f"{len(work.acknowledged)} appends, {work.reads} reads")
    assert work.refused == 0


async def test_long_breaks(server: OwnServer, store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a longer break callers get StoreUnavailable; what they repeat is stored once."""
    monkeypatch.setattr(attempts, "RETRY_SECONDS", 0.2)
    work = await _worked_through(server, store, [(FAST, 1), (IMMEDIATE, 1)])
    print(f"{len(work.acknowledged)} appends, {work.reads} reads, {work.refused} refused")
    assert work.refused >= WRITERS


async def test_what_is_not_repeated(server: OwnServer, store: SQLSessionStore) -> None:
    """Pops through a crash: each message goes to one caller, or an error says that it may be gone."""
    await store.create_session(SessionInfo(id="s"))
    sent = [message_of("s", str(number)) for number in range(400)]
    await store.save_messages(sent)
    popped: list[str] = []
    unsure = 0

    async def pop() -> None:
        nonlocal unsure
        for _ in range(30):
            try:
                message = await store.pop_message("s")
            except StoreUnavailable as error:
                unsure += error.maybe_applied
            else:
                assert message is not None
                popped.append(message.id)

    work = asyncio.gather(*(pop() for _ in range(WRITERS)))
    for mode, enough in ((IMMEDIATE, 60), (FAST, 120)):
        while len(popped) < enough:  # noqa: ASYNC110 - the callers go on
            await asyncio.sleep(0.005)
        await asyncio.to_thread(server.stop, mode)
        await asyncio.to_thread(server.start)
    await work
    left = [message.id for message in await store.get_messages("s")]
    assert len(set(popped)) == len(popped)
    assert set(left).isdisjoint(popped)
    assert left == [message.id for message in sent[: len(left)]]
    assert len(sent) - len(left) - len(popped) <= unsure
    assert await broken(store.engine) == []
