"""What other processes do: functions that a process forked from a warm one runs.

multiprocessing's fork server has imported everything before, and has no threads and no event
loop; a child starts in a few milliseconds.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from enum import Enum
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import Message, SQLSessionStore, TextPart, ToolCallPart
from tests.sql.hosts import disposing

from .clients import Client, message_of
from .history import Call

WRITERS = 3
"""Tasks of a process that writes."""

_HOUR = 3600


class Engine(Enum):
    """Whose engine it is."""

    OURS = "from_url's"
    HOSTS = "a host's, with the driver's defaults"


@cache
def context() -> ForkServerContext:
    """Return what starts processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "asyncpg", "aiosqlite"])
    return context


def pool(processes: int) -> ProcessPoolExecutor:
    """Return an executor of so many processes."""
    return ProcessPoolExecutor(processes, mp_context=context())


def soon() -> float:
    """Return the moment, on the clock that all processes share, when those that are started now begin at once."""
    return time.monotonic() + 0.5


def wait_until(moment: float) -> None:
    """Wait for a moment that another process chose."""
    time.sleep(max(0.0, moment - time.monotonic()))


def act_at_random(url: str, session_id: str, name: int, seed: int, tasks: int, calls: int, begin: float) -> list[Call]:
    """Be several clients of a session; return what came of their calls."""

    async def work() -> list[Call]:
        async with SQLSessionStore.from_url(url) as store:
            clients = [Client(store, session_id, name * 100 + number, seed) for number in range(tasks)]
            noted = await asyncio.gather(*(client.work(calls) for client in clients))
        return [call for calls in noted for call in calls]

    wait_until(begin)
    return asyncio.run(work())


def message(session_id: str, name: int, number: int) -> Message:
    """Return the message that a writer with this name sends as its so-many-th: large enough to take several pages."""
    call = ToolCallPart(tool_call_id=f"{name}", tool_name="write", arguments={"number": number})
    parts = [TextPart(content=f"{name}.{number} " * 800), call, TextPart(content="the last part")]
    usage = {"input_tokens": number}
    return Message(id=f"{name}.{number}", session_id=session_id, role="assistant", parts=parts, usage=usage)


@contextlib.asynccontextmanager
async def opened(url: str, engine: Engine) -> AsyncIterator[SQLSessionStore]:
    """Open a store on one engine or another."""
    if engine is Engine.OURS:
        async with SQLSessionStore.from_url(url) as store:
            yield store
    else:
        async with disposing(create_async_engine(url)) as host:
            yield SQLSessionStore(host)


def write(url: str, engine: Engine, session_id: str, file: Path, *, awaited: bool = True) -> None:
    """Append from several tasks until this process ends, noting in a file what was acknowledged.

    What was written to the file outlives the process, whatever ends it. `awaited`: the main task
    waits for the writers, and so cancels them when it is interrupted; otherwise `asyncio.run` does.
    """
    notes = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def append(store: SQLSessionStore, name: int) -> None:
        for number in itertools.count(1):
            saved = await store.save_message(message(session_id, name, number))
            os.write(notes, f"{saved.id}\n".encode())

    async def work() -> None:
        main = asyncio.current_task()
        assert main is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, main.cancel)
        async with opened(url, engine) as store:
            writers = [asyncio.create_task(append(store, name)) for name in range(WRITERS)]
            await (asyncio.gather(*writers) if awaited else asyncio.sleep(_HOUR))

    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(work())


def append_batches(url: str, sessions: list[str], name: int, tasks: int, count: int, begin: float) -> None:
    """Append batches of two to several sessions, in turn, from several tasks."""

    async def append(store: SQLSessionStore, task: int) -> None:
        for number in range(count):
            for session_id in sessions:
                names = [f"{name}.{task}.{number}.{half}" for half in "ab"]
                await store.save_messages([message_of(session_id, each) for each in names])

    async def work() -> None:
        async with SQLSessionStore.from_url(url) as store:
            await asyncio.gather(*(append(store, task) for task in range(tasks)))

    wait_until(begin)
    asyncio.run(work())
