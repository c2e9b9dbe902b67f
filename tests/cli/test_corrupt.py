"""What the command line does about rows that can't be read: it names them, goes on, and exits with 1."""

import json

from sqlalchemy import text

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.testing.build import user

from .conftest import CommandLine


async def _damage(store: SQLSessionStore) -> None:
    for name in "abc":
        await store.create_session(SessionInfo(id=name))
        await store.save_message(user(name))
    async with store.engine.begin() as connection:
        await connection.execute(text("UPDATE sessionstore_sessions SET metadata = '{' WHERE id = 'b'"))
        await connection.execute(text("UPDATE sessionstore_sessions SET turn_count = 4 WHERE id = 'c'"))


UNREADABLE = "sessionstore_sessions ('b',): can't be read"


def test_ls_lists_the_others(cli: CommandLine) -> None:
    """`ls` lists every session that can be read, names the others on stderr, and exits with 1."""
    cli.on_store(_damage)
    result = cli("ls")
    assert (result.code, [line.split("\t")[0] for line in result.out.splitlines()]) == (1, ["c", "a"])
    assert UNREADABLE in result.err
    assert cli("ls", "--limit", "1").code == 0
    assert [json.loads(line)["id"] for line in cli("ls", "--json", "-n", "3").out.splitlines()] == ["c", "a"]


def test_export_exports_the_others(cli: CommandLine) -> None:
    """`export` writes every session that can be read, names the others on stderr, and exits with 1."""
    cli.on_store(_damage)
    result = cli("export")
    assert result.code == 1
    assert [json.loads(line)["id"] for line in result.out.splitlines()] == ["a", "c"]
    assert UNREADABLE in result.err


def test_doctor_repairs_what_it_can(cli: CommandLine) -> None:
    """`doctor --repair` exits with 1 while something is left, and lists what; without it nothing changes."""
    cli.on_store(_damage)
    first = cli("doctor")
    assert first.code == 1
    assert "3 sessions, 2 problems" in first.err
    assert sorted(line.split("\t")[:2] for line in first.out.splitlines()) == [
        ["sessionstore_sessions", "b"],
        ["sessionstore_sessions", "c"],
    ]
    assert cli("doctor").out == first.out
    repaired = cli("doctor", "--repair")
    assert repaired.code == 1
    assert "3 sessions, 1 problem" in repaired.err
    left = cli("doctor")
    assert (left.code, len(left.out.splitlines())) == (1, 1)
    cli.ok("rm", "b", "--yes")
    assert cli("doctor").code == 0
