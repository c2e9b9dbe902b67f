"""Processes of their own: writers on one session, and a reader whose memory is watched."""

import asyncio
import gc
import logging
import multiprocessing
import resource
import time
import uuid
import warnings
from pathlib import Path
from typing import Any

from benchmarks.system import System
from benchmarks.systems import system_class
from benchmarks.target import Target

_SPAWN = multiprocessing.get_context("spawn")


def silence() -> None:
    """Keep libraries from logging and warning: what goes wrong is counted."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")


class Crew:
    """Processes that wait to be told to append to a session, each with a system of its own."""

    def __init__(self, name: str, target: Target, size: int) -> None:
        self._pipes: list[Any] = []
        self._processes: list[Any] = []
        for _ in range(size):
            ours, theirs = _SPAWN.Pipe()
            process = _SPAWN.Process(target=_write, args=(name, target, theirs), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def append(self, session: str, each: int) -> tuple[int, float]:
        """Let each append so many messages; return the errors, and the seconds until the last was done."""
        for pipe in self._pipes:
            pipe.send(("get ready", session))
        for pipe in self._pipes:
            pipe.recv()
        began = time.perf_counter()
        for pipe in self._pipes:
            pipe.send(("append", each))
        errors = sum(pipe.recv() for pipe in self._pipes)
        return errors, time.perf_counter() - began

    def close(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.send(("end", None))
        for process in self._processes:
            process.join()


def _write(name: str, target: Target, pipe: Any) -> None:
    """Be a process of a crew."""
    silence()
    asyncio.run(_obey(name, target, pipe))


async def _obey(name: str, target: Target, pipe: Any) -> None:
    from benchmarks.crowd import append_each

    system = _made(name, target)
    await system.open()
    session = ""
    while True:
        order, argument = pipe.recv()
        if order == "end":
            break
        if order == "get ready":
            session = argument
            pipe.send("ready")
        else:
            pipe.send(await append_each(system, session, argument))
    await system.close()


def _made(name: str, target: Target) -> System:
    target.settle()
    found = system_class(name, target.family)
    if found is None:
        raise LookupError(name)
    return found(target)


def peak_of_loading(name: str, target: Target, session: str) -> int:
    """Return by how many bytes a new process grows at most while it loads a session."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_load, args=(name, target, session, theirs), daemon=True)
    process.start()
    grown = ours.recv()
    process.join()
    return grown


def _load(name: str, target: Target, session: str, pipe: Any) -> None:
    silence()
    pipe.send(asyncio.run(_growth(name, target, session)))


async def _growth(name: str, target: Target, session: str) -> int:
    system = _made(name, target)
    await system.open()
    warm_up = f"warm-up-{uuid.uuid4().hex}"
    await system.create(warm_up)
    await system.append(warm_up, 1, 1)
    await system.load(warm_up)
    gc.collect()
    before = _peak(reset=True)
    await system.load(session)
    grown = _peak() - before
    await system.close()
    return grown


def _peak(*, reset: bool = False) -> int:
    """Return the most bytes of memory that this process has had, since that was last reset."""
    try:
        if reset:  # only Linux lets go of the highest value so far
            Path("/proc/self/clear_refs").write_text("5")
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
