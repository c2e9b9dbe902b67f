"""Measure: `python -m benchmarks --help`. `make bench` runs all of it and publishes what it finds."""

import argparse
import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.fleet import Fleet
from benchmarks.machine import machine, versions
from benchmarks.measuring import Workload, run
from benchmarks.plot import draw
from benchmarks.processes import silence
from benchmarks.report import Results, markdown, ratio
from benchmarks.servers import servers
from benchmarks.systems import SYSTEMS
from benchmarks.target import FAMILIES
from benchmarks.workloads import contents, workloads

_FOLDER = Path(__file__).parent / "results"
_PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
_BEGIN, _END = "<!-- results: written by make bench -->", "<!-- end of results -->"


def main() -> None:
    """Measure what the command line asks for."""
    options = _options()
    silence()
    chosen = [work for work in workloads() if any(work.key.startswith(word) for word in options.workloads)]
    if not chosen:
        sys.exit(f"no such workloads; there are {', '.join(work.key for work in workloads())}")
    results = measured(options.database, options.systems, chosen, rounds=options.rounds, seconds=options.seconds)
    print(markdown(results, "."))
    if options.publish:
        publish(results)


def _options() -> argparse.Namespace:
    def words(text: str) -> list[str]:
        return text.split(",")

    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--database", type=words, default=list(FAMILIES), help=", ".join(FAMILIES))
    parser.add_argument("--systems", type=words, default=list(SYSTEMS), help=", ".join(SYSTEMS))
    parser.add_argument("--workloads", type=words, default=[""], help="what their keys start with, as append_1_at")
    parser.add_argument("--rounds", type=int, default=7, help="how often every system has its turn")
    parser.add_argument("--seconds", type=float, default=0.15, help="how long a turn lasts at most, once it has begun")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results and docs/performance.md")
    options = parser.parse_args()
    if unknown := (set(options.systems) - set(SYSTEMS)) | (set(options.database) - set(FAMILIES)):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options


def measured(
    families: list[str], names: list[str], chosen: list[Workload], *, rounds: int, seconds: float
) -> dict[str, Any]:
    """Return the results, as they stand in `results.json`."""
    about, began = machine(), time.monotonic()
    with servers(families) as found:
        databases: Results = {}
        packages: dict[str, str] = {}
        for family, server in found.items():
            fleet = Fleet.of(server, family, names)
            databases[family] = asyncio.run(_measure(fleet, chosen, rounds, seconds))
            packages |= versions(name for kind in fleet.systems.values() for name in kind.distributions)
    date = datetime.now(UTC).date().isoformat()
    run_ = {"date": date, "rounds": rounds, "minutes": round((time.monotonic() - began) / 60)}
    return {**run_, "machine": about, "versions": packages, "databases": databases}


async def _measure(fleet: Fleet, chosen: list[Workload], rounds: int, seconds: float) -> Results:
    for name, module in fleet.missing.items():
        _say(f"{fleet.family}: {name} is left out, as {module} isn't installed")
    began = time.monotonic()
    done: list[Results] = []
    try:
        await fleet.seed(contents(chosen))
        _say(f"{fleet.family}: seeded in {time.monotonic() - began:.0f} s")
        for durable in (False, True):
            if works := [work for work in chosen if work.durable is durable]:
                done += await _all(fleet, works, rounds, seconds)
    finally:
        fleet.drop()
    systems = {name: {"name": kind.name, "remarks": dict(kind.remarks)} for name, kind in fleet.systems.items()}
    return {
        "description": fleet.server.description(),
        "systems": systems,
        "missing": fleet.missing,
        "workloads": done,
    }


async def _all(fleet: Fleet, works: list[Workload], rounds: int, seconds: float) -> list[Results]:
    done: list[Results] = []
    async with fleet.opened(durable=works[0].durable) as systems:
        for work in works:
            began = time.monotonic()
            found = await run(work, systems, fleet.server, rounds=rounds, seconds=seconds)
            done.append({"key": work.key, "title": work.title, "unit": work.unit, "results": found})
            shown = {name: ratio(done[-1], name) for name in found}
            figures = " ".join(f"{name} {times:.2f}" for name, times in shown.items() if times)
            _say(f"{fleet.family}: {work.key} in {time.monotonic() - began:.0f} s: {figures}")
    return done


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def publish(results: Results) -> None:
    """Write the results, the pictures, and the page's part between its marks."""
    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (_FOLDER / "results.md").write_text(markdown(results, "."))
    draw(results, _FOLDER)
    before, rest = _PAGE.read_text().split(_BEGIN)
    after = rest.split(_END)[1]
    page = markdown(results, "../benchmarks/results")
    _PAGE.write_text(f"{before}{_BEGIN}\n\n{page}\n{_END}{after}")


if __name__ == "__main__":
    main()
