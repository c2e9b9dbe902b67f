"""`run_compaction` of the session itself: by a strategy, and nothing is deleted."""

from typing import Any

import pytest
from agents import Agent, Runner, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call

from sessionstore import Message, SQLSessionStore
from sessionstore.adapters.openai_agents import SQLSession
from sessionstore.compaction import Summarize, Truncate
from sessionstore.errors import CompactionFailed, InvalidValue
from tests.conversation.build import Recorder
from tests.sql.invariants import broken

from .build import again, said, texts


@function_tool
def look() -> str:
    """Look."""
    return "a tree"


async def filled(store: SQLSessionStore, **options: Any) -> tuple[SQLSession, Recorder]:
    """Return a session of four turns and its summariser."""
    recorder = Recorder()
    session = again(store, compaction=Summarize(recorder, preserve_recent_turns=1), **options)
    await session.add_items(texts(*"abcd"))
    return session, recorder


async def test_it_deletes_nothing(store: SQLSessionStore) -> None:
    """The items are the summary and what it doesn't cover, for every reader; the transcript is whole."""
    session, recorder = await filled(store)
    await session.run_compaction({"force": True})
    assert recorder.given == [["a", "b", "c"]]
    summary = {"role": "system", "content": "summary 1"}
    for reader in (session, again(store)):
        assert await reader.get_items() == [summary, *texts("d")]
        assert await reader.get_items(1) == texts("d")
        assert await reader.get_items(2) == await reader.get_items(9) == [summary, *texts("d")]
    assert len(await store.get_messages("s")) == 5
    await session.add_items(texts("e"))
    assert await session.get_items() == [summary, *texts("d", "e")]
    assert await broken(store.engine) == []
    [record] = await store.conversation("s").summaries()
    assert (record.trigger, record.strategy) == ("manual", "summarize")
    await store.conversation("s").undo_compaction()
    assert said(await session.get_items()) == list("abcde")


async def test_a_second_one_covers_the_first(store: SQLSessionStore) -> None:
    """And only the newest summary is read."""
    session, recorder = await filled(store)
    await session.run_compaction({"force": True})
    await session.add_items(texts("e"))
    await session.run_compaction({"force": True})
    assert recorder.given[1] == ["summary 1", "d"]
    assert said(await session.get_items()) == ["summary 2", "e"]


async def test_without_force_the_hook_decides(store: SQLSessionStore) -> None:
    """It is given what the SDK's is; by default it is time at ten items that aren't the user's."""
    seen: list[dict[str, Any]] = []

    def declined(given: dict[str, Any]) -> bool:
        seen.append(given)
        return False

    session, recorder = await filled(store, should_trigger_compaction=declined)
    await session.run_compaction({"response_id": "r"})
    assert seen == [
        {
            "response_id": "r",
            "compaction_mode": "input",
            "compaction_candidate_items": [],
            "session_items": texts(*"abcd"),
        }
    ]
    answers: list[Any] = [{"role": "assistant", "content": str(number)} for number in range(10)]
    session = again(store, compaction=Summarize(recorder, preserve_recent_turns=1))
    await session.add_items(answers[:9])
    await session.run_compaction()
    assert recorder.given == []
    await session.add_items(answers[9:])
    await session.run_compaction()
    assert len(recorder.given) == 1
    [record] = await store.conversation("s").summaries()
    assert record.trigger == "threshold"


async def test_without_a_strategy(session: SQLSession) -> None:
    """The SDK's runner calls it all the same, and nothing happens; who insists is told what is missing."""
    await session.add_items(texts(*"abcd"))
    await session.run_compaction()
    with pytest.raises(InvalidValue, match="compaction="):
        await session.run_compaction({"force": True})
    assert said(await session.get_items()) == list("abcd")


async def test_an_empty_session_is_left_alone(store: SQLSessionStore) -> None:
    """Also one that isn't there."""
    await again(store, compaction=Truncate(0)).run_compaction({"force": True})
    assert await store.get_session("s") is None


async def test_a_strategy_that_fails_leaves_everything(store: SQLSessionStore) -> None:
    """And says so."""

    async def failing(_: list[Message]) -> str:
        raise RuntimeError("down")

    session = again(store, compaction=Summarize(failing, preserve_recent_turns=1))
    await session.add_items(texts(*"abcd"))
    with pytest.raises(CompactionFailed):
        await session.run_compaction({"force": True})
    assert said(await session.get_items()) == list("abcd")
    assert await store.conversation("s").summaries() == []


async def test_another_compaction_meanwhile_wins(store: SQLSessionStore, caplog: pytest.LogCaptureFixture) -> None:
    """That is no error: the conversation is compacted."""

    async def slow(_: list[Message]) -> str:
        await again(store, compaction=Truncate(2)).run_compaction({"force": True})
        return "too late"

    session = again(store, compaction=Summarize(slow, preserve_recent_turns=1))
    await session.add_items(texts(*"abcd"))
    await session.run_compaction({"force": True})
    assert said(await session.get_items()) == ["c", "d"]
    assert "was not compacted" in caplog.text


async def test_a_session_that_is_cleared_meanwhile_stays_so(
    store: SQLSessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    """That is no error either: whoever waits for a run is given its result."""

    async def slow(_: list[Message]) -> str:
        await again(store).clear_session()
        return "too late"

    session = again(store, compaction=Summarize(slow, preserve_recent_turns=1))
    await session.add_items(texts(*"abcd"))
    await session.run_compaction({"force": True})
    assert await store.get_session("s") is None
    assert "was not compacted" in caplog.text


async def test_a_pop_takes_the_last_item_and_undoes_what_came_behind_it(store: SQLSessionStore) -> None:
    """A summary is no item that anybody added."""
    session, _ = await filled(store)
    await session.run_compaction({"force": True})
    assert await session.pop_item() == texts("d")[0]
    assert said(await session.get_items()) == list("abc")
    assert await store.conversation("s").summaries() == []
    await session.add_items([{"role": "system", "content": "an item like a summary"}])
    assert await session.pop_item() == {"role": "system", "content": "an item like a summary"}
    assert await broken(store.engine) == []


async def test_the_runner_compacts_after_a_run(store: SQLSessionStore) -> None:
    """Not amid one: a call and its output stay together."""
    recorder = Recorder()
    session = again(
        store,
        compaction=Summarize(recorder, preserve_recent_turns=1),
        should_trigger_compaction=lambda given: len(given["session_items"]) >= 6,
    )
    model = ScriptedModel()
    for number, answer in ((1, "A tree."), (2, "Still a tree.")):
        model.extend([[function_call("look", {}, call_id=f"c{number}")], [assistant_message(answer)]])
    model.enqueue([assistant_message("Yes.")])
    agent = Agent(name="a", model=model, tools=[look])
    await Runner.run(agent, "What is there?", session=session)
    assert recorder.given == []
    await Runner.run(agent, "And now?", session=session)
    assert recorder.given == [["What is there?", "call c1", "result c1", "A tree."]]
    await Runner.run(agent, "Sure?", session=session)
    given: list[Any] = list(model.calls[4].input)
    assert given[0] == {"role": "system", "content": "summary 1"}
    assert [item.get("type", item.get("role")) for item in given[1:]] == [
        *("user", "function_call", "function_call_output", "message", "user")
    ]
