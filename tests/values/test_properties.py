"""The laws of values as properties: whatever Python can hold comes back exactly, or nothing is written."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from sessionstore import (
    Message,
    RawPart,
    Session,
    SessionInfo,
    SessionTime,
    SQLSessionStore,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
    new_id,
)
from sessionstore.errors import InvalidValue, MessageConflict
from sessionstore.models.base import EARLIEST, LATEST
from sessionstore.testing.build import content, refused, user
from sessionstore.testing.strategies import json_objects, json_values, on_one_store, texts
from tests.databases import TABLES

_SCALARS = (
    st.binary(max_size=3)
    | st.binary(max_size=3).map(bytearray)
    | st.sets(st.integers(), max_size=2)
    | st.frozensets(st.integers(), max_size=2)
    | st.tuples(st.integers())
    | st.just(())
    | st.builds(Decimal, st.integers())
    | st.builds(Fraction, st.integers())
    | st.complex_numbers()
    | st.datetimes()
    | st.dates()
    | st.uuids()
    | st.sampled_from([object(), int, ..., range(3), 10**4300, -(10**4300)])
)
_KEYS = st.integers() | st.booleans() | st.none() | st.floats() | st.binary(max_size=3) | st.tuples(st.integers())


def _deep(depth: int, make: Callable[[Any], Any]) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = make(value)
    return value


_DEEP = st.builds(_deep, st.integers(501, 3000), st.sampled_from([lambda inner: [inner], lambda inner: {"k": inner}]))
_NO_JSON = _SCALARS | st.dictionaries(_KEYS, json_values, min_size=1, max_size=2) | _DEEP


@st.composite
def _unfit(draw: st.DrawFn) -> Any:
    """A JSON value with something in it, at any place, that JSON can't hold."""
    value = draw(_NO_JSON)
    for _ in range(draw(st.integers(0, 4))):
        if draw(st.booleans()):
            others = draw(st.lists(json_values, max_size=2))
            others.insert(draw(st.integers(0, len(others))), value)
            value = others
        else:
            value = {**draw(json_objects), draw(texts): value}
    return value


async def _everything(store: SQLSessionStore) -> list[str]:
    """Return every row of every table."""
    async with store.engine.connect() as connection:
        return [
            repr(tuple(row))
            for table in TABLES
            for row in (await connection.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2, 3"))).all()
        ]


@on_one_store
@given(bad=_unfit())
async def test_what_json_cannot_hold_is_refused(store: SQLSessionStore, bad: Any) -> None:
    """Whatever JSON would change or lose is `InvalidValue` wherever it stands, and no row of any table changes."""
    if await store.get_session("s") is None:
        await store.create_session(SessionInfo(id="s"))
        await store.save_message(user("s", id="m"))
    info = SessionInfo(id="s", metadata={"bad": bad})
    places = [
        ToolCallPart(tool_call_id="c", tool_name="t", arguments={"bad": bad}),
        ToolResultPart(tool_call_id="c", tool_name="t", output="", metadata={"bad": bad}),
        RawPart(data=bad),
        UnknownPart(type="later", data=bad),
    ]
    messages = [Message(session_id="s", role="assistant", parts=[TextPart(content=""), part]) for part in places]
    messages.append(user("s", metadata={"bad": bad}))
    before = await _everything(store)
    for message in messages:
        await refused(store.save_message(message), InvalidValue, message)
        await refused(store.save_messages([user("s"), message]), InvalidValue, message)
        await refused(store.replace_message(message.model_copy(update={"id": "m"})), InvalidValue, message)
    await refused(store.create_session(info.model_copy(update={"id": new_id()})), InvalidValue, info)
    await refused(store.update_session(info), InvalidValue, info)
    await refused(store.save_session(Session(info=info)), InvalidValue, info)
    async with store.engine.begin() as connection:
        await refused(store.bind(connection).save_message(messages[0]), InvalidValue, bad)
        await store.bind(connection).get_session("s")  # the caller's transaction goes on
    assert await _everything(store) == before


@on_one_store
@given(one=json_values, other=json_values)
async def test_what_differs_is_a_conflict(store: SQLSessionStore, one: Any, other: Any) -> None:
    """Two values are the same content exactly when they are the same to the last bit, in order and in type."""
    await store.create_session(SessionInfo(id=(session := new_id())))
    first, second = (
        Message(id="m", session_id=session, role="tool", parts=[RawPart(data=value)]) for value in (one, other)
    )
    await store.save_message(first)
    if content(first) == content(second):
        await store.save_message(second)
    else:
        await refused(store.save_message(second), MessageConflict, (one, other))
    (read,) = await store.get_messages(session)
    assert content(read) == content(first)


_OFFSETS = st.builds(lambda seconds: timezone(timedelta(seconds=seconds)), st.integers(-86_399, 86_399))
_INSTANTS = st.datetimes(
    (EARLIEST + timedelta(days=2)).replace(tzinfo=None), (LATEST - timedelta(days=2)).replace(tzinfo=None)
)


@on_one_store
@given(naive=_INSTANTS, zone=_OFFSETS, other=_OFFSETS)
async def test_times_with_any_offset(store: SQLSessionStore, naive: datetime, zone: timezone, other: timezone) -> None:
    """A time with any offset, to the second, is the same instant in UTC, to the microsecond, stored and asked for."""
    instant = naive.replace(tzinfo=zone)
    times = SessionTime(created=instant, updated=instant.astimezone(other), archived=instant)
    info = await store.create_session(SessionInfo(time=times))
    await store.save_message(user(info.id, created_at=instant))
    read = await store.get_session(info.id)
    (message,) = await store.get_messages(info.id)
    assert read is not None
    for time in (read.time.created, read.time.archived, message.created_at):
        assert time == instant
        assert time.tzinfo is UTC
    for asked in (instant, instant.astimezone(other)):
        assert await store.get_messages_after(info.id, asked) == []
        assert await store.get_messages_after(info.id, asked - timedelta(microseconds=1)) == [message]
