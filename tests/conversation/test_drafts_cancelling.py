"""The laws of a stream whose task is cancelled, at any moment."""

import asyncio
import random

import pytest

from sessionstore import RawPart, SessionInfo, SQLSessionStore
from sessionstore.conversation.draft import Draft, stream
from tests.sql.invariants import broken

ROUNDS = 60
WHOLE = "0123456789"


@pytest.fixture(autouse=True)
async def session(store: SQLSessionStore) -> None:
    await store.create_session(SessionInfo(id="s"))


class Answer:
    """A stream, and how far it came."""

    def __init__(self, store: SQLSessionStore) -> None:
        self.draft: Draft = stream(store, "s")
        self.came = ""
        self.flushed = ""

    async def run(self) -> None:
        async with self.draft as draft:
            for character in WHOLE:
                await draft.append_reasoning("r")
                self.came += character
                await draft.append_text(character)
                if character in "258":
                    await draft.add_part(RawPart(data=character))
                    await draft.flush()
                    self.flushed = self.came
            draft.usage = {"output_tokens": 1}


async def _check(store: SQLSessionStore, answer: Answer, task: asyncio.Task[None]) -> None:
    message = await store.get_message("s", answer.draft.message.id)
    if message is None:
        assert task.cancelled()
        assert answer.came == ""
        return
    text = message.get_text_content().replace("\n", "")
    assert message == answer.draft.message
    assert text == answer.came
    assert text.startswith(answer.flushed)
    assert message.status == "complete" if not task.cancelled() else message.status != "in_progress"
    if message.status == "complete":
        assert text == WHOLE


async def test_cancelled_at_any_turn(store: SQLSessionStore) -> None:
    """Cancelled after any number of the loop's turns, a draft is absent, or ended with all that came."""
    statuses: set[str] = set()
    for turns in range(0, ROUNDS * 3, 3):
        answer = Answer(store)
        task = asyncio.create_task(answer.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        await _check(store, answer, task)
        statuses |= {message.status for message in await store.get_messages("s", limit=1)}
    assert "interrupted" in statuses
    assert await store.recover(stale_after=0) == []
    assert getattr(store.engine.sync_engine.pool, "checkedout")() == 0  # noqa: B009
    assert await broken(store.engine) == []


async def test_cancelled_at_any_time(store: SQLSessionStore) -> None:
    """The same at random moments, several streams at once, some cancelled twice."""
    chance = random.Random(3)  # noqa: S311
    for _ in range(ROUNDS // 4):
        answers = [Answer(store) for _ in range(4)]
        tasks = [asyncio.create_task(answer.run()) for answer in answers]
        for task in tasks:
            await asyncio.sleep(chance.uniform(0, 0.03))
            task.cancel()
            if chance.random() < 0.5:
                await asyncio.sleep(0)
                task.cancel()
        await asyncio.wait(tasks)
        for answer, task in zip(answers, tasks, strict=True):
            await _check(store, answer, task)
    assert await store.recover(stale_after=0) == []
    assert await broken(store.engine) == []


async def test_a_timeout(store: SQLSessionStore) -> None:
    """A timeout around the stream is a timeout, and leaves the draft interrupted."""

    async def slow() -> None:
        async with stream(store, "s") as draft:
            await draft.append_text("so far")
            await asyncio.sleep(30)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slow(), 0.2)
    (message,) = await store.get_messages("s")
    assert (message.status, message.get_text_content()) == ("interrupted", "so far")
