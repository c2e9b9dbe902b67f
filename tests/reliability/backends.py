"""Ending the server's ends of connections, as an administrator or a failover does."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy import make_url

from sessionstore import SQLSessionStore

_NAME = "victim"
_OPTIONS: dict[str, dict[str, Any]] = {
    "asyncpg": {"server_settings": {"application_name": _NAME}},
    "psycopg": {"application_name": _NAME},
}
_BUSY = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"


def victim(url: str) -> SQLSessionStore:
    """Return a store whose connections `Killer` ends."""
    return SQLSessionStore.from_url(url, engine_kwargs={"connect_args": _OPTIONS[make_url(url).get_driver_name()]})


class Killer:
    """Ends backends of victims, and notes when."""

    def __init__(self, url: str, seed: int = 0) -> None:
        self._url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._chance = random.Random(seed)  # noqa: S311 - for variety
        self.times: list[tuple[int, int]] = []
        """When each kill began, and when its victims had ended."""
        self.ended = 0

    async def kill(self, *, all_of_them: bool = False) -> None:
        """End one backend, in a transaction if any is, or all of them; when for a second there is none, none."""
        deadline = time.monotonic() + 1
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            pids: list[int] = []
            while not pids and time.monotonic() < deadline:
                found = await connection.execute(f"{_BUSY} ORDER BY xact_start IS NULL, pid", (_NAME,))
                pids = [pid for (pid,) in await found.fetchall()]
            began = time.monotonic_ns()
            for pid in pids if all_of_them else self._chance.sample(pids[:4], min(len(pids), 1)):
                await connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
                self.ended += 1
            self.times.append((began, time.monotonic_ns()))

    def struck(self, began: float, ended: float) -> bool:
        """Whether a kill overlaps that span of time, so that a call may have been sent again."""
        return any(first <= ended and began <= last for first, last in self.times)

    async def kill_at(self, progress: Callable[[], int], places: range, *, all_of_them: bool = False) -> None:
        """Kill each time that the progress reaches the next place."""
        for place in places:
            while progress() < place:  # noqa: ASYNC110 - the work shouldn't know that it is watched
                await asyncio.sleep(0.001)
            await self.kill(all_of_them=all_of_them)
