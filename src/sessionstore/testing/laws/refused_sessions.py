"""The laws of what `save_session` refuses: nothing is written then."""

import pytest

from sessionstore.errors import InvalidValue, MessageNotFound
from sessionstore.models import Session
from sessionstore.store import SessionStore
from sessionstore.testing.build import aggregate, snapshot, texts, user


async def test_a_summary_of_no_message(store: SessionStore) -> None:
    """A summary pointer to none of the messages raises `MessageNotFound`, and nothing is written."""
    with pytest.raises(MessageNotFound):
        await store.save_session(aggregate("a", summary_message_id="missing"))
    assert await store.get_session("s") is None
    await store.save_session(aggregate("a", "b"))
    before = await snapshot(store, "s")
    with pytest.raises(MessageNotFound):
        await store.save_session(aggregate("a", title="new", summary_message_id="b"))
    assert await snapshot(store, "s") == before


async def _refused(store: SessionStore, session: Session) -> None:
    """Check that a session is refused as a new one and as the next state of a stored one."""
    with pytest.raises(InvalidValue):
        await store.save_session(session)
    assert await store.get_session("s") is None
    await store.save_session(aggregate("a", "b"))
    before = await snapshot(store, "s")
    with pytest.raises(InvalidValue):
        await store.save_session(session)
    assert await snapshot(store, "s") == before


async def test_a_message_of_another_session(store: SessionStore) -> None:
    """A message with another session's id is `InvalidValue`, and nothing is written."""
    session = aggregate("a")
    session.messages.append(user("other"))
    await _refused(store, session)


async def test_an_id_that_occurs_twice(store: SessionStore) -> None:
    """Two messages with one id are `InvalidValue`, also with the same content, and nothing is written."""
    await _refused(store, aggregate("a", "b", "a"))


async def test_values_that_json_cannot_hold(store: SessionStore) -> None:
    """A value that JSON can't hold, in the metadata or any message, is `InvalidValue`; nothing is written."""
    session = aggregate("a", "b", title="new")
    session.messages[1].metadata["x"] = [{"y": (1,)}]
    await _refused(store, session)
    session = aggregate("b", "c", metadata={"x": {"y": {1: 2}}})
    with pytest.raises(InvalidValue):
        await store.save_session(session)
    assert texts(await store.get_messages("s")) == ["a", "b"]
