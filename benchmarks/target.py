"""A database to measure on, and the settings that are the same for every system."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

POOL_SIZE = 10
"""Connections of every pool, with no overflow."""

POOL: dict[str, Any] = {"pool_size": POOL_SIZE, "max_overflow": 0}
"""The same for SQLAlchemy's engines."""

FAMILIES = ("sqlite", "postgresql")

_connect = sqlite3.connect


@dataclass(frozen=True)
class Rows:
    """Rows to be seeded; values are as the driver takes them."""

    table: str
    columns: tuple[str, ...]
    values: Iterable[Sequence[Any]]
    schema: str | None = None


@dataclass(frozen=True)
class Target:
    """One system's own database: a SQLite file, or a Postgres database by its URL."""

    family: str
    location: str
    durable: bool = False
    """Whether a commit waits for the disk."""

    def url(self, driver: str | None = None) -> str:
        """Return the URL for SQLAlchemy, with the async driver, or another one."""
        if self.family == "sqlite":
            return f"sqlite+{driver or 'aiosqlite'}:///{self.location}"
        return make_url(self.location).set(drivername=f"postgresql+{driver or 'asyncpg'}").render_as_string(False)

    def settle(self) -> None:
        """Give every SQLite connection of this process the same `synchronous` setting, whoever opens it.

        It is one of a connection, and systems open theirs themselves. (Postgres has it as a
        setting of the database.)
        """
        level = "FULL" if self.durable else "NORMAL"

        def connect(*args: Any, **options: Any) -> sqlite3.Connection:
            connection = _connect(*args, **options)
            connection.execute(f"PRAGMA synchronous = {level}")
            return connection

        sqlite3.connect = connect

    def engine(self) -> AsyncEngine:
        """Return an engine as an application makes it, for those systems that take one."""
        engine = create_async_engine(self.url(), **POOL)
        if self.family == "sqlite":

            @event.listens_for(engine.sync_engine, "connect")
            def enforce_foreign_keys(connection: Any, _record: Any) -> None:
                connection.execute("PRAGMA foreign_keys = ON")

        return engine

    async def insert(self, *batches: Rows) -> None:
        """Insert many rows past every API, in one transaction: by COPY, or `executemany`."""
        if self.family == "sqlite":
            self._insert_many(batches)
            return
        connection = await asyncpg.connect(self.location)
        try:
            async with connection.transaction():
                for rows in batches:
                    await connection.copy_records_to_table(
                        rows.table, schema_name=rows.schema, columns=rows.columns, records=rows.values
                    )
        finally:
            await connection.close()

    def _insert_many(self, batches: Iterable[Rows]) -> None:
        with closing(_connect(self.location)) as connection, connection:
            for rows in batches:
                columns, marks = ", ".join(f'"{name}"' for name in rows.columns), ", ".join("?" * len(rows.columns))
                connection.executemany(f"INSERT INTO {rows.table} ({columns}) VALUES ({marks})", rows.values)
