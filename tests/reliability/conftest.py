"""What tests of chance and of crashes need."""

import random
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import make_url


@pytest.fixture
def seed() -> int:
    """A number that a failing test shows, to be put here instead."""
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    return seed


@pytest.fixture
def journal_url(sqlite_url: str) -> str:
    """An upgraded SQLite database as it is where nobody asked for WAL."""
    with closing(sqlite3.connect(make_url(sqlite_url).database or "")) as connection:
        assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    return sqlite_url
