"""Many writers at once, in tasks or processes. What was written is counted afterwards."""

import asyncio
import time
import uuid
from typing import ClassVar

from benchmarks.measuring import Sample, Subject, Workload
from benchmarks.processes import Crew
from benchmarks.system import System


class _Crowd(Workload):
    """So many writers that append so many messages each, one by one."""

    unit: ClassVar[str] = "messages/s"

    def __init__(self, key: str, title: str, *, needs: str, tasks: int, each: int, durable: bool) -> None:
        super().__init__(key, title, needs=needs, batch=1, rounds=5, durable=durable)
        self.tasks = tasks
        self.each = each

    def _sample(self, stored: int, errors: int, seconds: float) -> Sample:
        acknowledged = self.tasks * self.each - errors
        return Sample(acknowledged / seconds, errors, lost=max(0, acknowledged - stored))


class OwnSessions(_Crowd):
    """Tasks that append to a session of their own."""

    def __init__(self, key: str, title: str, *, tasks: int, each: int, durable: bool) -> None:
        super().__init__(key, title, needs="append", tasks=tasks, each=each, durable=durable)

    async def start(self, subject: Subject) -> None:
        """Fill the pool: one round, unmeasured."""
        await self.measure(subject)

    async def _sessions(self, system: System) -> list[str]:
        sessions = [f"{self.key}-{uuid.uuid4().hex}" for _ in range(self.tasks)]
        for session in sessions:
            await system.create(session)
        return sessions

    async def measure(self, subject: Subject) -> Sample:
        """Let all tasks append, and count what is stored."""
        system = subject.system
        sessions = await self._sessions(system)
        system.crowded = True
        began = time.perf_counter()
        failed = await asyncio.gather(*(append_each(system, session, self.each) for session in sessions))
        taken = time.perf_counter() - began
        system.crowded = False
        stored = [await system.count(session) for session in dict.fromkeys(sessions)]
        return self._sample(sum(stored), sum(failed), taken)


class OneSessionManyTasks(OwnSessions):
    """Tasks that append to the same session."""

    def __init__(self, key: str, title: str, *, tasks: int, each: int, durable: bool) -> None:
        super().__init__(key, title, tasks=tasks, each=each, durable=durable)
        self.needs = "share"

    async def _sessions(self, system: System) -> list[str]:
        session = f"{self.key}-{uuid.uuid4().hex}"
        await system.create(session)
        return [session] * self.tasks


class OneSessionManyProcesses(_Crowd):
    """Processes that append to the same session."""

    def __init__(self, key: str, title: str, *, tasks: int, each: int, durable: bool) -> None:
        super().__init__(key, title, needs="share", tasks=tasks, each=each, durable=durable)

    async def start(self, subject: Subject) -> None:
        """Start the processes, and let each append once, unmeasured."""
        subject.state = Crew(subject.name, subject.system.target, self.tasks)
        await self._round(subject.system, subject.state, 1)

    async def measure(self, subject: Subject) -> Sample:
        """Let all processes append, and count what is stored."""
        return self._sample(*await self._round(subject.system, subject.state, self.each))

    async def _round(self, system: System, crew: Crew, each: int) -> tuple[int, int, float]:
        session = f"{self.key}-{uuid.uuid4().hex}"
        await system.create(session)
        errors, seconds = crew.append(session, each)
        return await system.count(session), errors, seconds

    async def stop(self, subject: Subject) -> None:
        """End the processes."""
        if subject.state is not None:
            subject.state.close()


async def append_each(system: System, session: str, each: int) -> int:
    """Append one by one, and return how many appends raised an error."""
    errors = 0
    for number in range(1, each + 1):
        try:
            await system.append(session, number, 1)
        except Exception:  # noqa: BLE001 - whatever a system raises is counted
            errors += 1
    return errors
