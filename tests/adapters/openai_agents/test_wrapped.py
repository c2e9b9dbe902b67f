"""Under the SDK's sessions that wrap another one: compaction by OpenAI's API, and encryption."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from agents import Agent, Runner
from agents.extensions.memory import EncryptedSession
from agents.memory import OpenAIResponsesCompactionSession
from agents.testing import ScriptedModel, assistant_message
from cryptography.fernet import Fernet
from openai import AsyncOpenAI

from sessionstore import SQLSessionStore
from sessionstore.adapters.openai_agents import SQLSession
from sessionstore.compaction import Truncate
from sessionstore.errors import InvalidValue, StoreUnavailable
from sessionstore.sql import changing
from tests.sql.invariants import broken

from .build import EVERY_KIND, again, texts

COMPACTED: list[Any] = [
    {"id": "u", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
    {"id": "cmp_1", "type": "compaction", "encrypted_content": "gAAAA"},
]


class Client:
    """What `OpenAIResponsesCompactionSession` asks of OpenAI's client."""

    def __init__(self, output: list[Any]) -> None:
        self.given: list[dict[str, Any]] = []
        self.responses = SimpleNamespace(compact=self._compact)
        self._output = output

    async def _compact(self, **given: Any) -> Any:
        self.given.append(given)
        return SimpleNamespace(output=self._output, usage=None)


def compacting(underlying: Any, output: list[Any] | None = None, **options: Any) -> OpenAIResponsesCompactionSession:
    client = cast("AsyncOpenAI", Client(COMPACTED if output is None else output))
    return OpenAIResponsesCompactionSession("s", underlying, client=client, compaction_mode="input", **options)


async def test_a_compaction_replaces_all_items(session: SQLSession, store: SQLSessionStore) -> None:
    """In one transaction."""
    await session.add_items(texts("a", "b", "c"))
    await compacting(session).run_compaction({"force": True})
    items: list[Any] = await session.get_items()
    assert [item.get("type") for item in items] == ["message", "compaction"]
    assert items[1] == COMPACTED[1]
    assert await again(store).get_items() == items
    assert await broken(store.engine) == []


async def test_what_is_encrypted_is_not_compacted(store: SQLSessionStore) -> None:
    """A strategy would find nothing to read in it, and the wrapper never asks for a compaction: it is refused."""
    session = EncryptedSession("s", SQLSession("s", store=store, compaction=Truncate()), "a key")
    with pytest.raises(InvalidValue, match=r"compaction: finds nothing .* EncryptedSession"):
        await session.add_items(texts("a"))
    assert await store.get_session("s") is None


@pytest.mark.parametrize("error", [StoreUnavailable(), RuntimeError("no more memory")])
async def test_a_compaction_that_fails_leaves_everything(
    session: SQLSession, store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whatever had been written of it."""
    await session.add_items(EVERY_KIND)
    before = await store.get_messages("s")

    async def failing(*_: Any) -> None:
        raise error

    monkeypatch.setattr(changing, "insert_new", failing)  # the old messages have been deleted by then
    with pytest.raises(type(error)):
        await compacting(session).run_compaction({"force": True})
    assert await store.get_messages("s") == before
    assert await broken(store.engine) == []


async def test_output_that_cannot_be_stored_leaves_everything(session: SQLSession) -> None:
    """It is refused before anything is written."""
    await session.add_items(texts("a"))
    with pytest.raises(InvalidValue):
        await compacting(session, [{"type": "compaction", "id": b"bytes"}]).run_compaction({"force": True})
    assert await session.get_items() == texts("a")


async def test_a_session_that_is_gone_meanwhile_is_made_anew(session: SQLSession) -> None:
    """The SDK clears and adds then."""
    assert await session._atomic_replace_items(texts("a")) is False
    await compacting(session)._replace_underlying_session_items(output_items=texts("b"), previous_items=[])
    assert await session.get_items() == texts("b")


async def test_runs_are_compacted_when_it_is_time(session: SQLSession) -> None:
    """By the SDK's runner, after a run, and the next one goes on behind that."""

    def is_time(given: dict[str, Any]) -> bool:
        return len(given["session_items"]) == 4 and COMPACTED[1] not in given["session_items"]

    wrapped = compacting(session, should_trigger_compaction=is_time)
    model = ScriptedModel([[assistant_message(f"answer {n}")] for n in range(3)])
    agent = Agent(name="a", model=model)
    for number in range(2):
        await Runner.run(agent, f"question {number}", session=wrapped)
    assert [item.get("type") for item in cast("list[Any]", await session.get_items())] == ["message", "compaction"]
    await Runner.run(agent, "question 2", session=wrapped)
    assert len(model.calls[2].input) == 3
    assert len(await session.get_items()) == 4


async def test_encrypted_items(session: SQLSession, store: SQLSessionStore) -> None:
    """The table has nothing of them; the session has them all."""
    key = Fernet.generate_key().decode()
    encrypted = EncryptedSession("s", session, key)
    items = [*EVERY_KIND[:6], *texts("secret")]
    await encrypted.add_items(items)
    assert await encrypted.get_items() == items
    assert "secret" not in repr(await store.get_messages("s"))
    assert await encrypted.get_items(2) == items[-2:]
    assert await encrypted.pop_item() == items[-1]
    assert await EncryptedSession("s", again(store), key).get_items() == items[:-1]
    assert await EncryptedSession("s", again(store), Fernet.generate_key().decode()).get_items() == []
    await encrypted.clear_session()
    assert await store.get_session("s") is None


async def test_an_encrypted_session_runs_and_is_compacted(session: SQLSession) -> None:
    """Both ways round."""
    key = Fernet.generate_key().decode()
    for wrapped in (EncryptedSession("s", compacting(session), key), compacting(EncryptedSession("s", session, key))):
        agent = Agent(name="a", model=ScriptedModel([[assistant_message("Yes.")]]))
        await Runner.run(agent, "Hello?", session=wrapped)
        assert len(await wrapped.get_items()) == 2
        await cast("Any", wrapped).run_compaction({"force": True})
        items = await wrapped.get_items()
        assert [item.get("type") for item in cast("list[Any]", items)] == ["message", "compaction"]
        assert all("__enc__" in item for item in await session.get_items())
        await wrapped.clear_session()
