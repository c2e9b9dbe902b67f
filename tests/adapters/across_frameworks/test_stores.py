"""What stands in the place of a store."""

from collections.abc import Callable
from typing import Any

import pytest

from sessionstore import SQLSessionStore
from sessionstore.adapters.jaato import SessionHistory
from sessionstore.adapters.langchain import SQLChatMessageHistory
from sessionstore.adapters.oats import SessionStorage
from sessionstore.adapters.openai_agents import SQLSession
from sessionstore.adapters.pydantic_ai import MessageHistory
from sessionstore.errors import InvalidValue

MADE: dict[str, Callable[[Any], object]] = {
    "openai_agents": lambda store: SQLSession("s", store=store),
    "pydantic_ai": lambda store: MessageHistory(store, "s"),
    "langchain": lambda store: SQLChatMessageHistory("s", store=store),
    "jaato": lambda store: SessionHistory(store, "s", context_limit=1),
    "oats": SessionStorage,
}


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
async def test_only_a_store_is_one(made: Callable[[Any], object], store: SQLSessionStore) -> None:
    """An engine, and arguments in another order, are told so, with what to give."""
    for given in (store.engine, "s"):
        with pytest.raises(InvalidValue, match=rf"store: is {type(given).__name__}; give SQLSessionStore\(engine\)"):
            made(given)
    made(store)
    async with store.engine.connect() as connection:
        made(store.bind(connection))
