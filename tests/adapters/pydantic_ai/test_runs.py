"""Runs of Pydantic AI's own agents with scripted models: what is saved is loaded, and the next run takes it."""

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart, ToolReturnPart
from pydantic_ai.models.test import TestModel

from sessionstore import SQLSessionStore
from sessionstore.adapters.pydantic_ai import MessageHistory

from .build import exactly, weather_agent


async def test_runs_go_on_from_what_was_saved(store: SQLSessionStore) -> None:
    """Each loads the history, which then equals what the run itself has as all messages."""
    agent = weather_agent()
    for number in range(3):
        history = MessageHistory(store, "s")
        before = await history.load()
        result = await agent.run(f"Question {number}", message_history=before)
        await history.save(result.new_messages())
        loaded = await MessageHistory(store, "s").load()
        assert loaded == result.all_messages()
        assert exactly(loaded) == exactly(result.all_messages())
    assert len(loaded) == 3 * 6


async def test_the_roles_that_others_see(store: SQLSessionStore) -> None:
    """A request is a message for each part: the system's, the user's, each tool's; a question is a turn."""
    result = await weather_agent().run("Oslo?")
    await MessageHistory(store, "s").save(result.new_messages())
    stored = await store.get_messages("s")
    assert [(m.role, m.turn, m.get_text_content()) for m in stored if not m.get_tool_results()] == [
        ("system", 0, "Be brief."),
        ("user", 1, "Oslo?"),
        ("assistant", 1, "I look."),
        ("assistant", 1, ""),
        ("assistant", 1, "Dry."),
    ]
    calls = [(call.tool_call_id, call.tool_name, call.arguments) for m in stored for call in m.get_tool_calls()]
    assert calls == [
        ("call_1", "weather", {"city": "Oslo"}),
        ("call_2", "weather", {"city": "nowhere"}),
        ("call_3", "weather", {"city": "Rome"}),
    ]
    results = [part for m in stored if m.role == "tool" for part in m.get_tool_results()]
    assert [(part.tool_call_id, part.tool_name, part.output, part.error) for part in results] == [
        ("call_1", "weather", '{"city":"Oslo","rain":false}', None),
        ("call_2", "weather", "", "nowhere is no city"),
        ("call_3", "weather", '{"city":"Rome","rain":false}', None),
    ]
    assert await store.conversation("s").pending_tool_calls() == []


async def test_models_times_and_tokens_are_the_sessions(store: SQLSessionStore) -> None:
    """Of each response, and summed up."""
    result = await weather_agent().run("Oslo?")
    await MessageHistory(store, "s").save(result.new_messages())
    responses = [message for message in result.new_messages() if isinstance(message, ModelResponse)]
    stored = [message for message in await store.get_messages("s") if message.role == "assistant"]
    assert [message.model for message in stored] == [response.model_name for response in responses]
    assert [message.created_at for message in stored] == [response.timestamp for response in responses]
    info = await store.get_session("s")
    assert info is not None
    assert info.input_tokens == sum(response.usage.input_tokens for response in responses) > 0
    assert info.output_tokens == sum(response.usage.output_tokens for response in responses) > 0


async def test_saving_again_changes_nothing(store: SQLSessionStore) -> None:
    """A save that is repeated, all of it or with more behind it, adds only what wasn't there."""
    history, agent = MessageHistory(store, "s"), weather_agent()
    first = await agent.run("Oslo?")
    await history.save(first.new_messages())
    await history.save(first.new_messages())
    assert await history.load() == first.all_messages()
    second = await agent.run("Oslo?", message_history=await history.load())
    await history.save(second.all_messages())
    assert await history.load() == second.all_messages()


async def test_a_streamed_run_is_saved_too(store: SQLSessionStore) -> None:
    history = MessageHistory(store, "s")
    agent = Agent(TestModel(custom_output_text="some words to stream"))
    async with agent.run_stream("Go", message_history=await history.load()) as run:
        said = [chunk async for chunk in run.stream_text()][-1]
    await history.save(run.new_messages())
    assert await history.load() == run.all_messages()
    assert (await store.get_messages("s"))[-1].get_text_content() == said


async def test_structured_output(store: SQLSessionStore) -> None:
    """Its final call, and the return that Pydantic AI adds, are paired too."""
    history = MessageHistory(store, "s")
    agent = Agent(TestModel(custom_output_args=5), output_type=int)
    result = await agent.run("How many?", message_history=await history.load())
    await history.save(result.new_messages())
    assert await history.load() == result.all_messages()
    assert await store.conversation("s").pending_tool_calls() == []
    again = await agent.run("And now?", message_history=await history.load())
    assert again.output == 5


async def test_a_limit_cuts_before_a_prompt(store: SQLSessionStore) -> None:
    """Never between a call and its result, nor in the latest turn; the agent goes on with it."""
    history, agent = MessageHistory(store, "s"), weather_agent()
    runs: list[list[ModelMessage]] = []
    for number in range(3):
        result = await agent.run(f"Question {number}", message_history=await history.load())
        runs.append(result.new_messages())
        await history.save(runs[-1])
    expected = {0: 0, 1: 1, 5: 1, 6: 1, 7: 1, 11: 1, 12: 2, 18: 3, 19: 3, 10_000: 3}
    for limit, whole in expected.items():
        assert await history.load(limit) == [message for run in runs[3 - whole :] for message in run], limit
    result = await agent.run("More?", message_history=await history.load(8))
    assert len(result.all_messages()) == 12
    calls = [part for message in result.all_messages() for part in message.parts if isinstance(part, ToolCallPart)]
    returns = {p.tool_call_id for m in result.all_messages() for p in m.parts if isinstance(p, ToolReturnPart)}
    assert returns <= {call.tool_call_id for call in calls}
