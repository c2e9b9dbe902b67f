"""Fixtures that every test may use: databases by name, and a store on each of them."""

import gc
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from sessionstore import SQLSessionStore
from tests import databases
from tests.databases import PostgresDatabase, PostgresServer

hypothesis.settings.register_profile("quick", max_examples=15, deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=1000, deadline=None)
hypothesis.settings.load_profile("quick")  # `pytest --hypothesis-profile thorough` looks longer


def pytest_configure() -> None:
    """Have interrupts reach the processes that tests interrupt: a shell's background jobs ignore them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Start the server before the workers of pytest-xdist, which share it."""
    node.workerinput["postgres_server_url"] = databases.server_url()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs on PostgreSQL, so that on another server only that needs to run again."""
    for item in items:
        names = (*getattr(item, "fixturenames", ()), item.name)
        if any(word in name for name in names for word in ("postgres", "psycopg", "asyncpg", "schema")):
            item.add_marker("postgres")


def pytest_collection_finish() -> None:
    """Keep modules and tests out of every later collection: many tests collect, to see that nothing is left open."""
    _first_property()
    gc.freeze()


@hypothesis.given(hypothesis.strategies.none())
def _first_property(_: None) -> None:
    """Let Hypothesis register its random generator: it looks for what refers to it, and wouldn't see what is frozen."""


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """The run's PostgreSQL server, to make more databases on."""
    from_controller = getattr(request.config, "workerinput", {}).get("postgres_server_url")
    with PostgresServer(from_controller or databases.server_url()) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_database(postgres_server: PostgresServer) -> Iterator[PostgresDatabase]:
    """This worker's own database, upgraded; tests use `postgresql_url`, which empties it."""
    with PostgresDatabase(postgres_server) as database:
        yield database


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upgraded SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    databases.run(databases.upgrade(databases.sqlite_url(path)))
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """An upgraded SQLite database without rows."""
    return databases.sqlite_url(shutil.copyfile(sqlite_template, tmp_path / "sessionstore.db"))


@pytest.fixture
def postgresql_url(postgres_database: PostgresDatabase) -> Iterator[str]:
    """An upgraded PostgreSQL database without rows."""
    yield postgres_database.url()
    postgres_database.clear()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An upgraded database without rows."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """A SQLite database without tables: the file isn't there yet."""
    return databases.sqlite_url(tmp_path / "empty.db")


@pytest.fixture
def empty_postgresql_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database without tables."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """A database without tables, for tests of migrations."""
    return request.getfixturevalue(f"empty_{request.param}_url")


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SQLSessionStore]:
    """A store on an empty database."""
    async with SQLSessionStore.from_url(database_url) as store:
        yield store
