"""A PgBouncer of the tests' own: transaction mode, on a loopback port, in front of the tests' PostgreSQL."""

import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy import URL, make_url

REMEDY = "these tests need PgBouncer: apt-get install pgbouncer, or put the program on the PATH"

_CONFIGURATION = """
[databases]
* = {server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
; Few connections, all open and used in turn: each transaction of a client is on another one.
default_pool_size = 4
min_pool_size = 4
server_round_robin = 1
max_client_conn = 500
"""


class Pooler:
    """A running PgBouncer; leaving it ends the process."""

    def __init__(self, server: str, *users: str) -> None:
        url = make_url(server)
        self._folder = Path(tempfile.mkdtemp(prefix="sessionstore-pgbouncer-"))
        self._port = _free_port()
        host, port = _address(url)
        passwords = dict.fromkeys(users, "") | {url.username or "postgres": url.password or ""}
        (self._folder / "users.txt").write_text("".join(f'"{user}" "{word}"\n' for user, word in passwords.items()))
        self._program = _program()
        configuration = _CONFIGURATION.format(
            server=f"host={host} port={port}", port=self._port, users=self._folder / "users.txt"
        )
        if _version(self._program) >= (1, 21):
            configuration += "max_prepared_statements = 0\n"  # as all before are, and as many since are set up
        (self._folder / "pgbouncer.ini").write_text(configuration)
        self._log = self._folder / "log"
        self._process = self._start(_user_for(host))

    def url(self, server_url: str, driver: str = "asyncpg", *, user: str | None = None) -> str:
        """Return a server's URL as one that goes through the pooler."""
        url = make_url(server_url)
        through = url.set(drivername=f"postgresql+{driver}", host="127.0.0.1", port=self._port, query={})
        return through.set(username=user or url.username or "postgres").render_as_string(hide_password=False)

    def _start(self, user: str | None) -> "subprocess.Popen[bytes]":
        """Start the program in the foreground, as another user than root, and wait until it answers."""
        command = [self._program, str(self._folder / "pgbouncer.ini")]
        if user is not None:
            command[1:1] = ["-u", user]
            for path in (self._folder, *self._folder.iterdir()):
                shutil.chown(path, user)
        with self._log.open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not _answers(self._port):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                pytest.fail(f"PgBouncer doesn't start: {self._log.read_text()}")
            time.sleep(0.05)
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder)


def _program() -> str:
    """Return the program, which is installed if there is none and this is a machine to do that on."""
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    if shutil.which("pgbouncer", path=folders) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "--no-install-recommends", "pgbouncer"]
        subprocess.run(install, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=200)
    return shutil.which("pgbouncer", path=folders) or pytest.fail(REMEDY)


def _version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else (0,)


def _address(url: URL) -> tuple[str, int]:
    """Return the server's host, or the folder of its socket, and its port."""
    folder = url.query.get("host", "")
    return str(url.host or folder or "127.0.0.1"), url.port or int(str(url.query.get("port", 5432)))


def _user_for(host: str) -> str | None:
    """Return whom to run as when this is root, which PgBouncer refuses: one who may reach the server's socket."""
    if os.geteuid() != 0:
        return None
    owner = Path(host).stat().st_uid if host.startswith("/") else 0
    return pwd.getpwuid(owner).pw_name if owner else "nobody"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
