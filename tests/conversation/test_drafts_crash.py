"""The law of a writer that is killed: what was flushed is there, and `recover` finds it."""

import asyncio
import sys
from asyncio.subprocess import PIPE

from sessionstore import SessionInfo, SQLSessionStore
from tests.sql.invariants import broken

WRITER = """
import asyncio, sys
from sessionstore import RawPart, SQLSessionStore
from sessionstore.conversation.draft import stream

async def main():
    async with SQLSessionStore.from_url(sys.argv[1]) as store, stream(store, "s", id="m") as draft:
        await draft.append_text("flushed ")
        await draft.add_part(RawPart(data={"a": 1}))
        await draft.append_text("tail ")
        await draft.flush()
        print("flushed", flush=True)
        draft.usage = {"input_tokens": 1}
        while True:
            await draft.append_text("x")
            await asyncio.sleep(0.001)

asyncio.run(main())
"""


async def test_kill(store: SQLSessionStore, database_url: str) -> None:
    """After kill -9 the draft is `in_progress` with what was flushed, the tables are sound, and `recover` ends it."""
    await store.create_session(SessionInfo(id="s"))
    writer = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, database_url, stdout=PIPE)
    assert writer.stdout is not None
    assert await writer.stdout.readline() == b"flushed\n"
    assert await store.recover() == []
    writer.kill()
    await writer.wait()
    (left,) = await store.get_messages("s")
    assert left.status == "in_progress"
    assert left.get_text_content().startswith("flushed \ntail ")
    assert await broken(store.engine) == []
    assert await store.recover(stale_after=30) == []
    (recovered,) = await store.recover(stale_after=0)
    assert recovered == left.model_copy(update={"status": "interrupted"})
    assert await store.get_messages("s") == [recovered]
    assert await broken(store.engine) == []
