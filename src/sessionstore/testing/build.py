"""Sessions and messages for the tests, and what makes two messages the same."""

import random
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sessionstore.models import (
    ImagePart,
    Message,
    Part,
    RawPart,
    ReasoningPart,
    Session,
    SessionInfo,
    SessionTime,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
)
from sessionstore.store import SessionStore

LONG_AGO = datetime(2020, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

TOKENS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
"""The token counters of a session."""


EVERY_PART: list[Part] = [
    TextPart(id="p1", content="", metadata={"annotations": [{"z": 1, "a": 2}]}),
    TextPart(id="p2", content="line\r\n\ttab\0nul\ud83d lone \U0001f986"),
    ImagePart(media_type="image/png", data="aGVsbG8=", detail="low"),
    ImagePart(media_type="image/*", url="https://example.com/a.png?b=c&d", metadata={"alt": "a duck"}),
    ToolCallPart(tool_call_id="c1", tool_name="read", arguments={"path": "/a", "lines": [1, 2.0, None, True]}),
    ToolCallPart(tool_call_id="c1", tool_name="", arguments={}, metadata={"raw": "{ }"}),
    ToolResultPart(tool_call_id="c1", tool_name="read", title="Read /a", output="text", error=None),
    ToolResultPart(tool_call_id="", tool_name="read", output="", error="not found"),
    ReasoningPart(content="hm", signature="c2lnbmF0dXJl", metadata={"encrypted": True}),
    ReasoningPart(content=""),
    RawPart(data={"type": "compaction", "items": [1, {"x": None}]}),
    RawPart(data=None),
    RawPart(data=[]),
    RawPart(data="text"),
    RawPart(data=0.0),
    RawPart(data=False),
    UnknownPart(type="audio", data={"seconds": 3}, text="hello", tool_call_id="c9", tool_name="listen"),
    UnknownPart(type="video"),
]
"""Parts of every type, plain and awkward."""


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


async def new_session(store: SessionStore, **fields: Any) -> SessionInfo:
    """Store a session that was last used long ago, so that a later use shows."""
    fields.setdefault("time", SessionTime(created=LONG_AGO, updated=LONG_AGO))
    return await store.create_session(SessionInfo(**fields))


async def session_of(store: SessionStore, *messages: str, **fields: Any) -> tuple[SessionInfo, list[Message]]:
    """Store a session whose user messages say what is given; return it and them."""
    info = await new_session(store, **fields)
    return info, await store.save_messages([user(info.id, text) for text in messages])


def aggregate(*names: str, id: str = "s", **fields: Any) -> Session:
    """Make a session whose messages say their ids."""
    info = SessionInfo(id=id, time=SessionTime(created=LONG_AGO, updated=LONG_AGO), **fields)
    return Session(info=info, messages=[user(id, name, id=name) for name in names])


async def stored(store: SessionStore, session_id: str) -> SessionInfo:
    """Return a session that must be there."""
    info = await store.get_session(session_id)
    assert info is not None
    return info


async def snapshot(store: SessionStore, session_id: str) -> str:
    """Return all that a reader can see of a session, to tell whether anything changed."""
    return repr(
        (
            await store.get_session(session_id),
            await store.get_messages(session_id),
            await store.list_read_files(session_id),
        )
    )


async def refused(call: Awaitable[Any], error: type[Exception], what: object) -> str:
    """Check that a call raises an error, and return its message; `what` tells the calls of a loop apart."""
    try:
        result = await call
    except error as refusal:
        return str(refusal)
    pytest.fail(f"{what!r:.200} was accepted and gave {result!r:.200}")


def incompressible(length: int) -> str:
    """Return text of four bytes a character, which no database makes shorter."""
    choices = random.Random(length)  # noqa: S311 - for variety
    return "".join(chr(choices.randrange(0x20000, 0x2A000)) for _ in range(length))


def user(session_id: str, text: str = "hello", **fields: Any) -> Message:
    return Message(session_id=session_id, role="user", parts=[TextPart(content=text)], **fields)


def assistant(session_id: str, text: str = "hello yourself", **fields: Any) -> Message:
    return Message(session_id=session_id, role="assistant", parts=[TextPart(content=text)], **fields)


def tool_call(session_id: str, call_id: str = "call_1", **fields: Any) -> Message:
    part = ToolCallPart(tool_call_id=call_id, tool_name="read", arguments={"path": "/etc/hosts"})
    return Message(session_id=session_id, role="assistant", parts=[part], **fields)


def tool_result(session_id: str, call_id: str = "call_1", *, role: str = "tool", **fields: Any) -> Message:
    part = ToolResultPart(tool_call_id=call_id, tool_name="read", output="127.0.0.1 localhost")
    return Message.model_validate({"session_id": session_id, "role": role, "parts": [part], **fields})


def content(message: Message) -> str:
    """Return what makes two messages the same, to the last bit: 1 is not 1.0, and NaN is NaN."""
    parts = [exact_part(part) for part in message.parts]
    return repr((message.role, parts, message.model, message.provider, message.usage, message.status, message.metadata))


def exact_part(part: Part) -> str:
    return repr(
        (type(part).__name__, [(name, getattr(part, name)) for name in type(part).model_fields if name != "id"])
    )


def ids(entries: Sequence[Message | SessionInfo]) -> list[str]:
    return [entry.id for entry in entries]


def seqs(messages: Sequence[Message]) -> list[int | None]:
    return [message.seq for message in messages]


def turns(messages: Sequence[Message]) -> list[int | None]:
    return [message.turn for message in messages]


def texts(messages: Sequence[Message]) -> list[str]:
    return [message.get_text_content() for message in messages]


def totals(info: SessionInfo) -> dict[str, int]:
    """Return the counters that aren't 0."""
    counts = {name: getattr(info, name) for name in ("message_count", *TOKENS)}
    return {name: count for name, count in counts.items() if count}
