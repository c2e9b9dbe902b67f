"""Fixtures for the tests of the OpenAI Agents SDK's session."""

from collections.abc import Iterator

import pytest
from agents import set_tracing_disabled

from sessionstore import SQLSessionStore
from sessionstore.adapters.openai_agents import SQLSession


@pytest.fixture(autouse=True)
def _untraced() -> Iterator[None]:
    """Send nothing of the runs to the SDK's tracing."""
    set_tracing_disabled(True)
    yield
    set_tracing_disabled(False)


@pytest.fixture
def session(store: SQLSessionStore) -> SQLSession:
    """A session that isn't stored yet."""
    return SQLSession("s", store=store)
