"""Conversations for the tests, and what they look like from outside."""

from collections.abc import Sequence
from typing import Any

from sessionstore import Conversation, Message, Session, SessionInfo, SQLSessionStore, ToolCallPart, ToolResultPart
from sessionstore.compaction import Plan
from sessionstore.testing.build import assistant, user


async def conversation_of(store: SQLSessionStore, turns: int = 0, session_id: str = "s", **fields: Any) -> Conversation:
    """Store a session of so many turns, a question and an answer each, and return the conversation."""
    await store.create_session(SessionInfo(id=session_id, **fields))
    conversation = store.conversation(session_id)
    for number in range(1, turns + 1):
        await conversation.append(question(number, session_id), reply(number, session_id))
    return conversation


def question(number: int, session_id: str = "s") -> Message:
    return user(session_id, f"question {number}", id=f"q{number}")


def reply(number: int, session_id: str = "s", **fields: Any) -> Message:
    return assistant(session_id, f"answer {number}", id=f"a{number}", **fields)


def call(*call_ids: str, session_id: str = "s", **fields: Any) -> Message:
    """Return a model's message that calls a tool so many times."""
    parts = [ToolCallPart(tool_call_id=id_, tool_name=f"tool {id_}", arguments={"of": id_}) for id_ in call_ids]
    return Message(session_id=session_id, role="assistant", parts=list(parts), **fields)


def result(*call_ids: str, session_id: str = "s", role: str = "tool", **fields: Any) -> Message:
    """Return a message with the results of so many calls."""
    parts = [ToolResultPart(tool_call_id=id_, tool_name=f"tool {id_}", output=f"output {id_}") for id_ in call_ids]
    return Message.model_validate({"session_id": session_id, "role": role, "parts": parts, **fields})


def said(messages: Sequence[Message]) -> list[str]:
    """Return what each message says, in short."""
    return [_said(message) for message in messages]


def _said(message: Message) -> str:
    calls = [f"call {part.tool_call_id}" for part in message.get_tool_calls()]
    results = [
        f"result {part.tool_call_id}" if part.error is None else f"no result {part.tool_call_id}"
        for part in message.get_tool_results()
    ]
    return " ".join([*([message.get_text_content()] if message.get_text_content() else []), *calls, *results])


def refusals(messages: Sequence[Message]) -> list[str]:
    """Return what a provider would refuse of messages: calls without results behind them, results without calls."""
    found: list[str] = []
    waiting: list[str] = []
    for entry in Session(info=SessionInfo(id="s"), messages=list(messages)).get_messages_for_llm():
        if entry["role"] == "tool":
            if entry["tool_call_id"] in waiting:
                waiting.remove(entry["tool_call_id"])
            else:
                found.append(f"a result without a call: {entry['tool_call_id']}")
            continue
        found += [f"a call without a result: {call_id}" for call_id in waiting]
        waiting = [called["id"] for called in entry.get("tool_calls", ())]
    return found + [f"a call without a result: {call_id}" for call_id in waiting]


class Covering:
    """A strategy that covers what it is told to, and remembers what it was given."""

    def __init__(self, first: int, last: int, kept: Sequence[tuple[int, int]] = (), summary: str | None = None) -> None:
        self._plan = Plan(first, last, kept, summary)
        self.given: list[Message] = []

    async def plan(self, messages: Sequence[Message]) -> Plan:
        self.given = list(messages)
        return self._plan


class Recorder:
    """A summariser that remembers what it was given, and counts."""

    def __init__(self) -> None:
        self.given: list[list[str]] = []

    async def __call__(self, messages: list[Message]) -> str:
        self.given.append(said(messages))
        return f"summary {len(self.given)}"
