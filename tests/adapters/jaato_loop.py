"""A JaatoSession's conversation, as its loop would leave it behind."""

from typing import Any

from sessionstore import Message, SessionInfo, SQLSessionStore
from sessionstore.adapters.jaato import SessionHistory
from sessionstore.testing.build import texts
from tests.conversation.build import question, reply


async def history_of(store: SQLSessionStore, turns: int = 0, **options: Any) -> SessionHistory:
    """Store a session of so many turns of a question and an answer that took 10 + 5 tokens."""
    await store.create_session(SessionInfo(id="s", model_id="gpt"))
    history = SessionHistory(store, "s", **options)
    for number in range(1, turns + 1):
        await history.conversation.append(question(number), answer(number))
    return history


def answer(number: int, **usage: int) -> Message:
    return reply(number, usage=usage or {"input_tokens": 10, "output_tokens": 5})


async def said_in(history: SessionHistory) -> list[str]:
    """Return the texts of the history."""
    return texts(await history.get_history())


def turns_of(*numbers: int) -> list[str]:
    """Return the texts of these turns."""
    return [text for number in numbers for text in (f"question {number}", f"answer {number}")]
