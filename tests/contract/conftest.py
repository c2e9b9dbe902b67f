"""The stores that the contract is tested on: every database, every driver, and a schema of its own."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from sessionstore import SQLSessionStore
from tests.databases import PostgresDatabase

OpenStore = Callable[[], SQLSessionStore]

SCHEMA = "agents"


@pytest.fixture(scope="session")
def postgres_database_with_schema(postgres_database: PostgresDatabase) -> PostgresDatabase:
    """This worker's database, with the tables in a second schema too."""
    postgres_database.make_tables(SCHEMA)
    return postgres_database


@pytest.fixture
def open_sqlite(sqlite_url: str) -> OpenStore:
    return lambda: SQLSessionStore.from_url(sqlite_url)


@pytest.fixture
def open_postgresql(postgresql_url: str) -> OpenStore:
    return lambda: SQLSessionStore.from_url(postgresql_url)


@pytest.fixture
def open_psycopg(postgres_database: PostgresDatabase) -> Iterator[OpenStore]:
    yield lambda: SQLSessionStore.from_url(postgres_database.url("psycopg"))
    postgres_database.clear()


@pytest.fixture
def open_schema(postgres_database_with_schema: PostgresDatabase) -> Iterator[OpenStore]:
    yield lambda: SQLSessionStore.from_url(postgres_database_with_schema.url(), schema=SCHEMA)
    postgres_database_with_schema.clear(SCHEMA)


@pytest.fixture(params=["sqlite", "postgresql", "psycopg", "schema"])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    return request.getfixturevalue(f"open_{request.param}")


@pytest.fixture
async def store(open_store: OpenStore) -> AsyncIterator[SQLSessionStore]:
    """A store on an empty database: all that the laws ask for."""
    async with open_store() as store:
        yield store
