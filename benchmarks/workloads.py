"""The workloads, in the order in which they run: those that read come first."""

import time
import uuid
from typing import Any

from benchmarks import content
from benchmarks.content import Contents
from benchmarks.crowd import OneSessionManyProcesses, OneSessionManyTasks, OwnSessions
from benchmarks.footprint import BytesOnDisk, PeakMemory
from benchmarks.measuring import Sample, Subject, Workload
from benchmarks.system import System

LENGTHS = (1_000, 10_000, 100_000)
"""The sessions that appends are made to; a new one is the fourth."""

LISTED = 10_000
_LAST = 20
_PAGE = 50
_WARM_UP = 3


class Read(Workload):
    """A read of a seeded session, or of the list of sessions."""

    async def start(self, subject: Subject) -> None:
        """Read once, unmeasured: statements are compiled and prepared."""
        await self._read(subject.system)

    async def measure(self, subject: Subject) -> Sample:
        """Read, and check that everything came."""
        began = time.perf_counter()
        found = await self._read(subject.system)
        taken = time.perf_counter() - began
        expected = self._expected()
        if found != expected:
            raise AssertionError(f"{subject.name} gave {found} of {expected} in {self.key}")
        return Sample(taken * 1000)

    def _expected(self) -> int:
        return {"load": self.length, "page": _PAGE}.get(self.needs, _LAST)

    async def _read(self, system: System) -> int:
        match self.needs:
            case "load":
                return await system.load(content.long(self.length))
            case "last":
                return await system.last(content.long(self.length), _LAST)
            case "after":
                return await system.after(content.long(self.length), self.length - _LAST, _LAST)
            case _:
                return await system.page(_PAGE)


class Append(Workload):
    """Appends of one size to a session of some length; a new session each time for length 0."""

    def __init__(self, key: str, title: str, *, count: int, **options: Any) -> None:
        super().__init__(key, title, needs="append", **options)
        self.count = count

    async def start(self, subject: Subject) -> None:
        """Append a few times, unmeasured."""
        system, session = subject.system, await self._new(subject.system)
        for number in range(_WARM_UP):
            await system.append(session, number + 1, self.count)
        if self.length:
            session = content.long(self.length)
            await system.append(session, self.length + 1, self.count)
        subject.state = session

    async def _new(self, system: System) -> str:
        session = f"{self.key}-{uuid.uuid4().hex}"
        await system.create(session)
        return session

    async def measure(self, subject: Subject) -> Sample:
        """Append once."""
        session = await self._new(subject.system) if self.length == 0 and self.count == 1 else subject.state
        number = time.perf_counter_ns()
        began = time.perf_counter()
        await subject.system.append(session, number, self.count)
        return Sample((time.perf_counter() - began) * 1000)


def contents(workloads: list[Workload]) -> Contents:
    """Return what the databases must hold for some workloads."""
    lengths = {workload.length for workload in workloads if workload.length}
    return Contents(tuple(sorted(lengths)), LISTED if any(workload.needs == "page" for workload in workloads) else 0)


def workloads() -> list[Workload]:
    """Return all workloads."""
    longest = LENGTHS[-1]
    return [
        Read("load_all", "load all 10,000", needs="load", length=10_000, batch=1, rounds=5, durable=False),
        PeakMemory("peak_memory", "peak memory of that", needs="load", length=10_000, batch=1, rounds=1, durable=False),
        Read("last_20", f"last 20 of {longest:,}", needs="last", length=longest, durable=False),
        Read("after_20", f"20 after a pointer, of {longest:,}", needs="after", length=longest, durable=False),
        Read("list_50", f"list 50 of {LISTED:,} sessions", needs="page", durable=False),
        Append("append_1_at_0", "append 1 to a new session", count=1, durable=False),
        *(
            Append(f"append_1_at_{length}", f"append 1 at {length:,}", count=1, length=length, durable=False)
            for length in LENGTHS
        ),
        Append("append_10", "append 10", count=10, batch=5, durable=False),
        Append("append_100", "append 100", count=100, batch=2, durable=False),
        OwnSessions("tasks_32", "32 tasks, own sessions", tasks=32, each=8, durable=False),
        OwnSessions("tasks_128", "128 tasks, own sessions", tasks=128, each=2, durable=False),
        OneSessionManyTasks("shared_16_tasks", "16 tasks, one session", tasks=16, each=16, durable=False),
        OneSessionManyProcesses("shared_4_processes", "4 processes, one session", tasks=4, each=64, durable=False),
        BytesOnDisk("bytes_on_disk", "bytes on disk a message", needs="disk", batch=1, rounds=1, durable=False),
        Append("append_1_durable", "append 1 at 1,000, durable", count=1, length=1_000, durable=True),
        Append("append_100_durable", "append 100, durable", count=100, batch=2, durable=True),
        OwnSessions("tasks_32_durable", "32 tasks, own sessions, durable", tasks=32, each=8, durable=True),
        OneSessionManyTasks(
            "shared_16_tasks_durable", "16 tasks, one session, durable", tasks=16, each=16, durable=True
        ),
    ]
