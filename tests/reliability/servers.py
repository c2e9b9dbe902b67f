"""PostgreSQL servers of a test's own, to stop and to start again: as durable as they come, on a socket."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from tests import databases
from tests.databases import PostgresServer

_ACCOUNT = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
_PATIENCE = 60

FAST = signal.SIGINT
"""Transactions are broken off, and everything is written before the server ends."""
IMMEDIATE = signal.SIGQUIT
"""The server ends at once, and recovers from its log when it starts again: what a crash is."""


class OwnServer:
    """A server with its data in a temporary folder; nobody else uses it."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="sessionstore-own-"))
        self._process: subprocess.Popen[bytes] | None = None
        if _ACCOUNT is not None:
            shutil.chown(self._folder, _ACCOUNT)
        self._run("initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres", "-D", self._data)

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def url(self, driver: str = "postgresql+asyncpg") -> str:
        """Return the URL of the server's one database."""
        return f"{driver}://postgres@/postgres?host={self._folder}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [str(self._programs / "postgres"), "-D", self._data, "-k", str(self._folder)]
        durable = ["-c", "listen_addresses=", "-c", "fsync=on", "-c", "synchronous_commit=on"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *durable], cwd=self._folder, user=_ACCOUNT, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self, mode: signal.Signals) -> None:
        """Stop the server, and wait until it has ended."""
        assert self._process is not None
        self._process.send_signal(mode)
        self._process.wait(_PATIENCE)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgresql")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(command, cwd=self._folder, user=_ACCOUNT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop(IMMEDIATE)
        shutil.rmtree(self._folder)


def programs(server: PostgresServer) -> Path:
    """Return the folder of the programs of a server's version if they are installed, or of the embedded one."""
    with psycopg.connect(server.url("postgres", driver=None)) as connection:
        installed = Path(f"/usr/lib/postgresql/{connection.info.server_version // 10000}/bin")
    return installed if installed.is_dir() else databases.embedded_programs()
