"""An agent that is killed in the middle of an answer and in the middle of a tool call, and goes on.

    python examples/agent.py
    python examples/agent.py --database-url postgresql+asyncpg://user@host/database

Each question is put by a process of its own, as by a server that was restarted; two of these are
killed, and the next one resumes. In the end it shows what is stored and what the model is sent.
The model is a fake: put yours in `call_model`, and your tools in `run_tool`.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from sessionstore import Conversation, Message, SessionInfo, SQLSessionStore, ToolCallPart, ToolResultPart
from sessionstore.compaction import Summarize

CONTEXT_LIMIT = 240  # tokens: a tiny model, so that a short conversation fills it

# The agent: what README shows, and all that a real one needs besides its model and its tools.


async def answer(chat: Conversation) -> str:
    """Have the model answer, and run the tools that it calls, until it calls none."""
    while True:
        await chat.compact_if_needed(Summarize(summarize, preserve_recent_turns=2), CONTEXT_LIMIT, threshold_percent=80)
        context = [entry for message in await chat.context() for entry in message.to_llm_messages()]
        async with chat.stream(model="fake-1") as draft:  # stored while it arrives
            async for event in call_model(context):
                match event:
                    case str():
                        await draft.append_text(event)
                    case ToolCallPart():
                        await draft.add_part(event)
                    case usage:
                        draft.usage = usage
        calls = draft.message.get_tool_calls()
        for call in calls:
            await chat.append(Message(session_id=chat.session_id, role="tool", parts=[await run_tool(call)]))
        if not calls:
            return draft.message.get_text_content()


async def resume(store: SQLSessionStore, chat: Conversation, stale_after: float = 60) -> None:
    """Put in order what a process that died has left: half an answer, tool calls without a result."""
    await store.recover(stale_after=stale_after)
    await chat.repair_tool_calls("the process died; the tool may have run")


# What stands in for a model and its tools.


async def call_model(context: list[dict[str, Any]]) -> AsyncIterator[str | ToolCallPart | dict[str, int]]:
    """Stream an answer as providers do: pieces of text, tool calls, and the token usage at the end."""
    last, said = context[-1], ""
    if last["role"] == "tool":
        said = f"The tool says: {last['content']}."
    elif "story" in last["content"]:
        said = "Once upon a time there was a database that forgot nothing. " + "Then came a commit. " * 10_000
    elif "weather" in last["content"]:
        city = last["content"].split()[-1].strip("?")
        yield ToolCallPart(tool_call_id=f"call_{len(context)}", tool_name="get_weather", arguments={"city": city})
    else:
        said = f"We were at: {context[-2]['content'][:45]}"
    for word in said.split():
        yield word + " "
        await asyncio.sleep(0.02)
    yield {"input_tokens": len(json.dumps(context)) // 4, "output_tokens": 1 + len(said) // 4}


async def run_tool(call: ToolCallPart) -> ToolResultPart:
    """Run a tool. One that fails would be a result with an `error`, so that the model knows."""
    if call.arguments["city"] == "Atlantis":
        await asyncio.sleep(3600)  # a service that doesn't answer
    output = f"rain in {call.arguments['city']}"
    return ToolResultPart(tool_call_id=call.tool_call_id, tool_name=call.tool_name, output=output)


async def summarize(messages: list[Message]) -> str:
    """Have a model summarise messages: the earlier summary, if there is one, is the first of them."""
    questions = [message.get_text_content() for message in messages if message.role in ("user", "system")]
    return "The user said: " + " / ".join(questions)


# A process puts one question. The first one's parent kills two of them.


async def put_question(url: str, session_id: str, text: str) -> None:
    """Resume the conversation, whatever became of the process before, and have a question answered."""
    async with SQLSessionStore.from_url(url) as store:
        chat = store.conversation(session_id)
        # A living writer gives a sign of life every 15 seconds, so the default of 60 is safe whoever else
        # writes. Here the only other writer is known to be dead: its draft needs no waiting time.
        await resume(store, chat, stale_after=0)
        question = Message(session_id=session_id, role="user")
        question.add_text(text)
        await chat.append(question)
        print(f"agent: {await answer(chat)}", flush=True)


Moment = Callable[[], Awaitable[bool]]


async def in_a_process(url: str, session_id: str, text: str, *, kill_when: Moment | None = None) -> None:
    """Put a question from a new process, and with `kill_when`, kill that as soon as the moment has come."""
    print(f"user:  {text}", flush=True)
    arguments = [__file__, "--database-url", url, "--session", session_id, "--ask", text]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    if kill_when is None:
        if await process.wait():
            raise SystemExit(f"the process failed: {process.returncode}")
        return
    try:
        async with asyncio.timeout(60):
            while not await kill_when():  # noqa: ASYNC110 - another process brings the moment
                await asyncio.sleep(0.05)
    finally:
        process.kill()  # SIGKILL: no `finally` there, no exit handler, nothing
    await process.wait()
    print("       (killed)", flush=True)


async def show(chat: Conversation, store: SQLSessionStore) -> None:
    """Print the transcript, and what of it the model is sent."""
    print("\nstored:")
    for message in await store.get_messages(chat.session_id):
        print(f"  {message.seq:2} {message.role:9} {message.status:11} {brief(message)}")
    for record in await chat.summaries():
        print(
            f"  summary {record.number} of messages {record.from_seq} to {record.through_seq}, active: {record.active}"
        )
    print("\ncontext:")
    for message in await chat.context():
        print(f"     {message.role:9} {brief(message)}")


def brief(message: Message) -> str:
    """Return in a line what a message holds."""
    calls = [f"{call.tool_name}({call.arguments})" for call in message.get_tool_calls()]
    results = [result.error or result.output for result in message.get_tool_results()]
    return " ".join([repr(text) for text in [message.get_text_content()[:70]] if text] + calls + results)


async def converse(url: str) -> None:
    """Hold a conversation that two crashes interrupt, and show what is stored."""
    async with SQLSessionStore.from_url(url, auto_upgrade=True) as store:
        session = await store.create_session(SessionInfo(title="An interrupted conversation"))
        chat = store.conversation(session.id)

        async def half_told() -> bool:  # any process can read a draft while it arrives
            (latest,) = await store.get_messages(session.id, limit=1)
            return latest.status == "in_progress" and "time" in latest.get_text_content()

        async def tool_runs() -> bool:
            return bool(await chat.pending_tool_calls())

        await in_a_process(url, session.id, "How is the weather in Oslo?")
        await in_a_process(url, session.id, "Tell me a long story.", kill_when=half_told)
        await in_a_process(url, session.id, "Go on.")
        await in_a_process(url, session.id, "How is the weather in Atlantis?", kill_when=tool_runs)
        await in_a_process(url, session.id, "Did you find out?")
        await show(chat, store)


def main() -> None:
    """Hold the whole conversation, or, in a process that it starts, put one question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", help="by default a SQLite file that is deleted in the end")
    parser.add_argument("--session", help=argparse.SUPPRESS)
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        asyncio.run(put_question(given.database_url, given.session, given.ask))
    elif given.database_url:
        asyncio.run(converse(given.database_url))
    else:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(converse(f"sqlite+aiosqlite:///{Path(folder) / 'agent.db'}"))


if __name__ == "__main__":
    main()
