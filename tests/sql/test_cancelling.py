"""The law of cancelled callers, a hundred times at random: whole or absent, and the store goes on."""

import asyncio
import gc
import random

from sessionstore import Message, SessionInfo, SQLSessionStore, TextPart, ToolCallPart
from sessionstore.sql.shielding import completed
from sessionstore.testing.build import seqs

from .invariants import broken

ROUNDS = 100


def _message(number: int) -> Message:
    call = ToolCallPart(tool_call_id=f"c{number}", tool_name="t", arguments={"n": number})
    parts = [TextPart(content=f"{number}"), call, TextPart(content="end")]
    usage = {"input_tokens": number}
    return Message(id=f"m{number}", session_id="s", role="assistant", parts=parts, usage=usage)


async def test_cancelled_at_random(store: SQLSessionStore) -> None:
    """Each of a hundred cancelled appends is whole or absent, the counters equal the rows, and the next write works."""
    await store.create_session(SessionInfo(id="s"))
    chance = random.Random(4)  # noqa: S311
    slow = 0.004 if store.engine.dialect.name == "sqlite" else 0.012
    finished: set[str] = set()
    for number in range(ROUNDS):
        task = asyncio.create_task(store.save_message(_message(number)))
        await asyncio.sleep(chance.uniform(0, slow))
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            finished.add(task.result().id)
    stored = await store.get_messages("s")
    assert finished <= {message.id for message in stored}
    assert all(len(message.parts) == 3 for message in stored)
    assert seqs(stored) == list(range(1, len(stored) + 1))
    assert stored
    assert await broken(store.engine) == []
    assert (await store.save_message(_message(ROUNDS))).seq == len(stored) + 1


async def test_many_cancelled_at_once(store: SQLSessionStore) -> None:
    """Many appends at once, half of them cancelled, leave no connection checked out and nothing half done.

    What had not begun when its caller went still gets its connection, and gives it back.
    """
    await store.create_session(SessionInfo(id="s"))
    tasks = [asyncio.create_task(store.save_message(_message(number))) for number in range(40)]
    await asyncio.sleep(0.005)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.wait(tasks)
    stored = {message.id for message in await store.get_messages("s")}
    assert {task.result().id for task in tasks if not task.cancelled()} <= stored
    assert {f"m{number}" for number in range(1, 40, 2)} <= stored
    async with asyncio.timeout(5):
        while getattr(store.engine.sync_engine.pool, "checkedout")():  # noqa: ASYNC110, B009
            await asyncio.sleep(0.01)
    assert await broken(store.engine) == []


async def test_cancelled_twice(store: SQLSessionStore) -> None:
    """A caller that is cancelled twice still leaves the write whole."""
    await store.create_session(SessionInfo(id="s"))
    for turns in range(0, 30, 3):
        task = asyncio.create_task(store.save_message(_message(turns)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        async with asyncio.timeout(5):
            await store.save_message(_message(1000 + turns))
    assert await broken(store.engine) == []


async def test_work_that_is_cancelled_before_it_begins() -> None:
    """It isn't begun, as at the end of `asyncio.run`, and nobody is left waiting or warned of it."""
    begun: list[str] = []

    async def work() -> None:
        begun.append("it")

    caller = asyncio.create_task(completed(work()))
    await asyncio.sleep(0)
    (task,) = asyncio.all_tasks() - {asyncio.current_task(), caller}
    task.cancel()
    await asyncio.wait({caller}, timeout=5)
    assert caller.cancelled()
    assert begun == []
    gc.collect()
