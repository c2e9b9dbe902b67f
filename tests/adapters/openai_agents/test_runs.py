"""The SDK's own Runner on our session, with a scripted model: what it stores, and what it reads again."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from agents import Agent, RunConfig, Runner, function_tool, handoff
from agents.memory import SessionSettings
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call
from openai.types.responses import ResponseFunctionWebSearch, ResponseReasoningItem
from openai.types.responses.response_function_web_search import ActionSearch
from openai.types.responses.response_reasoning_item import Summary

from sessionstore import SQLSessionStore
from sessionstore.adapters.openai_agents import SQLSession
from tests import databases
from tests.sql.invariants import broken

from .build import again


@function_tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"rain in {city}"


async def _whole(agent: Agent[Any], question: str, **options: Any) -> str:
    return (await Runner.run(agent, question, **options)).final_output


async def _streamed(agent: Agent[Any], question: str, **options: Any) -> str:
    result = Runner.run_streamed(agent, question, **options)
    async for _ in result.stream_events():
        pass
    return result.final_output


Run = Callable[..., Awaitable[str]]
RUNS = pytest.mark.parametrize("run", [_whole, _streamed])


def kinds(items: list[Any]) -> list[str]:
    return [item.get("type", item.get("role")) for item in items]


@RUNS
async def test_turns_with_tools(session: SQLSession, store: SQLSessionStore, run: Run) -> None:
    """What is stored is given to the model again, in its order, also in another process; nothing twice."""
    model = ScriptedModel(
        [
            [
                function_call("weather", {"city": "Oslo"}, call_id="c1"),
                function_call("weather", {"city": "Rome"}, call_id="c2"),
            ],
            [assistant_message("Rain everywhere.", item_id="m1")],
            [assistant_message("As I said.", item_id="m1")],  # the id again
        ]
    )
    agent = Agent(name="a", model=model, tools=[weather])
    assert await run(agent, "Oslo or Rome?", session=session) == "Rain everywhere."
    items = await session.get_items()
    assert kinds(items) == ["user", *["function_call"] * 2, *["function_call_output"] * 2, "message"]
    assert await run(agent, "Sure?", session=again(store)) == "As I said."
    assert model.calls[2].input == [*items, {"content": "Sure?", "role": "user"}]
    after = await session.get_items()
    assert after[:6] == items
    assert kinds(after[6:]) == ["user", "message"]
    messages = await store.get_messages("s")
    assert [message.turn for message in messages] == [1] * 6 + [2] * 2
    assert [call.arguments for m in messages for call in m.get_tool_calls()] == [{"city": "Oslo"}, {"city": "Rome"}]
    results = [result for m in messages for result in m.get_tool_results()]
    assert [(result.tool_name, result.output) for result in results] == [
        ("weather", "rain in Oslo"),
        ("weather", "rain in Rome"),
    ]
    assert await store.conversation("s").pending_tool_calls() == []
    assert await broken(store.engine) == []


@RUNS
async def test_a_handoff_reasoning_and_hosted_tools(session: SQLSession, store: SQLSessionStore, run: Run) -> None:
    """The next agent goes on in the same session; reasoning and hosted tools' calls come back exactly."""
    second_model = ScriptedModel()
    second = Agent(name="second", model=second_model)
    reasoning = ResponseReasoningItem(
        id="rs_1", type="reasoning", summary=[Summary(type="summary_text", text="hm")], encrypted_content="gAAA"
    )
    search = ResponseFunctionWebSearch(
        id="ws_1", type="web_search_call", status="completed", action=ActionSearch(type="search", query="rain")
    )
    hosted = [search] if run is _whole else []  # the scripted model can't stream such
    model = ScriptedModel([[reasoning, *hosted, function_call("transfer_to_second", {}, call_id="h1")]])
    second_model.enqueue([assistant_message("Here I am.")])
    first = Agent(name="first", model=model, handoffs=[handoff(second)])
    assert await run(first, "The other one, please.", session=session) == "Here I am."
    items: list[Any] = await session.get_items()
    searches = ["web_search_call" for _ in hosted]
    assert kinds(items) == ["user", "reasoning", *searches, "function_call", "function_call_output", "message"]
    given = [output.model_dump(exclude_unset=True) for output in (reasoning, *hosted)]
    assert items[1 : 1 + len(given)] == given
    assert await again(store).get_items() == items


@RUNS
async def test_limits_of_a_run(session: SQLSession, run: Run) -> None:
    """A run's settings limit what the model is given, and not what is stored."""
    model = ScriptedModel([[assistant_message(f"answer {n}")] for n in range(3)])
    agent = Agent(name="a", model=model)
    for number in range(2):
        await run(agent, f"question {number}", session=session)
    limited = RunConfig(session_settings=SessionSettings(limit=1))
    await run(agent, "question 2", session=session, run_config=limited)
    assert kinds(list(model.calls[2].input)) == ["message", "user"]
    assert len(await session.get_items()) == 6


@RUNS
async def test_a_model_that_fails_leaves_what_was_said(session: SQLSession, run: Run) -> None:
    """The next run goes on behind it."""
    model = ScriptedModel([ModelStep.raise_error(RuntimeError("down")), [assistant_message("Yes.")]])
    agent = Agent(name="a", model=model)
    with pytest.raises(RuntimeError, match="down"):
        await run(agent, "Hello?", session=session)
    await run(agent, "Are you there?", session=session)
    items = await session.get_items()
    assert items[-1].get("content")
    assert kinds(items)[-2:] == ["user", "message"]


# The SDK has one loop for all its runs in a thread, and shuts its generators down after each.
@pytest.mark.filterwarnings("ignore:asynchronous generator:ResourceWarning")
def test_run_sync(sqlite_url: str) -> None:
    """The session works in the event loop of the SDK's, and in another one afterwards."""
    session = SQLSession.from_url("s", url=sqlite_url)
    model = ScriptedModel([[assistant_message(f"answer {n}")] for n in range(3)])

    def in_a_thread() -> None:
        asyncio.set_event_loop(loop := asyncio.new_event_loop())
        try:
            for number in range(3):
                Runner.run_sync(Agent(name="a", model=model), f"question {number}", session=session)
        finally:
            loop.close()

    with ThreadPoolExecutor() as pool:
        pool.submit(in_a_thread).result()

    async def read_and_closed() -> list[Any]:
        items = await session.get_items()
        await session.close()
        return items

    assert len(databases.run(read_and_closed())) == 6
    assert len(model.calls[2].input) == 5
