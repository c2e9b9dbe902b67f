"""The laws of a living writer: it shows that it lives, and what can't be stored now is stored later, once."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from sessionstore import RawPart, SessionInfo, SQLSessionStore
from sessionstore.conversation import upkeep
from sessionstore.conversation.draft import stream
from sessionstore.errors import StoreUnavailable
from sessionstore.sql import attempts
from sessionstore.sql.drivers import DRIVERS
from tests.sql.invariants import broken

from .drafting import stored, until, watched


@pytest.fixture(autouse=True)
async def session(store: SQLSessionStore) -> None:
    await store.create_session(SessionInfo(id="s"))


class Commits:
    """Decides what becomes of each commit: `fate` returns whether to commit, and whether the connection breaks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fate: Callable[[], tuple[bool, bool]] = lambda: (True, False)
        self.gate = asyncio.Event()
        self.gate.set()
        kinds: list[Any] = [AsyncConnection, *DRIVERS.values()]
        for kind in kinds:
            monkeypatch.setattr(kind, "commit", self._doubtful(kind.commit))

    def _doubtful(self, commit: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
        async def doubtful(connection: Any) -> None:
            await self.gate.wait()
            commits, breaks = self.fate()
            if commits:
                await commit(connection)
            if breaks:
                raise ConnectionResetError

        return doubtful


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Commits:
    return Commits(monkeypatch)


async def _last_sign(store: SQLSessionStore) -> Any:
    async with store.engine.connect() as connection:
        return await connection.scalar(text("SELECT max(updated_at) FROM sessionstore_messages"))


async def test_silence_is_not_death(store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """While its model thinks, a draft shows again and again that it lives, at a bounded cost; `recover` sees that."""
    monkeypatch.setattr(upkeep, "HEARTBEAT_SECONDS", 0.1)
    loop = asyncio.get_running_loop()
    async with stream(store, "s") as draft:
        began = loop.time()
        async with watched(store.engine) as sent:
            for _ in range(4):
                before = await _last_sign(store)
                await until(lambda before=before: _is_later(store, before))
        signs = [statement for statement, _ in sent if statement.startswith("UPDATE")]
        assert 4 <= len(signs) <= (loop.time() - began) / 0.1 + 1
        monkeypatch.setattr(upkeep, "HEARTBEAT_SECONDS", 60)
        await asyncio.sleep(1)
        assert [message.id for message in await store.recover(stale_after=0.5)] == [draft.message.id]


async def _is_later(store: SQLSessionStore, before: Any) -> bool:
    return await _last_sign(store) > before


async def test_the_upkeep_ends(store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the stream has ended, nothing is sent any more, and no task is left."""
    monkeypatch.setattr(upkeep, "HEARTBEAT_SECONDS", 0.05)
    async with stream(store, "s") as draft:
        await draft.append_text("a")
        assert "sessionstore draft" in {task.get_name() for task in asyncio.all_tasks()}
    assert "sessionstore draft" not in {task.get_name() for task in asyncio.all_tasks()}
    async with watched(store.engine) as sent:
        await asyncio.sleep(0.3)
    assert sent == []


async def test_a_flush_that_fails(
    store: SQLSessionStore, commits: Commits, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What couldn't be flushed is kept and tried again, by itself too; no log says what it was."""
    monkeypatch.setattr(attempts, "RETRY_SECONDS", 0)
    async with stream(store, "s") as draft:
        commits.fate = lambda: (False, True)
        await draft.append_text("secret")
        with pytest.raises(StoreUnavailable):
            await draft.flush()
        await until(lambda: _logged(caplog), 5)
        assert (await stored(store, draft.message.id)).parts == []
        commits.fate = lambda: (True, False)

        async def seen() -> bool:
            return (await stored(store, draft.message.id)).get_text_content() == "secret"

        await until(seen)
    assert await stored(store, draft.message.id) == draft.message
    assert "secret" not in caplog.text


async def _logged(caplog: pytest.LogCaptureFixture) -> bool:
    return any(record.levelno == logging.WARNING and "will be again" in record.message for record in caplog.records)


async def test_an_exit_that_fails(store: SQLSessionStore, commits: Commits, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exit that can't be stored raises `StoreUnavailable`; the message has all, and may be stored later."""
    monkeypatch.setattr(attempts, "RETRY_SECONDS", 0)
    draft = await stream(store, "s").__aenter__()
    await draft.append_text("all of it")
    commits.fate = lambda: (False, True)
    with pytest.raises(StoreUnavailable):
        await draft.__aexit__(None, None, None)
    commits.fate = lambda: (True, False)
    assert draft.message.get_text_content() == "all of it"
    await store.replace_message(draft.message.model_copy(update={"status": "complete"}))
    assert (await stored(store, draft.message.id)).get_text_content() == "all of it"


async def test_appending_waits_for_nobody(store: SQLSessionStore, commits: Commits) -> None:
    """While the database takes its time, deltas are taken all the same."""
    async with stream(store, "s") as draft:
        commits.gate.clear()
        await draft.append_text("a")
        await asyncio.sleep(2 * upkeep.FLUSH_SECONDS)
        async with asyncio.timeout(10):
            for _ in range(1000):
                await draft.append_text("b")
        commits.gate.set()
    assert (await stored(store, draft.message.id)).get_text_content() == "a" + "b" * 1000


async def test_deltas_without_a_pause(store: SQLSessionStore) -> None:
    """However fast deltas come, with nothing awaited between them, they are flushed all the same."""
    loop = asyncio.get_running_loop()
    async with stream(store, "s") as draft, watched(store.engine) as sent:
        deadline = loop.time() + 5
        while not sent and loop.time() < deadline:
            await draft.append_text("x")
        assert sent


@pytest.mark.parametrize("retried", [True, False])
async def test_replies_that_get_lost(
    store: SQLSessionStore, commits: Commits, monkeypatch: pytest.MonkeyPatch, retried: bool
) -> None:
    """Whichever commits lose their replies or are lost themselves, all is stored, once, and counted once."""
    chance = random.Random(7)  # noqa: S311
    monkeypatch.setattr(attempts, "_FIRST_PAUSE", 0.001)
    if not retried:
        monkeypatch.setattr(attempts, "RETRY_SECONDS", 0)
    for round_ in range(6):
        draft = stream(store, "s", id=f"m{round_}")
        await draft.__aenter__()
        commits.fate = lambda: chance.choice([(True, False), (True, True), (False, True)])
        for number in range(12):
            await draft.append_text(f"{number} " + ("\0" if number == 10 else ""))
            if number % 4 == 3:
                await draft.append_reasoning("r")
                await draft.add_part(RawPart(data=number))
            await _ignoring(draft.flush())
        draft.usage = {"input_tokens": 1}
        if not retried:
            commits.fate = lambda: (True, False)
        await draft.__aexit__(None, None, None)
        commits.fate = lambda: (True, False)
        assert await stored(store, f"m{round_}") == draft.message
        assert draft.message.status == "complete"
        assert await broken(store.engine) == []


async def _ignoring(call: Awaitable[None]) -> None:
    try:
        await call
    except StoreUnavailable:
        return


async def test_a_reply_to_the_entry_or_exit_gets_lost(store: SQLSessionStore, commits: Commits) -> None:
    """An entry or an exit whose reply is lost is sent again: one message, complete, announced once."""
    heard: list[object] = []
    store.events.subscribe(heard.append)
    fates = [(True, True), (True, False), (True, True), (True, False)]
    commits.fate = lambda: fates.pop(0)
    async with stream(store, "s") as draft:
        await draft.append_text("a")
        draft.usage = {"input_tokens": 1}
    assert fates == []
    assert await store.get_messages("s") == [draft.message]
    assert len(heard) == 1
    assert await broken(store.engine) == []
