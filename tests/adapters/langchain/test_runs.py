"""`RunnableWithMessageHistory`, LangChain's own, around scripted chat models and its tools."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory

from sessionstore import Event, SQLSessionStore
from sessionstore.adapters._blocking import wait_for
from sessionstore.adapters.langchain import SQLChatMessageHistory
from sessionstore.errors import InvalidValue, SessionStoreError

from .build import Scripted, calls, exactly, weather

pytestmark = pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")

PROMPT = ChatPromptTemplate([("system", "Be brief."), MessagesPlaceholder("history"), ("human", "{input}")])
CONFIG: Any = {"configurable": {"session_id": "s"}}


def with_history(store: SQLSessionStore, runnable: Runnable[Any, Any], **keys: str) -> RunnableWithMessageHistory:
    """Return the runnable with histories in the store."""
    return RunnableWithMessageHistory(runnable, histories(store), **keys)


def histories(store: SQLSessionStore) -> Callable[[str], SQLChatMessageHistory]:
    return lambda session_id: SQLChatMessageHistory(session_id, store=store)


def agent(model: Scripted) -> Runnable[Any, list[BaseMessage]]:
    """Return a runnable that runs the tools that the model calls, and gives all that was said."""

    async def run(messages: list[BaseMessage]) -> list[BaseMessage]:
        said: list[BaseMessage] = []
        while True:
            answer = await model.ainvoke([*messages, *said])
            said.append(answer)
            if not answer.tool_calls:
                return said
            said.extend([await weather.ainvoke(call) for call in answer.tool_calls])

    return RunnableLambda(run)


async def test_each_run_is_given_the_ones_before(store: SQLSessionStore) -> None:
    """By the keys of a prompt's input; what was said is stored as the user's and the model's."""
    model = Scripted(answers=[AIMessage("Sunny.", id="run-1"), AIMessage("No.")])
    chat = with_history(store, PROMPT | model, input_messages_key="input", history_messages_key="history")
    await chat.ainvoke({"input": "How is Oslo?"}, CONFIG)
    await chat.ainvoke({"input": "Any rain?"}, CONFIG)
    assert [message.content for message in model.asked[1]] == ["Be brief.", "How is Oslo?", "Sunny.", "Any rain?"]
    stored = await store.get_messages("s")
    assert [(message.role, message.turn, message.get_text_content()) for message in stored] == [
        ("user", 1, "How is Oslo?"),
        ("assistant", 1, "Sunny."),
        ("user", 2, "Any rain?"),
        ("assistant", 2, "No."),
    ]


async def test_tools(store: SQLSessionStore) -> None:
    """An agent's calls and the tools' messages are stored with its answer, and the next run is given them all."""
    model = Scripted(answers=[calls("Oslo", "Rome"), AIMessage("Dry."), AIMessage("Yes.")])
    chat = with_history(store, agent(model))
    said = await chat.ainvoke([HumanMessage("Is it raining?")], CONFIG)
    await chat.ainvoke([HumanMessage("Sure?")], CONFIG)
    assert exactly(model.asked[2][1:-1]) == exactly(said)
    assert [type(message) for message in said] == [AIMessage, ToolMessage, ToolMessage, AIMessage]
    stored = await store.get_messages("s")
    results = [part for message in stored if message.role == "tool" for part in message.get_tool_results()]
    assert [(part.tool_call_id, part.tool_name, part.output) for part in results] == [
        ("call_Oslo", "weather", '{"city": "Oslo", "rain": false}'),
        ("call_Rome", "weather", '{"city": "Rome", "rain": false}'),
    ]
    assert await store.conversation("s").pending_tool_calls() == []
    info = await store.get_session("s")
    assert info is not None
    assert (info.input_tokens, info.output_tokens, info.total_tokens, info.message_count) == (5, 3, 8, 7)


async def test_a_streamed_answer_is_stored(store: SQLSessionStore) -> None:
    """And loaded as the chunk that it was."""
    chat = with_history(store, Scripted(answers=[AIMessage("Sunny.")]))
    chunks = [chunk.content async for chunk in chat.astream("How is Oslo?", CONFIG)]
    loaded = await histories(store)("s").aget_messages()
    assert [message.content for message in loaded] == ["How is Oslo?", "".join(chunks)]
    assert (await store.get_messages("s"))[1].role == "assistant"


async def test_many_runs_at_once(store: SQLSessionStore) -> None:
    """In several sessions, and in one: a question and its answer stay together."""
    model = RunnableLambda(lambda prompt: AIMessage(f"to {prompt.to_messages()[-1].content}"))
    chat = with_history(store, PROMPT | model, input_messages_key="input", history_messages_key="history")
    configs: list[Any] = [{"configurable": {"session_id": f"{n % 3}"}} for n in range(9)]
    await asyncio.gather(*(chat.ainvoke({"input": f"{n}"}, config) for n, config in enumerate(configs)))
    for session in range(3):
        texts = [message.get_text_content() for message in await store.get_messages(f"{session}")]
        assert sorted(texts[::2]) == [f"{session + 3 * each}" for each in range(3)]
        assert texts[1::2] == [f"to {text}" for text in texts[::2]]


def test_without_an_event_loop(database_url: str) -> None:
    """`invoke` and `batch`, in this thread and in others, on one store."""
    store = SQLSessionStore.from_url(database_url)
    model = Scripted(answers=[AIMessage("Sunny."), AIMessage("No.")])
    chat = with_history(store, model)
    chat.invoke("How is Oslo?", CONFIG)
    chat.invoke("Any rain?", CONFIG)
    assert [message.content for message in model.asked[1]] == ["How is Oslo?", "Sunny.", "Any rain?"]
    others = with_history(store, RunnableLambda(lambda messages: AIMessage(f"to {messages[-1].content}")))
    configs: Any = [{"configurable": {"session_id": f"{n}"}} for n in range(6)]
    others.batch([f"{n}" for n in range(6)], configs)
    for number in range(6):
        history = histories(store)(f"{number}")
        assert [message.content for message in history.messages] == [f"{number}", f"to {number}"]
        history.clear()
        assert history.messages == []
        history.add_user_message("Hi")
        history.add_ai_message("Ho")
        assert str(history) == "Human: Hi\nAI: Ho"
    wait_for(store.close())


async def test_one_way_or_the_other(database_url: str) -> None:
    """Where connections belong to a loop, the calls that wait don't take those of the caller's: a clear error."""
    async with SQLSessionStore.from_url(database_url) as store:
        history = histories(store)("s")
        await history.aadd_messages([HumanMessage("Hi")])
        if store.engine.dialect.name == "sqlite":
            assert await asyncio.to_thread(lambda: history.messages) == history.messages == [HumanMessage("Hi")]
        else:
            with pytest.raises(SessionStoreError, match="another event loop"):
                _ = history.messages
        async with store.engine.connect() as connection:
            with pytest.raises(InvalidValue, match="async methods"):
                _ = SQLChatMessageHistory("s", store=store.bind(connection)).messages
        assert await history.aget_messages() == [HumanMessage("Hi")]


def test_the_waiting_loop_does_not_wait_for_itself(sqlite_url: str) -> None:
    """A handler of events that runs in it is told so, instead of standing still for ever."""
    store = SQLSessionStore.from_url(sqlite_url)
    history = histories(store)("s")
    errors: list[str] = []

    def handler(_: Event) -> None:
        try:
            _messages = history.messages
        except SessionStoreError as error:
            errors.append(str(error))

    store.events.subscribe(handler, "message.saved")
    history.add_user_message("Hi")
    assert "async methods" in errors[0]
    history.clear()
    wait_for(store.close())


def test_after_a_fork(sqlite_url: str) -> None:
    """A forked process has no threads: it gets a loop of its own."""
    program = f"""
import os
from sqlalchemy.pool import NullPool
from sessionstore import Event, SQLSessionStore
from sessionstore.adapters._blocking import wait_for
from sessionstore.adapters.langchain import SQLChatMessageHistory
from sessionstore.errors import InvalidValue, SessionStoreError
store = SQLSessionStore.from_url({sqlite_url!r}, engine_kwargs={{"poolclass": NullPool}})
history = SQLChatMessageHistory("s", store=store)
history.add_user_message("parent")
if os.fork() == 0:
    history.add_user_message("child")
    os._exit(0)
assert os.wait()[1] == 0
assert [message.content for message in history.messages] == ["parent", "child"]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
