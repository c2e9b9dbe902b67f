"""The laws of values: they come back exactly as they were given, or are refused before anything is written."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import given

from sessionstore.errors import InvalidValue
from sessionstore.models import (
    ImagePart,
    Message,
    Part,
    RawPart,
    ReasoningPart,
    Session,
    SessionInfo,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
    new_id,
)
from sessionstore.store import SessionStore
from sessionstore.testing.build import content, new_session, refused, session_of, snapshot, stored, user
from sessionstore.testing.strategies import json_objects, json_values, on_one_store, texts


async def _comes_back(store: SessionStore, message: Message) -> None:
    """Check that a message is read as it was given, however it is read, and is known again when saved again."""
    await new_session(store, id=message.session_id)
    saved = await store.save_message(message)
    reads = [
        saved,
        *await store.get_messages(message.session_id),
        await store.get_message(message.session_id, message.id),
    ]
    reads += [await store.save_message(message), *await store.save_messages([message])]
    for read in reads:
        assert read is not None
        assert content(read) == content(message)


def _holding(value: Any, texts: tuple[str, ...] = ("",) * 4) -> Message:
    """Make a message that holds a JSON value wherever one may stand, and text wherever it may."""
    one, two, three, four = texts
    return Message(
        session_id=new_id(),
        role="assistant",
        metadata={"value": value},
        parts=[
            RawPart(data=value, metadata={"value": value}),
            TextPart(content=one, metadata={"value": value}),
            ToolCallPart(tool_call_id=one, tool_name=two, arguments={"value": value}),
            ToolResultPart(tool_call_id=two, tool_name=three, title=four, output=one, error=two),
            ReasoningPart(content=three, signature=four),
            ImagePart(media_type=one, url=two, detail=three),
            ImagePart(media_type=two, data=four),
            UnknownPart(type="audio", data=value, text=two, tool_call_id=three, tool_name=four),
        ],
    )


@on_one_store
@given(value=json_values, one=texts, two=texts, three=texts, four=texts)
async def test_any_value_and_text(store: SessionStore, value: Any, one: str, two: str, three: str, four: str) -> None:
    """Any JSON value and any Python string come back exactly, wherever in a message they stand."""
    await _comes_back(store, _holding(value, (one, two, three, four)))


@on_one_store
@given(arguments=json_objects, metadata=json_objects)
async def test_any_object(store: SessionStore, arguments: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Any JSON object comes back exactly as a tool's arguments and as metadata: its keys, and their order, too."""
    message = Message(session_id=new_id(), role="assistant", metadata=metadata)
    message.parts = [ToolCallPart(tool_call_id="c", tool_name="t", arguments=arguments, metadata=metadata)]
    await _comes_back(store, message)


@on_one_store
@given(metadata=json_objects, other=json_objects)
async def test_any_session_metadata(store: SessionStore, metadata: dict[str, Any], other: dict[str, Any]) -> None:
    """A session's metadata comes back exactly: created, updated, listed, and saved as a whole."""
    info = await store.create_session(SessionInfo(metadata=metadata))
    assert repr(info.metadata) == repr((await stored(store, info.id)).metadata) == repr(metadata)
    info.metadata = other
    assert repr((await store.update_session(info)).metadata) == repr(other)
    assert repr((await store.list_sessions(limit=1))[0].metadata) == repr(other)
    info.metadata = metadata
    await store.save_session(Session(info=info))
    assert repr((await stored(store, info.id)).metadata) == repr(metadata)


@on_one_store
@given(old=json_values, new=json_values)
async def test_any_replacement(store: SessionStore, old: Any, new: Any) -> None:
    """A replaced message's values are the new ones, and are told from the old ones to the last bit."""
    message = _holding(old)
    await new_session(store, id=message.session_id)
    await store.save_message(message)
    replacement = _holding(new).model_copy(update={"id": message.id, "session_id": message.session_id})
    assert content(await store.replace_message(replacement)) == content(replacement)
    (read,) = await store.get_messages(message.session_id)
    assert content(read) == content(replacement)


def _nested(depth: int, make: Callable[[Any], Any]) -> Any:
    value = make(None)
    for _ in range(depth - 1):
        value = make(value)
    return value


EXACT: dict[str, Any] = {
    "NUL": {"a\0b": "\0"},
    "lone surrogates": {"\ud800": ["\udfff", "a\udc00b\ud83d"]},
    "a pair in two halves": {"\ud83d\ude00": "\ud83d\ude00", "\U0001f600": "\U0001f600"},
    "what looks like an escape": ["\\u0000", "\\ud83d\\ude00", "\\\\", "\\", " \ud83d\ude00\\ude00"],
    "not a number": [float("nan"), float("inf"), float("-inf")],
    "zeros": [0, 0.0, -0.0, False],
    "ones": [1, 1.0, True, "1"],
    "floats": [1e308, -1e308, 5e-324, 0.1, 1e16, 123456789.123456789, 1e-7],
    "integers": [2**31, 2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**100, 10**4299, -(10**4299)],
    "key order": {"z": 1, "a": {"y": 1, "b": 2}, "m": 3, "10": 4, "9": 5, "": 6},
    "keys that look alike": {"1": 1, "1.0": 2, "true": 3, "null": 4, "None": 5, "\u00e9": 6, "e\u0301": 7},
    "empty": [{}, [], "", None, {"": []}],
    "500 lists": _nested(499, lambda inner: [inner]),
    "500 objects": _nested(499, lambda inner: {"k": inner}),
    "many characters": "\u20ac" * 2**18,
    "controls": "".join(map(chr, range(0x20))) + "\x7f\x80\x9f\u2028\u2029\ufeff\ufffe\uffff",
}


async def test_exactly(store: SessionStore) -> None:
    """Key order, NUL, lone surrogates, NaN, -0.0, long integers and 500 levels are kept."""
    for value in EXACT.values():
        await _comes_back(store, _holding(value))


async def test_a_value_has_500_levels(store: SessionStore) -> None:
    """Each value has 500 levels of its own, and not one more."""
    whole, too_deep = (_nested(levels, lambda inner: {"k": inner}) for levels in (500, 501))
    call = ToolCallPart(tool_call_id="c", tool_name="t", arguments=whole, metadata=whole)
    parts: list[Part] = [RawPart(data=whole), call, UnknownPart(type="audio", data=whole)]
    await _comes_back(store, Message(session_id=new_id(), role="tool", parts=parts, metadata=whole))
    info = await new_session(store, metadata=whole)
    assert repr(info.metadata) == repr(whole)
    for part in (RawPart(data=too_deep), call.model_copy(update={"arguments": too_deep})):
        message = Message(session_id=info.id, role="tool", parts=[part])
        await refused(store.save_message(message), InvalidValue, part.type)
    await refused(store.save_message(user(info.id, metadata=too_deep)), InvalidValue, "metadata")
    assert await store.get_messages(info.id) == []


async def test_a_repeated_value_is_no_circle(store: SessionStore) -> None:
    """The same list or object may stand in several places of a value."""
    shared = {"list": [1]}
    await _comes_back(store, _holding([shared, shared, {"again": shared}]))


class _Colour(Enum):
    RED = 1


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


REFUSED: dict[str, Any] = {
    "integer key": {1: "a", "1": "b"},
    "None key": {None: 1},
    "bool key": {True: 1},
    "tuple key": {(1, 2): 1},
    "bytes": b"bytes",
    "bytearray": bytearray(b"bytes"),
    "set": {1},
    "frozenset": frozenset({1}),
    "tuple": (1, 2),
    "Decimal": Decimal("1.10"),
    "datetime": datetime(2024, 1, 1, tzinfo=UTC),
    "complex": 1j,
    "object": object(),
    "enum": _Colour.RED,
    "type": int,
    "model": TextPart(content="x"),
    "generator": (number for number in range(3)),
    "501 lists": _nested(500, lambda inner: [inner]),
    "501 objects": _nested(500, lambda inner: {"k": inner}),
    "10,000 lists": _nested(10_000, lambda inner: [inner]),
    "a circle": _circle(),
    "an integer too long to print": 10**4300,
}


def _calls(store: SessionStore, info: SessionInfo, message: Message, value: Any) -> dict[str, Callable[[], Any]]:
    """Every way to hand a value to a store."""
    parts = {
        "arguments": ToolCallPart(tool_call_id="c", tool_name="t", arguments={"key": [value]}),
        "raw data": RawPart(data={"key": [value]}),
        "unknown data": UnknownPart(type="x", data={"key": [value]}),
        "part metadata": TextPart(content="x", metadata={"key": [value]}),
    }
    messages = {
        name: Message(session_id=info.id, role="tool", parts=[TextPart(content=""), part])
        for name, part in parts.items()
    }
    messages["metadata"] = user(info.id, metadata={"key": [value]})
    changed = info.model_copy(update={"metadata": {"key": [value]}})
    calls: dict[str, Callable[[], Any]] = {
        f"save_message {name}": lambda bad=bad: store.save_message(bad) for name, bad in messages.items()
    }
    bad = messages["metadata"]
    calls["save_messages"] = lambda: store.save_messages([user(info.id), bad])
    calls["replace_message"] = lambda: store.replace_message(bad.model_copy(update={"id": message.id}))
    calls["update_session"] = lambda: store.update_session(changed)
    calls["create_session"] = lambda: store.create_session(changed.model_copy(update={"id": "new"}))
    calls["save_session metadata"] = lambda: store.save_session(Session(info=changed, messages=[]))
    calls["save_session message"] = lambda: store.save_session(Session(info=info, messages=[bad]))
    return calls


async def test_refused(store: SessionStore) -> None:
    """What JSON can't hold without loss is `InvalidValue`, which names the path, and nothing is written."""
    info, (message,) = await session_of(store, "one")
    before = await snapshot(store, info.id)
    for name, value in REFUSED.items():
        for place, call in _calls(store, info, message, value).items():
            assert "['key'][0]" in await refused(call(), InvalidValue, (name, place))
    assert await snapshot(store, info.id) == before
    assert len(await store.list_sessions()) == 1


async def test_the_path_is_named(store: SessionStore) -> None:
    """The refusal says where the value stands."""
    info = await new_session(store)
    bad = ToolCallPart(tool_call_id="c", tool_name="t", arguments={"files": [{"a": 1}, {"mode": {0o644}}]})
    with pytest.raises(InvalidValue, match=r"parts\[1\]\.arguments\['files'\]\[1\]\['mode'\]"):
        await store.save_message(Message(session_id=info.id, role="assistant", parts=[TextPart(content=""), bad]))


async def test_ordered_dicts_are_objects(store: SessionStore) -> None:
    """An ordered dict is an object; it comes back as a dict in the same order."""
    info = await new_session(store)
    await store.save_message(Message(session_id=info.id, role="tool", parts=[RawPart(data=OrderedDict(b=1, a=2))]))
    (read,) = await store.get_messages(info.id)
    assert isinstance(read.parts[0], RawPart)
    assert repr(read.parts[0].data) == "{'b': 1, 'a': 2}"
