"""The benchmarks measure what they say: the raw drivers write what sessionstore writes, and a run measures it all."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from benchmarks import content, report, stages
from benchmarks.content import Contents
from benchmarks.crowd import OneSessionManyProcesses, OneSessionManyTasks, OwnSessions
from benchmarks.fleet import Fleet
from benchmarks.measuring import Workload, run
from benchmarks.servers import PostgresServer, Server, SqliteFolder
from benchmarks.system import System
from benchmarks.systems import SYSTEMS, system_class
from benchmarks.systems.sessionstore import message_of
from benchmarks.target import Target
from benchmarks.workloads import Append, Read, contents, workloads
from sessionstore import SQLSessionStore, doctor
from tests import databases

_OWN = ("limit", "sqlite3-thread", "aiosqlite", "sessionstore", "sessionstore-host")
_ALL = [
    (family, name) for family in ("sqlite", "postgresql") for name in _OWN if system_class(name, family) is not None
]


@pytest.fixture(autouse=True)
def same_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring `sqlite3.connect` back, which a benchmark replaces."""
    monkeypatch.setattr(sqlite3, "connect", sqlite3.connect)


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Target:
    """An upgraded database without rows."""
    family = request.param
    url = make_url(request.getfixturevalue(f"{family}_url"))
    location = url.set(drivername=family).render_as_string(hide_password=False)
    return Target(family, str(url.database) if family == "sqlite" else location)


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server of the benchmarks."""
    if request.param == "sqlite":
        yield SqliteFolder(tmp_path)
        return
    tests: databases.PostgresServer = request.getfixturevalue("postgres_server")
    server = PostgresServer(tests.url("postgres", driver=None))
    yield server
    server.close()


async def _content(store: SQLSessionStore, session: str) -> list[tuple[Any, ...]]:
    return [_comparable(message) for message in await store.get_messages(session)]


def _comparable(message: Any) -> tuple[Any, ...]:
    return message.role, message.status, [part.model_dump(exclude={"id"}) for part in message.parts]


@pytest.mark.parametrize(("target", "name"), _ALL, indirect=["target"])
async def test_each_writes_what_the_store_does(target: Target, name: str) -> None:
    """What is seeded and appended is read by the store as the same messages, and its doctor finds nothing."""
    kind = system_class(name, target.family)
    assert kind is not None
    system: System = kind(target)
    await system.open()
    try:
        await system.seed(Contents((2,), listed=3))
        await system.append(content.long(2), 3, 1)
        await system.append(content.long(2), 4, 3)
        counted = [await system.load(content.long(2)), await system.last(content.long(2), 4)]
        assert [*counted, await system.after(content.long(2), 4, 10), await system.page(2)] == [6, 4, 2, 2]
    finally:
        await system.close()
    async with SQLSessionStore.from_url(target.url()) as store:
        expected = [_comparable(message_of(content.long(2), number)) for number in range(1, 7)]
        assert await _content(store, content.long(2)) == expected
        assert [problem async for problem in doctor.check(store)] == []
        assert len(await store.list_sessions()) == 4


def _small() -> list[Workload]:
    return [
        Read("load_all", "load", needs="load", length=30, durable=False),
        Read("last_20", "last", needs="last", length=30, durable=False),
        Append("append_1_at_0", "append", count=1, batch=1, durable=False),
        Append("append_1_at_100000", "append", count=1, length=30, durable=False),
        OwnSessions("tasks_32", "tasks", tasks=3, each=2, durable=False),
        OneSessionManyTasks("shared_16_tasks", "tasks", tasks=3, each=2, durable=False),
    ]


@pytest.mark.parametrize("server", ["sqlite", "postgresql"], indirect=True)
async def test_a_run_measures_all(server: Server) -> None:
    """Every system gets a figure in every workload, nothing is lost, and the page shows all of it."""
    family = server.new()
    server.drop(family)
    fleet = Fleet.of(server, family.family, ["limit", "sessionstore"])
    works: list[Any] = []
    try:
        await fleet.seed(contents(_small()))
        async with fleet.opened(durable=False) as systems:
            for work in _small():
                found = await run(work, systems, server, rounds=2, seconds=0)
                works.append({"key": work.key, "title": work.title, "unit": work.unit, "results": found})
    finally:
        fleet.drop()
    summaries = [summary for work in works for summary in work["results"].values()]
    assert len(summaries) == 2 * len(_small())
    assert all(one["samples"] == 2 and one["low"] <= one["median"] <= one["high"] for one in summaries)
    assert all(one["errors"] == one["lost"] == 0 for one in summaries)
    page = report.markdown(_results(fleet, works), ".")
    assert page.count("| load |") == page.count("| load: ms |") == 1
    assert "| its own growth from 0 to 100,000 |" in page


def _results(fleet: Fleet, works: list[Any]) -> report.Results:
    systems = {name: {"name": kind.name, "remarks": dict(kind.remarks)} for name, kind in fleet.systems.items()}
    found = {"description": fleet.server.description(), "systems": systems, "missing": {}, "workloads": works}
    machine = dict.fromkeys(("processor", "processors", "memory_gib", "system", "python", "load_average"), 0)
    versions = {"asyncpg": "0"}
    database = {"databases": {fleet.family: found}}
    return {"rounds": 2, "minutes": 1, "date": "today", "machine": machine, "versions": versions, **database}


@pytest.mark.parametrize("target", ["sqlite"], indirect=True)
async def test_processes_write_one_session(target: Target, tmp_path: Path) -> None:
    """Two processes append to one session, and what they acknowledged is there."""
    kind = system_class("limit", "sqlite")
    assert kind is not None
    system = kind(target)
    await system.open()
    work = OneSessionManyProcesses("shared_4_processes", "processes", tasks=2, each=3, durable=False)
    found = await run(work, {"limit": system}, SqliteFolder(tmp_path), rounds=1, seconds=0)
    await system.close()
    assert found["limit"]["samples"] == 1
    assert found["limit"]["errors"] == found["limit"]["lost"] == 0


class _Forgetful(System):
    """Stores nothing, and can't list."""

    name, tables, cannot = "forgetful", "none", {"page": "it can't"}

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def seed(self, contents: Contents) -> None: ...

    async def append(self, session: str, number: int, count: int) -> None: ...

    async def load(self, session: str) -> int:
        return 0


async def test_what_is_lost_is_shown(tmp_path: Path) -> None:
    """A system that acknowledges what it doesn't store has it counted, and one that reads too little stops the run."""
    server = SqliteFolder(tmp_path)
    systems: dict[str, System] = {"forgetful": _Forgetful(Target("sqlite", ""))}
    work = OneSessionManyTasks("shared_16_tasks", "tasks", tasks=3, each=2, durable=False)
    found = await run(work, systems, server, rounds=1, seconds=0)
    assert found["forgetful"]["lost"] == 6
    with pytest.raises(AssertionError, match="gave 0 of 5"):
        await run(Read("load", "", needs="load", length=5, durable=False), systems, server, rounds=1, seconds=0)
    blank = await run(Read("list", "", needs="page", durable=False), systems, server, rounds=1, seconds=0)
    assert blank == {"forgetful": {"blank": "it can't"}}


def test_the_workloads_have_names_of_their_own() -> None:
    keys = [work.key for work in workloads()]
    assert len(keys) == len(set(keys))
    assert set(report.GROWTH) <= set(keys)
    assert set(_OWN) <= set(SYSTEMS)


@pytest.mark.parametrize("work", ["append 1", "last 20"])
@pytest.mark.parametrize(("server", "family"), [(family, family) for family in stages.STAGES], indirect=["server"])
async def test_a_call_comes_by_all_stages(server: Server, family: str, work: str) -> None:
    """What the stages are timed by is still what a call does."""
    found = await stages.measured(server, family, work, 3)
    left_out = {*stages.OF_WRITES} if work == "last 20" else set[str]()
    assert found.keys() == (stages.STAGES[family].keys() | {stages.LIMIT}) - left_out
    assert all(len(seconds) == 3 and min(seconds) > 0 for seconds in found.values())
