"""The laws of sizes: how full the context is, as reported or estimated, and when it is compacted."""

import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sessionstore import ImagePart, Message, RawPart, ReasoningPart, SQLSessionStore, ToolCallPart, UnknownPart
from sessionstore.compaction import Summarize, Truncate
from sessionstore.conversation import estimates
from sessionstore.errors import InvalidValue
from sessionstore.testing.build import assistant, user

from .build import Recorder, call, conversation_of, question, reply, result

REPORT = {"input_tokens": 700, "output_tokens": 100}


async def test_what_the_model_reported(store: SQLSessionStore) -> None:
    """The size is what the latest model message reported; nothing is estimated."""
    c = await conversation_of(store, model_id="of the session")
    await c.append(question(1), reply(1, usage={"input_tokens": 5}), question(2), reply(2, usage=REPORT))
    usage = await c.context_usage(1000)
    assert usage.model_dump() == {
        "model": "of the session",
        "context_limit": 1000,
        "total_tokens": 800,
        "prompt_tokens": 700,
        "output_tokens": 100,
        "turns": 2,
        "percent_used": 80.0,
        "tokens_remaining": 200,
        "estimated": False,
    }


async def test_what_came_after_is_estimated(store: SQLSessionStore) -> None:
    """What came behind the report is added at a token for four characters, and is said to be an estimate."""
    c = await conversation_of(store)
    await c.append(question(1), reply(1, usage=REPORT, model="m"), user("s", "x" * 399), assistant("s", "y"))
    usage = await c.context_usage(1000)
    assert (usage.total_tokens, usage.prompt_tokens, usage.output_tokens) == (900, 700, 100)
    assert (usage.estimated, usage.model) == (True, "m")
    assert (await c.context_usage(850)).tokens_remaining == 0
    assert (await c.context_usage(450)).percent_used == 200.0
    assert (await c.context_usage(0)).percent_used == 0.0


async def test_without_a_report(store: SQLSessionStore) -> None:
    """Where no model reported anything the whole context is estimated, and counts as prompt."""
    c = await conversation_of(store)
    await c.append(user("s", "x" * 100), assistant("s", "y" * 100, usage={"output_tokens": 5}))
    usage = await c.context_usage(100, model="mine")
    assert (usage.total_tokens, usage.prompt_tokens, usage.output_tokens) == (50, 50, 0)
    assert (usage.estimated, usage.model, usage.turns) == (True, "mine", 1)


async def test_a_report_from_before_a_compaction(store: SQLSessionStore) -> None:
    """A report counts only if its message was made with the summary that is in force."""
    c = await conversation_of(store, 4)
    await c.append(question(5), reply(5, usage=REPORT))
    assert (await c.context_usage(1000)).total_tokens == 800
    await c.compact(Summarize(Recorder(), 1))
    compacted = await c.context_usage(1000)
    assert compacted.estimated
    assert compacted.total_tokens < 20
    assert compacted.turns == 1
    await c.append(question(6), reply(6, usage={"input_tokens": 40, "output_tokens": 2}))
    assert (await c.context_usage(1000)).total_tokens == 42
    await c.undo_compaction()
    undone = await c.context_usage(1000)
    assert (undone.estimated, undone.turns) == (True, 6)
    assert undone.total_tokens != 42


async def test_a_report_with_an_older_summary(store: SQLSessionStore) -> None:
    """After an undo, what was made with the summary that is in force again counts, until one is made."""
    c = await conversation_of(store, 4)
    await c.compact(Truncate(2))
    await c.append(question(5), reply(5, usage={"input_tokens": 50, "output_tokens": 1}))
    await c.compact(Truncate(1))
    await c.undo_compaction()
    assert (await c.context_usage(1000)).total_tokens == 51
    await c.append(reply(6, usage=REPORT))  # which summary it was made with isn't known
    assert (await c.context_usage(1000)).estimated


async def test_what_is_estimated(store: SQLSessionStore) -> None:
    """Every part counts by its text and JSON; an image counts as much as an image, whatever its bytes."""
    c = await conversation_of(store)
    image = ImagePart(media_type="image/png", data="A" * 100_000)
    message = Message(session_id="s", role="user", parts=[image])
    await c.append(message)
    assert (await c.context_usage(1)).total_tokens == estimates.TOKENS_PER_IMAGE
    await c.reset([Message(session_id="s", role="user", parts=[ReasoningPart(content="x" * 8)])])
    assert (await c.context_usage(1)).total_tokens == 2
    tool = ToolCallPart(tool_call_id="c", tool_name="tool", arguments={"a": "b"})
    await c.reset([Message(session_id="s", role="assistant", parts=[tool]), result("c")])
    assert (await c.context_usage(1)).total_tokens == 6  # tool {"a":"b"} output c
    await c.reset([Message(session_id="s", role="user", parts=[RawPart(data=[1, 2, 3]), UnknownPart(type="video")])])
    assert (await c.context_usage(1)).total_tokens == 2


@pytest.fixture
def tiktoken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A tiktoken that knows one model, and counts words."""

    class Encoding:
        def encode(self, text: str, *, disallowed_special: tuple[str, ...]) -> list[str]:
            assert disallowed_special == ()
            return text.split()

    def encoding_for_model(model: str) -> Encoding:
        if model != "known":
            raise KeyError(model)
        return Encoding()

    module: Any = types.ModuleType("tiktoken")
    module.encoding_for_model = encoding_for_model
    module.__spec__ = types.SimpleNamespace()
    estimates._encoder.cache_clear()
    monkeypatch.setitem(sys.modules, "tiktoken", module)
    yield
    estimates._encoder.cache_clear()


async def test_tiktoken(store: SQLSessionStore, tiktoken: None) -> None:
    """Where tiktoken is installed and knows the model, it counts; elsewhere, and for huge texts, the length does."""
    c = await conversation_of(store)
    await c.append(user("s", "one two three"))
    assert (await c.context_usage(100, model="known")).total_tokens == 3
    assert (await c.context_usage(100, model="unknown")).total_tokens == 4
    assert (await c.context_usage(100)).total_tokens == 4
    await c.reset([user("s", "a " * 100_000)])
    assert (await c.context_usage(100, model="known")).total_tokens == 50_000


async def test_a_threshold(store: SQLSessionStore) -> None:
    """It is compacted when the context takes the threshold or more, and the record says so."""
    c = await conversation_of(store, 3)
    await c.append(question(4), reply(4, usage={"input_tokens": 750, "output_tokens": 49}))
    assert await c.compact_if_needed(Truncate(1), 1000) is None
    assert await c.compact_if_needed(Truncate(1), 0) is None
    assert await c.compaction_due(1000) is None
    assert await c.compaction_due(1000, threshold_percent=79.9, max_turns=1) == "threshold"
    assert await c.compact_if_needed(Truncate(1), 1000, threshold_percent=80) is None
    record = await c.compact_if_needed(Truncate(1), 1000, threshold_percent=79.9)
    assert record is not None
    assert record.trigger == "threshold"
    assert await c.compact_if_needed(Truncate(1), 1000, threshold_percent=79.9) is None


async def test_a_limit_of_turns(store: SQLSessionStore) -> None:
    """It is compacted when the context holds that many turns, of which covered ones are none."""
    c = await conversation_of(store, 4)
    assert await c.compact_if_needed(Truncate(2), 10_000, max_turns=5) is None
    assert await c.compaction_due(10_000, max_turns=4) == "turn_limit"
    record = await c.compact_if_needed(Truncate(2), 10_000, max_turns=4)
    assert record is not None
    assert record.trigger == "turn_limit"
    await c.append(question(5))
    assert await c.compact_if_needed(Truncate(2), 10_000, max_turns=4) is None
    await c.append(question(6))
    assert await c.compact_if_needed(Truncate(2), 10_000, max_turns=4) is not None


@pytest.mark.parametrize("limit", [-1, 1.5, "1", None, True])
async def test_a_bad_limit(store: SQLSessionStore, limit: Any) -> None:
    """What is no number of tokens is refused."""
    c = await conversation_of(store)
    with pytest.raises(InvalidValue, match="context_limit"):
        await c.context_usage(limit)
    with pytest.raises(InvalidValue, match="model"):
        await c.context_usage(1, model="\0")


async def test_open_calls_are_no_report(store: SQLSessionStore) -> None:
    """A model message that reported nothing leaves the report before it in force."""
    c = await conversation_of(store)
    await c.append(question(1), reply(1, usage=REPORT), question(2), call("a"), result("a"))
    usage = await c.context_usage(1000)
    assert (usage.prompt_tokens, usage.output_tokens, usage.estimated) == (700, 100, True)
    assert 800 < usage.total_tokens < 830
