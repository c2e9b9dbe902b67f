"""`SessionInfo`, and `Session`: the aggregate that oats' programs build in memory."""

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from sessionstore import ImagePart, Message, Session, SessionInfo, SessionTime
from sessionstore.errors import InvalidValue

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def _session(**fields: Any) -> Session:
    return Session(info=SessionInfo(id="s", time=SessionTime(created=LONG_AGO, updated=LONG_AGO), **fields))


def test_defaults() -> None:
    info = SessionInfo()
    assert info.title == "New Session"
    assert info.time.archived is None
    assert info.metadata == {}
    assert {info.message_count, info.input_tokens, info.output_tokens, info.total_tokens} == {0}
    assert {info.cache_read_tokens, info.cache_write_tokens, info.reasoning_tokens} == {0}
    assert {info.project_dir, info.working_dir, info.model_id, info.provider_id} == {None}
    assert {info.root_session_id, info.parent_session_id, info.user_id, info.summary_message_id} == {None}


def test_ids_are_made_in_order() -> None:
    ids = [SessionInfo().id for _ in range(50)]
    assert ids == sorted(set(ids))


def test_times_come_to_utc() -> None:
    west = LONG_AGO.astimezone(timezone(timedelta(hours=-8)))
    moments = SessionTime(created=west, updated=west, archived=west)
    assert {moments.created, moments.updated, moments.archived} == {LONG_AGO}
    assert {moments.created.tzinfo, moments.updated.tzinfo} == {UTC}


@pytest.mark.parametrize("field", ["created", "updated", "archived"])
def test_naive_times_are_refused(field: str) -> None:
    with pytest.raises(ValidationError):
        SessionTime.model_validate({field: datetime(2024, 1, 1)})


@pytest.mark.parametrize("field", ["id", "root_session_id", "parent_session_id", "user_id", "summary_message_id"])
@pytest.mark.parametrize("value", ["", "x" * 256, "a\0", "\ud800", 5])
def test_bad_ids_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        SessionInfo.model_validate({field: value})


@pytest.mark.parametrize("field", ["title", "project_dir", "working_dir", "model_id", "provider_id"])
@pytest.mark.parametrize("value", ["a\0", "\udfff", 5, b"x"])
def test_bad_text_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        SessionInfo.model_validate({field: value})


@pytest.mark.parametrize("value", ["1", 1.0, True, None, 2**63])
def test_bad_counts_are_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        SessionInfo.model_validate({"input_tokens": value})


def test_id_and_title() -> None:
    session = _session(title="t")
    assert (session.id, session.title) == ("s", "t")


def test_adding_a_message() -> None:
    session = _session()
    message = Message(session_id="s", role="user")
    assert session.add_message(message) is message
    assert session.messages == [message]
    assert session.info.message_count == 1
    assert session.info.time.updated > LONG_AGO
    assert session.info.time.created == LONG_AGO


def test_adding_the_last_message_again_changes_nothing() -> None:
    session = _session()
    message = session.create_user_message("hi")
    updated = session.info.time.updated
    time.sleep(0.001)
    session.add_message(message)
    assert (session.messages, session.info.time.updated, session.info.message_count) == ([message], updated, 1)


def test_a_foreign_message_is_refused() -> None:
    session = _session()
    with pytest.raises(InvalidValue, match="'other'"):
        session.add_message(Message(session_id="other", role="user"))
    assert (session.messages, session.info.message_count, session.info.time.updated) == ([], 0, LONG_AGO)


def test_user_messages() -> None:
    session = _session()
    image = ImagePart(media_type="image/png", url="https://x")
    message = session.create_user_message("look", images=[image, {"media_type": "image/png", "data": "aGk="}])
    assert (message.role, message.session_id, message.get_text_content()) == ("user", "s", "look")
    assert [(part.url, part.data) for part in message.get_images()] == [("https://x", None), (None, "aGk=")]
    assert session.messages == [message]


def test_assistant_messages() -> None:
    message = _session(model_id="m", provider_id="p").create_assistant_message()
    assert (message.role, message.model, message.provider, message.parts) == ("assistant", "m", "p", [])


def test_system_messages() -> None:
    message = _session().create_system_message("be brief")
    assert (message.role, message.get_text_content()) == ("system", "be brief")


def test_the_count_is_the_number_of_messages() -> None:
    session = _session()
    session.create_system_message("s")
    session.create_user_message("u")
    session.create_assistant_message()
    assert session.info.message_count == len(session.messages) == 3


def test_messages_for_the_model() -> None:
    session = _session()
    session.create_user_message("read it")
    reply = session.create_assistant_message()
    reply.add_tool_call("c", "read", {})
    reply.add_tool_result("c", "read", "out")
    roles = [entry["role"] for entry in session.get_messages_for_llm()]
    assert roles == ["user", "assistant", "tool"]


def test_update_title() -> None:
    session = _session()
    session.update_title("new")
    assert session.title == "new"
    assert session.info.time.updated > LONG_AGO
    with pytest.raises(ValidationError):
        session.update_title("a\0")


def test_usage_is_added_as_it_is() -> None:
    session = _session()
    session.add_usage({"input_tokens": 3, "completion_tokens": 4, "cache_read_tokens": 1})
    session.add_usage({"output_tokens": 1, "total_tokens": 9, "reasoning_tokens": 2, "unknown": 5})
    info = session.info
    assert (info.input_tokens, info.output_tokens, info.total_tokens) == (3, 5, 9)
    assert (info.cache_read_tokens, info.cache_write_tokens, info.reasoning_tokens) == (1, 0, 2)


@pytest.mark.parametrize("bad", [1.5, "1", 2**70])
def test_usage_that_is_none(bad: Any) -> None:
    """Of a usage with a count that isn't one nothing is added."""
    session = _session()
    with pytest.raises((ValidationError, TypeError)):
        session.add_usage({"input_tokens": 3, "output_tokens": bad})
    assert session.info.input_tokens == 0


def test_it_goes_through_json() -> None:
    session = _session(metadata={"k": [1]})
    session.create_user_message("hi", images=[{"media_type": "image/png", "url": "u"}])
    assert Session.model_validate_json(session.model_dump_json()) == session
