"""Rounds: every system does a little of a workload, in turn, until all have done all."""

import gc
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from benchmarks.servers import Server
from benchmarks.system import System


@dataclass(frozen=True)
class Sample:
    """One measurement, in the workload's unit, and what went wrong in it."""

    value: float
    errors: int = 0
    lost: int = 0


@dataclass
class Series:
    """All measurements of one system in one workload."""

    values: list[float] = field(default_factory=list[float])
    errors: int = 0
    lost: int = 0

    def add(self, sample: Sample) -> None:
        """Add a measurement."""
        self.values.append(sample.value)
        self.errors += sample.errors
        self.lost += sample.lost

    def summary(self) -> dict[str, Any]:
        """Return the median and the quartiles."""
        low, median, high = (
            statistics.quantiles(self.values, n=4, method="inclusive")
            if len(self.values) > 1
            else (self.values[0],) * 3
        )
        counted = {"samples": len(self.values), "errors": self.errors, "lost": self.lost}
        return {"median": median, "low": low, "high": high, **counted}


@dataclass
class Subject:
    """A system in one workload."""

    name: str
    system: System
    server: Server
    state: Any = None
    """What the workload keeps between measurements."""


class Workload(ABC):
    """What is measured, and how often."""

    unit: ClassVar[str] = "ms"
    """`ms`, `messages/s`, `MB` or `bytes`; more is better for `messages/s` only."""

    def __init__(
        self, key: str, title: str, *, needs: str, length: int = 0, batch: int = 10, rounds: int = 1000, durable: bool
    ) -> None:
        self.key = key
        self.title = title
        self.needs = needs
        """The method of `System` that it is about, or `share` or `disk`."""
        self.length = length
        """The length of the seeded session that it works on."""
        self.batch = batch
        """How many measurements are made in a row."""
        self.rounds = rounds
        """How many rounds are enough, however many are asked for."""
        self.durable = durable

    async def start(self, subject: Subject) -> None:  # noqa: B027 - few need it
        """Prepare a system."""

    @abstractmethod
    async def measure(self, subject: Subject) -> Sample:
        """Measure once."""

    async def stop(self, subject: Subject) -> None:  # noqa: B027 - few need it
        """Clean up."""


async def run(
    workload: Workload, systems: Mapping[str, System], server: Server, *, rounds: int, seconds: float
) -> dict[str, dict[str, Any]]:
    """Measure all systems in turns, whose order moves on each round; a turn lasts `seconds`, or one measurement.

    Returns, for each system, its summary, or why it has none.
    """
    refused = {name: system.refuses(workload.needs, workload.length) for name, system in systems.items()}
    subjects = {name: Subject(name, systems[name], server) for name, reason in refused.items() if not reason}
    series = {name: Series() for name in subjects}
    gc.collect()
    gc.freeze()  # so that collecting what a turn leaves is cheap
    try:
        for subject in subjects.values():
            await workload.start(subject)
        for number in range(min(rounds, workload.rounds)):
            for name in _rotated(list(subjects), number):
                await _turn(workload, subjects[name], series[name], seconds)
    finally:
        gc.unfreeze()
        for subject in subjects.values():
            await workload.stop(subject)
    blank = {name: {"blank": reason} for name, reason in refused.items() if reason}
    return blank | {name: one.summary() for name, one in series.items()}


def _rotated(names: list[str], number: int) -> Iterable[str]:
    at = number % len(names) if names else 0
    return names[at:] + names[:at]


async def _turn(workload: Workload, subject: Subject, series: Series, seconds: float) -> None:
    gc.collect()  # nobody pays for another's garbage
    end = time.perf_counter() + seconds
    for _ in range(workload.batch):
        series.add(await workload.measure(subject))
        if time.perf_counter() > end:
            break
