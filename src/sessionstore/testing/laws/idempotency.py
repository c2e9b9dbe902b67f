"""The laws of saving again: the same content is the same message, other content a conflict."""

import asyncio
from typing import Any

from sessionstore.errors import MessageConflict
from sessionstore.models import Message
from sessionstore.store import SessionStore
from sessionstore.testing.build import (
    EVERY_PART,
    LONG_AGO,
    assistant,
    new_session,
    refused,
    snapshot,
    stored,
    texts,
    totals,
    user,
)


async def test_saving_again_changes_nothing(store: SessionStore) -> None:
    """The same id with the same content returns the stored message and writes nothing."""
    info = await new_session(store)
    message = Message(
        session_id=info.id, role="assistant", parts=EVERY_PART, usage={"input_tokens": 1}, metadata={"a": "\0"}
    )
    first = await store.save_message(message)
    await store.save_message(user(info.id))
    before = await snapshot(store, info.id)
    assert repr(await store.save_message(message)) == repr(first)
    assert repr(await store.save_message(first)) == repr(first)
    assert await snapshot(store, info.id) == before


async def test_times_and_part_ids_are_no_content(store: SessionStore) -> None:
    """A message whose times, `seq`, `turn` and part ids differ is still the same message."""
    info = await new_session(store)
    first = await store.save_message(user(info.id, id="m"))
    before = await snapshot(store, info.id)
    again = user(info.id, id="m", created_at=LONG_AGO, seq=42, turn=42)
    assert again.parts[0].id != first.parts[0].id
    assert repr(await store.save_message(again)) == repr(first)
    assert await snapshot(store, info.id) == before


CALL = {"type": "tool_call", "tool_call_id": "c", "tool_name": "t", "arguments": {"a": 1, "b": [1.0, 0.0]}}
RESULT = {"type": "tool_result", "tool_call_id": "c", "tool_name": "t", "output": "o"}
IMAGE = {"type": "image", "media_type": "image/png", "url": "u"}
ORIGINAL: dict[str, Any] = {
    "id": "m",
    "role": "assistant",
    "parts": [{"type": "text", "content": "one"}, CALL, RESULT, IMAGE, {"type": "reasoning", "content": "r"}],
    "usage": {"input_tokens": 1},
    "metadata": {"a": 1, "b": True},
}


def _with_part(position: int, **fields: Any) -> dict[str, Any]:
    parts = [dict(part) for part in ORIGINAL["parts"]]
    parts[position] |= fields
    return {"parts": parts}


OTHER_CONTENT: dict[str, dict[str, Any]] = {
    "role": {"role": "user"},
    "status": {"status": "interrupted"},
    "model": {"model": "m"},
    "provider": {"provider": "p"},
    "usage": {"usage": {"input_tokens": 2}},
    "usage key": {"usage": {"input_tokens": 1, "other": 0}},
    "no usage": {"usage": None},
    "metadata": {"metadata": {"a": 1, "b": False}},
    "metadata: True is not 1": {"metadata": {"a": 1, "b": 1}},
    "metadata: 1 is not 1.0": {"metadata": {"a": 1.0, "b": True}},
    "metadata: order": {"metadata": {"b": True, "a": 1}},
    "no metadata": {"metadata": {}},
    "text": _with_part(0, content="One"),
    "text: trailing space": _with_part(0, content="one "),
    "part metadata": _with_part(0, metadata={"k": 1}),
    "part type": _with_part(0, type="reasoning"),
    "call id": _with_part(1, tool_call_id="d"),
    "call name": _with_part(1, tool_name="u"),
    "arguments": _with_part(1, arguments={"a": 1, "b": [1.0]}),
    "arguments: 0.0 is not -0.0": _with_part(1, arguments={"a": 1, "b": [1.0, -0.0]}),
    "arguments: order": _with_part(1, arguments={"b": [1.0, 0.0], "a": 1}),
    "output": _with_part(2, output="p"),
    "error": _with_part(2, error=""),
    "result title": _with_part(2, title="t"),
    "image url": _with_part(3, url="v"),
    "image detail": _with_part(3, detail="low"),
    "image source": _with_part(3, url=None, data="u"),
    "signature": _with_part(4, signature="s"),
    "fewer parts": {"parts": ORIGINAL["parts"][:-1]},
    "more parts": {"parts": [*ORIGINAL["parts"], {"type": "text", "content": ""}]},
    "part order": {"parts": ORIGINAL["parts"][::-1]},
    "no parts": {"parts": []},
}


async def test_other_content_is_a_conflict(store: SessionStore) -> None:
    """The same id with other content, however small the difference, raises `MessageConflict`; nothing is written."""
    info = await new_session(store)
    original = {"session_id": info.id, **ORIGINAL}
    await store.save_message(Message.model_validate(original))
    before = await snapshot(store, info.id)
    for name, change in OTHER_CONTENT.items():
        other = Message.model_validate(original | change)
        await refused(store.save_message(other), MessageConflict, name)
        await refused(store.save_messages([user(info.id), other]), MessageConflict, name)
    assert await snapshot(store, info.id) == before


async def test_sessions_share_message_ids(store: SessionStore) -> None:
    """A message's id is its session's own: another session may use it for other content."""
    one, two = await new_session(store), await new_session(store)
    await store.save_message(user(one.id, "one", id="m"))
    await store.save_message(assistant(two.id, "two", id="m"))
    assert texts(await store.get_messages(one.id)) == ["one"]
    assert texts(await store.get_messages(two.id)) == ["two"]


async def test_at_once_the_same_message_is_one(store: SessionStore) -> None:
    """Of those who save the same message at once each gets the one that is stored."""
    info = await new_session(store)
    message = assistant(info.id, usage={"output_tokens": 3})
    saved = await asyncio.gather(*(store.save_message(message) for _ in range(12)))
    assert len({repr(result) for result in saved}) == 1
    assert await store.get_messages(info.id) == [saved[0]]
    assert totals(await stored(store, info.id)) == {"message_count": 1, "output_tokens": 3, "total_tokens": 3}


async def test_at_once_other_contents_conflict(store: SessionStore) -> None:
    """Of those who save one id with different contents at once one succeeds; the others learn of the conflict."""
    info = await new_session(store)
    attempts = [store.save_message(user(info.id, str(number), id="m")) for number in range(8)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    (winner,) = [result for result in results if isinstance(result, Message)]
    assert sum(isinstance(result, MessageConflict) for result in results) == 7
    assert await store.get_messages(info.id) == [winner]
    assert (await stored(store, info.id)).message_count == 1
