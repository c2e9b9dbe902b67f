"""The drivers' round trips, counted, so that one of them can be made to fail.

The faults are put where the drivers talk to the database, below SQLAlchemy and below us: whatever is sent, in
whatever way, is a round trip. On SQLite so is a hop to the driver's thread, and each statement that is executed there.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import aiosqlite
import asyncpg
import psycopg
import pytest

from sessionstore.sql import drivers

Original = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Wire:
    """What can happen to the connection that a round trip goes through."""

    lost: Callable[[], BaseException]
    """What the driver raises when the connection is lost."""

    conflict: Callable[[str], Exception]
    """What the driver raises for an error that another transaction caused, by name."""

    cut: Callable[[], None]
    """Lose the connection in earnest."""

    pid: int = 0
    """The server's process at the other end."""

    begins: bool = False
    """It is BEGIN, to which no server answers with a conflict."""

    whole: bool = False
    """It is a hop to SQLite's thread for several statements, which are counted too."""


Fault = Callable[[Wire, Original], Awaitable[Any]]
"""What happens in place of a round trip."""


class RoundTrips:
    """Counts round trips while it is armed, and lets a fault happen at one of them, or from there on."""

    def __init__(self) -> None:
        self._fault: Fault | None = None
        self._at = self._count = 0
        self.lasting = False
        self.happened = False

    def arm(self, fault: Fault, at: int, *, lasting: bool = False) -> None:
        """Let the fault happen at that round trip from now, and with `lasting` at all that follow."""
        self._fault, self._at, self.lasting = fault, at, lasting
        self._count, self.happened = 0, False

    def disarm(self) -> None:
        """Let all round trips pass from now on."""
        self._fault = None

    async def pass_through(self, wire: Wire, original: Original) -> Any:
        """Make a round trip, or let the fault happen."""
        if self._fault is None:
            return await original()
        self._count += 1
        if self._count != self._at and not (self.lasting and self._count > self._at):
            return await original()
        self.happened = True
        return await self._fault(wire, original)


def _nothing() -> None:
    """There is no connection yet, or it is a file."""


def _sqlite_wire(*, whole: bool = False) -> Wire:
    def conflict(_name: str) -> Exception:
        return aiosqlite.OperationalError("database is locked")

    return Wire(lambda: aiosqlite.OperationalError("disk I/O error"), conflict, _nothing, whole=whole)


def _patch_aiosqlite(trips: RoundTrips, monkeypatch: pytest.MonkeyPatch) -> None:
    execute, connect = aiosqlite.Connection._execute, aiosqlite.Connection._connect

    async def counted_execute(connection: Any, *args: Any, **kwargs: Any) -> Any:
        raw = connection._connection
        if raw is not None and (args == (raw.close,) or (trips.lasting and args == (raw.rollback,))):
            return await execute(connection, *args)  # what has gone for good is closed at least, or stays locked
        whole = isinstance(args[-1], drivers.Work)
        if whole and trips.lasting:  # then its statements fail, but for the rollback
            return await execute(connection, *args)
        return await trips.pass_through(_sqlite_wire(whole=whole), lambda: execute(connection, *args, **kwargs))

    async def counted_connect(connection: Any) -> Any:
        try:
            return await trips.pass_through(_sqlite_wire(), lambda: connect(connection))
        except BaseException:
            getattr(connection, "stop", getattr(connection, "_stop_running", None))()  # as the original does
            connection._connection = None
            raise

    def counted_statement(name: str) -> None:
        original = getattr(drivers.DRIVERS["aiosqlite"], name)

        async def counted(driver: Any, *args: Any) -> Any:
            return await trips.pass_through(_sqlite_wire(), lambda: original(driver, *args))

        monkeypatch.setattr(drivers.DRIVERS["aiosqlite"], name, counted)

    for name in ("rows", "run", "run_many", "commit"):
        counted_statement(name)
    monkeypatch.setattr(aiosqlite.Connection, "_execute", counted_execute)
    monkeypatch.setattr(aiosqlite.Connection, "_connect", counted_connect)


_CONFLICTS = {"serialization": asyncpg.SerializationError, "deadlock": asyncpg.DeadlockDetectedError}
_PSYCOPG_CONFLICTS = {"serialization": psycopg.errors.SerializationFailure, "deadlock": psycopg.errors.DeadlockDetected}


def _unreachable() -> Wire:
    return Wire(ConnectionRefusedError, lambda name: _CONFLICTS[name](name), _nothing)


class _CountedProtocol:
    """An asyncpg connection's protocol whose round trips are counted."""

    _TRIPS = frozenset({"prepare", "bind", "bind_execute", "bind_execute_many", "query", "execute", "close_statement"})

    def __init__(self, protocol: Any, transport: Any, trips: RoundTrips) -> None:
        self._protocol = protocol
        self._trips = trips
        self._wire = Wire(
            lambda: asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
            lambda name: _CONFLICTS[name](name),
            transport.abort,
            protocol.get_server_pid(),
        )

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._protocol, name)
        if name not in self._TRIPS:
            return attribute

        def counted(*args: Any, **kwargs: Any) -> Any:
            wire = replace(self._wire, begins=str(args[:1]).startswith("('BEGIN"))
            return self._trips.pass_through(wire, lambda: attribute(*args, **kwargs))

        return counted


def _patch_asyncpg(trips: RoundTrips, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = asyncpg.connect

    async def counted_connect(*args: Any, **kwargs: Any) -> Any:
        connection = await trips.pass_through(_unreachable(), lambda: connect(*args, **kwargs))
        connection._protocol = _CountedProtocol(connection._protocol, connection._transport, trips)
        return connection

    monkeypatch.setattr(asyncpg, "connect", counted_connect)


def _patch_psycopg(trips: RoundTrips, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = psycopg.AsyncConnection.wait

    async def counted_wait(connection: psycopg.AsyncConnection, *args: Any, **kwargs: Any) -> Any:
        wire = Wire(
            lambda: psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly"),
            lambda name: _PSYCOPG_CONFLICTS[name](name),
            connection.pgconn.finish,
            connection.pgconn.backend_pid,
        )
        return await trips.pass_through(wire, lambda: wait(connection, *args, **kwargs))

    monkeypatch.setattr(psycopg.AsyncConnection, "wait", counted_wait)


def count_round_trips(monkeypatch: pytest.MonkeyPatch) -> RoundTrips:
    """Count the round trips of all three drivers, on connections that are made from now on."""
    trips = RoundTrips()
    for patch in (_patch_aiosqlite, _patch_asyncpg, _patch_psycopg):
        patch(trips, monkeypatch)
    return trips
