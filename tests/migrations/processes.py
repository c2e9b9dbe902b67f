"""Python processes that tests start, and wait for."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""

PATIENCE = 150
"""Seconds after which a process has hung."""


@dataclass(frozen=True)
class Finished:
    """A process that has ended, and what it said."""

    code: int
    output: str
    errors: str


async def run(*command: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> Finished:
    """Run a command to its end."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env={**os.environ, **(environment or {})}, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return Finished(process.returncode or 0, output.decode(), errors.decode())


_PRELUDE = """
import hashlib, pathlib, sys, time

def wait(stage):
    gate = pathlib.Path(sys.argv[1], hashlib.sha256(stage.encode()).hexdigest())
    gate.mkdir(exist_ok=True)
    gate.joinpath(sys.argv[2]).touch()
    deadline = time.monotonic() + 120
    while len(list(gate.iterdir())) < COUNT:
        assert time.monotonic() < deadline, "another process failed"
        time.sleep(0.002)
"""


async def run_together(count: int, script: str, folder: Path, *arguments: str) -> list[str]:
    """Run a script in so many processes, which wait for one another at each `wait(stage)`; return what went wrong."""
    whole = _PRELUDE.replace("COUNT", str(count)) + script
    done = await asyncio.gather(
        *(
            run(sys.executable, "-W", "error", "-c", whole, str(folder), str(number), *arguments)
            for number in range(count)
        )
    )
    return [process.errors or f"exit code {process.code}" for process in done if process.code]
