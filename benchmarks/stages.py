"""Where the time of a call goes: `python -m benchmarks.stages`.

Between its steps the clock is read, in turns with the limit's call, whose median is 1. Both find their caches as the
other has left them, as in an application.
"""

import argparse
import asyncio
import sqlite3
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks import content
from benchmarks.content import Contents
from benchmarks.fleet import Fleet
from benchmarks.processes import silence
from benchmarks.servers import Server, servers
from benchmarks.system import System
from benchmarks.systems import sessionstore as own
from sessionstore.sql import direct, drivers, operations

_SKIPPED = 50
_LENGTH = 1_000
_LISTED = 1_000
LIMIT = "limit"
WORKS: Mapping[str, Callable[[System, int], Awaitable[object]]] = {
    "append 1": lambda system, number: system.append("s", number, 1),
    "append 100": lambda system, number: system.append("s", number, 100),
    "last 20": lambda system, _: system.last(content.long(_LENGTH), 20),
    "list 50": lambda system, _: system.page(50),
}
_BEFORE = {
    "made": "build the messages: four models each",
    "prepared": "check them, and turn them into columns",
    "taking": "see who listens, who tries again, who waits, and which loop this is",
    "taken": "take a connection from the pool",
}
_AFTER = {
    "given": "give the connection back",
    "returned": "return what came of it; publish events (writes)",
}
STAGES: Mapping[str, Mapping[str, str]] = {
    "sqlite": {
        **_BEFORE,
        "hopped": "hop to the connection's thread",
        "sent": "put the statements' values together",
        "received": "the statements, and the commit",
        "worked": "turn rows into models",
        "giving": "hop back",
        **_AFTER,
    },
    "postgresql": {
        **_BEFORE,
        "sent": "put the statement's values together",
        "received": "the round trip",
        "giving": "turn rows into models",
        **_AFTER,
    },
}
"""What each mark is the end of."""

OF_WRITES = ("made", "prepared")
DRIVER = {"sqlite": "aiosqlite", "postgresql": "asyncpg"}


class Clock:
    """Notes when something happened, in the order that it does."""

    def __init__(self) -> None:
        self.marks: list[tuple[str, float]] = []

    def mark(self, name: str) -> None:
        """Note that a stage has ended now."""
        self.marks.append((name, time.perf_counter()))

    def _around(self, before: str | None, call: Callable[..., Awaitable[Any]], after: str | None) -> Any:
        async def marked(*args: Any, **kwargs: Any) -> Any:
            if before:
                self.mark(before)
            result = await call(*args, **kwargs)
            if after:
                self.mark(after)
            return result

        return marked

    def patches(self, family: str) -> ExitStack:
        """Have the stages of sessionstore's calls noted while the result is entered."""
        stack = ExitStack()
        driver = drivers.DRIVERS[DRIVER[family]]
        for owner, name, before, after in (
            *((driver, statement, "sent", "received") for statement in ("begin", "rows", "run", "run_many", "commit")),
            (direct, "_give_back", "giving", "given"),
        ):
            stack.enter_context(patch.object(owner, name, self._around(before, getattr(owner, name), after)))
        take = direct.DriverPool._take_at_once  # pyright: ignore[reportPrivateUsage]

        def taken(pool: direct.DriverPool, engine: AsyncEngine) -> Any:
            self.mark("taking")
            return self._then("taken", take(pool, engine))

        stack.enter_context(patch.object(direct.DriverPool, "_take_at_once", taken))
        prepare, message_of, done_on = operations.prepare, own.message_of, drivers.Work.done_on
        stack.enter_context(patch.object(operations, "prepare", lambda *args: self._then("prepared", prepare(*args))))
        stack.enter_context(patch.object(own, "message_of", lambda *args: self._then("made", message_of(*args))))

        def hopped(work: drivers.Work, connection: sqlite3.Connection) -> drivers.Work:
            self.mark("hopped")
            return self._then("worked", done_on(work, connection))

        stack.enter_context(patch.object(drivers.Work, "done_on", hopped))
        return stack

    def _then(self, name: str, result: Any) -> Any:
        self.mark(name)
        return result


async def measured(server: Server, family: str, work: str, rounds: int) -> dict[str, list[float]]:
    """Return how many seconds each stage of the work took, and the limit."""
    fleet = Fleet.of(server, family, [LIMIT, "sessionstore"])
    found: dict[str, list[float]] = {}
    try:
        await fleet.seed(Contents((_LENGTH,), _LISTED))
        async with fleet.opened(durable=False) as systems:
            for system in systems.values():
                await system.create("s")
            for number in range(rounds + _SKIPPED):
                began = time.perf_counter()
                await WORKS[work](systems[LIMIT], number)
                limit = time.perf_counter() - began
                taken = {LIMIT: limit, **await _stages(systems["sessionstore"], family, work, number)}
                for name, seconds in taken.items() if number >= _SKIPPED else ():
                    found.setdefault(name, []).append(seconds)
    finally:
        fleet.drop()
    return found


async def _stages(system: System, family: str, work: str, number: int) -> dict[str, float]:
    clock = Clock()
    with clock.patches(family):
        began = time.perf_counter()
        await WORKS[work](system, number)
        clock.mark("returned")
    found: dict[str, float] = {}
    for name, end in clock.marks:
        found[name] = found.get(name, 0.0) + end - began
        began = end
    return found


def _print(server: Server, family: str, most: int) -> None:
    shares: dict[str, dict[str, float]] = {}
    for work in WORKS:
        rounds = most // 10 if work == "append 100" else most
        seconds = asyncio.run(measured(server, family, work, rounds))
        limit = statistics.median(seconds.pop(LIMIT))
        shares[work] = {name: statistics.median(values) / limit for name, values in seconds.items()}
        if missing := STAGES[family].keys() - seconds.keys() - {*OF_WRITES}:
            sys.exit(f"stages that nobody came by: {', '.join(sorted(missing))}")
    print(f"| {family}: stage, times the limit's whole call | {' | '.join(shares)} |\n| --- |{' ---: |' * len(shares)}")
    for name, title in STAGES[family].items():
        print(f"| {title} | {' | '.join(f'{one[name]:.2f}' if name in one else '' for one in shares.values())} |")
    print(f"| all | {' | '.join(f'{sum(one.values()):.2f}' for one in shares.values())} |\n")


def main() -> None:
    """Print each stage's median, in medians of the limit's call."""
    parser = argparse.ArgumentParser("python -m benchmarks.stages", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    options = parser.parse_args()
    silence()
    with servers([*STAGES]) as found:
        for family in STAGES:
            _print(found[family], family, options.rounds)


if __name__ == "__main__":
    main()
