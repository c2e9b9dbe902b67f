"""The laws of a message that is stored while it arrives."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sessionstore import (
    Event,
    ImagePart,
    Message,
    RawPart,
    ReasoningPart,
    SessionInfo,
    SQLSessionStore,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from sessionstore.conversation.draft import stream
from sessionstore.errors import InvalidValue, MessageConflict, SessionNotFound
from tests.sql.invariants import broken

from .drafting import exact, info_of, stored, until

CALL = ToolCallPart(tool_call_id="c1", tool_name="read", arguments={"path": "/a", "lines": [1, {"to": 2.0}]})


@pytest.fixture(autouse=True)
async def session(store: SQLSessionStore) -> None:
    await store.create_session(SessionInfo(id="s"))


async def test_readers_see_it_from_the_first_moment(store: SQLSessionStore, database_url: str) -> None:
    """From entry on the draft stands in its place with status `in_progress`, and what is flushed is seen elsewhere."""
    async with SQLSessionStore.from_url(database_url) as other:
        async with stream(store, "s") as draft:
            after = await other.save_message(Message(session_id="s", role="user", parts=[TextPart(content="hello?")]))
            seen = await stored(other, draft.message.id)
            assert (seen.status, seen.seq, seen.parts, after.seq) == ("in_progress", 1, [], 2)
            await draft.append_text("Hel")
            await draft.append_text("lo")
            await draft.flush()
            assert await stored(other, draft.message.id) == draft.message
            assert draft.message.get_text_content() == "Hello"
        assert (await stored(other, draft.message.id)).status == "complete"


async def test_what_came_is_stored_by_itself(store: SQLSessionStore) -> None:
    """Without `flush`, and although deltas stop coming, what came is soon seen by others."""

    async def seen() -> str:
        return (await stored(store, draft.message.id)).get_text_content()

    async with stream(store, "s") as draft:
        await draft.append_text("so far")
        await until(lambda: _is(seen(), "so far"))
        await draft.append_text(" so good")
        await until(lambda: _is(seen(), "so far so good"))


async def _is(found: Any, wanted: Any) -> bool:
    return (await found) == wanted


async def test_a_clean_exit(store: SQLSessionStore) -> None:
    """A clean exit stores all that came, completes it and counts its tokens; at every stage the tables are sound."""
    async with stream(store, "s", model="m", provider="p", metadata={"a": [1]}) as draft:
        assert await broken(store.engine) == []
        await draft.append_reasoning("hm")
        await draft.append_reasoning(", well")
        await draft.append_text("I look")
        await draft.flush()
        assert await broken(store.engine) == []
        await draft.append_text(" at it.")
        await draft.add_part(CALL)
        await draft.flush()
        await draft.append_text("And so")
        draft.usage = {"input_tokens": 7, "output_tokens": 5, "cache_read_tokens": 2, "reasoning_tokens": 1}
        await draft.flush()
        assert await broken(store.engine) == []
        assert (await info_of(store)).total_tokens == 0
    message = await stored(store, draft.message.id)
    assert message == draft.message
    assert (message.status, message.model, message.provider, message.metadata) == ("complete", "m", "p", {"a": [1]})
    wanted = [ReasoningPart(content="hm, well"), TextPart(content="I look at it."), CALL, TextPart(content="And so")]
    assert exact(message) == exact(Message(session_id="s", role="assistant", parts=wanted))
    info = await info_of(store)
    counts = (info.message_count, info.input_tokens, info.output_tokens, info.total_tokens, info.cache_read_tokens)
    assert (*counts, info.reasoning_tokens) == (1, 7, 5, 12, 2, 1)
    assert await broken(store.engine) == []


async def test_an_exception(store: SQLSessionStore) -> None:
    """An exception leaves the draft `interrupted`, with all that came and the usage so far, and is raised itself."""
    failure = ConnectionError("the model went away")
    draft = stream(store, "s")

    async def failing() -> None:
        async with draft:
            await draft.append_text("Hel")
            await draft.flush()
            await draft.append_text("lo")
            draft.usage = {"output_tokens": 2}
            raise failure

    with pytest.raises(ConnectionError) as raised:
        await failing()
    assert raised.value is failure
    message = await stored(store, draft.message.id)
    assert (message.status, message.get_text_content()) == ("interrupted", "Hello")
    assert message == draft.message
    assert (await info_of(store)).output_tokens == 2
    assert await store.recover(stale_after=0) == []
    assert await broken(store.engine) == []


async def test_nothing_came(store: SQLSessionStore) -> None:
    """A stream without anything is an empty message; empty deltas begin no part."""
    async with stream(store, "s") as draft:
        await draft.append_text("")
        await draft.append_reasoning("")
        await draft.flush()
    message = await stored(store, draft.message.id)
    assert (message.status, message.parts) == ("complete", [])


async def test_parts_are_told_apart(store: SQLSessionStore) -> None:
    """Text goes on only where text was arriving: reasoning or a whole part between begins a new part."""
    async with stream(store, "s") as draft:
        await draft.add_part(TextPart(content="whole", metadata={"n": 1}))
        for text in ("a", "", "b"):
            await draft.append_text(text)
        await draft.append_reasoning("c")
        await draft.append_text("d")
        await draft.flush()
        await draft.append_text("e")
        await draft.add_part(RawPart(data=None))
        await draft.add_part(ImagePart(media_type="image/png", data="aGk="))
    contents = [getattr(part, "content", part.type) for part in (await stored(store, draft.message.id)).parts]
    assert contents == ["whole", "ab", "c", "de", "raw", "image"]
    assert await stored(store, draft.message.id) == draft.message


async def test_a_part_is_copied(store: SQLSessionStore) -> None:
    """A part is stored as it was when it was added, whatever becomes of its values later, as when its tool runs."""
    part = CALL.model_copy(deep=True)
    async with stream(store, "s") as draft:
        await draft.add_part(part)
        part.arguments["lines"].clear()
        await draft.flush()
        part.arguments.clear()
    assert exact(await stored(store, draft.message.id)) == exact(Message(session_id="s", role="user", parts=[CALL]))


async def test_the_message_can_be_changed(store: SQLSessionStore) -> None:
    """What is set on `draft.message` is stored on exit, also in parts that are stored, removed or moved."""
    async with stream(store, "s") as draft:
        await draft.append_reasoning("hm")
        await draft.append_text("draft")
        await draft.add_part(CALL)
        await draft.flush()
        reasoning, text, call = draft.message.parts
        assert isinstance(reasoning, ReasoningPart)
        assert isinstance(text, TextPart)
        reasoning.signature = "c2ln"
        text.content = "final"
        draft.message.model = "m2"
        draft.message.metadata["response"] = "r1"
        await draft.flush()
        draft.message.parts[:] = [call, reasoning, TextPart(content="gone"), text]
        await draft.flush()
        assert (await stored(store, draft.message.id)).parts == draft.message.parts
        del draft.message.parts[2]
        await draft.flush()
        assert (await stored(store, draft.message.id)).parts == draft.message.parts
        assert await broken(store.engine) == []
        await draft.append_text(" and new")
    message = await stored(store, draft.message.id)
    assert message == draft.message
    assert (message.model, message.metadata) == ("m2", {"response": "r1"})
    assert [part.id for part in message.parts[:3]] == [call.id, reasoning.id, text.id]
    assert message.get_text_content() == "final\n and new"
    assert await broken(store.engine) == []


async def test_a_users_draft(store: SQLSessionStore) -> None:
    """A user's draft starts a turn, unless it carries a tool result; turns behind it follow at each stage."""
    heard: list[Event] = []
    store.events.subscribe(heard.append, "message.saved")
    async with stream(store, "s", role="user") as draft:
        later = await store.save_message(Message(session_id="s", role="user", parts=[TextPart(content="later")]))
        assert (draft.message.turn, later.turn) == (1, 2)
        await draft.add_part(ToolResultPart(tool_call_id="c1", tool_name="read", output="o"))
        await draft.flush()
        assert (await stored(store, draft.message.id)).status == "in_progress"
        assert (await stored(store, later.id)).turn == 1
        assert [event.data["message_id"] for event in heard] == [later.id]
        assert await broken(store.engine) == []
    assert await stored(store, draft.message.id) == draft.message
    assert draft.message.turn == 0
    assert await broken(store.engine) == []


async def test_what_may_be_given(store: SQLSessionStore) -> None:
    """Id, model, provider, metadata and time may be given, and come back."""
    time = datetime(2020, 1, 2, tzinfo=UTC)
    async with stream(store, "s", role="tool", id="given", created_at=time):
        pass
    message = await stored(store, "given")
    assert (message.role, message.created_at) == ("tool", time)


async def test_what_may_not(store: SQLSessionStore) -> None:
    """What the stream itself decides is a TypeError, a bad value is `InvalidValue`, and nothing is written."""
    wrong: Any = stream
    for name, value in {"status": "complete", "seq": 1, "turn": 1, "parts": [], "usage": {}, "typo": 1}.items():
        with pytest.raises(TypeError, match=name):
            wrong(store, "s", **{name: value})
    for fields in ({"role": "robot"}, {"id": ""}, {"created_at": datetime(2020, 1, 2)}, {"model": 1}):
        with pytest.raises(InvalidValue):
            wrong(store, "s", **fields)
    with pytest.raises(InvalidValue, match="metadata"):
        async with stream(store, "s", metadata={"set": {1}}):
            pytest.fail("it was entered")
    assert await store.get_messages("s") == []


async def test_no_session(store: SQLSessionStore) -> None:
    """Without its session, or with another tenant's, a draft isn't entered."""
    for other, session_id in ((store, "absent"), (store.for_tenant("acme"), "s")):
        with pytest.raises(SessionNotFound):
            async with stream(other, session_id):
                pytest.fail("it was entered")
    assert await broken(store.engine) == []


async def test_a_taken_id(store: SQLSessionStore) -> None:
    """An id that is stored is `MessageConflict`, also when it is that of a draft like this one."""
    async with stream(store, "s", id="m") as draft:
        with pytest.raises(MessageConflict):
            async with stream(store, "s", id="m"):
                pytest.fail("it was entered")
        await draft.append_text("mine")
    with pytest.raises(MessageConflict):
        async with stream(store, "s", id="m"):
            pytest.fail("it was entered")
    assert (await stored(store, "m")).get_text_content() == "mine"


async def test_bad_values_change_nothing(store: SQLSessionStore) -> None:
    """What can't be stored is refused as it is appended; the stream goes on without it."""
    bad: Any = b"bytes"
    async with stream(store, "s") as draft:
        await draft.append_text("fine")
        for call in (
            lambda: draft.append_text(bad),
            lambda: draft.add_part(bad),
            lambda: draft.add_part(ToolCallPart(tool_call_id="c", tool_name="t", arguments={"a": bad})),
        ):
            with pytest.raises(InvalidValue):
                await call()
        for usage in ({"input_tokens": 1.5}, {"input_tokens": 2**60}, 3):
            with pytest.raises(InvalidValue):
                draft.usage = usage  # pyright: ignore
        draft.usage = None
    message = await stored(store, draft.message.id)
    assert (message.get_text_content(), message.usage) == ("fine", None)


async def test_outside_its_block(store: SQLSessionStore) -> None:
    """A draft takes nothing before it is entered or after its end, and is entered once."""
    draft = stream(store, "s")
    for _ in range(2):
        for call in (lambda: draft.append_text("a"), lambda: draft.add_part(CALL), draft.flush):
            with pytest.raises(InvalidValue):
                await call()
        if draft.message.seq is None:
            async with draft:
                pass
    with pytest.raises(InvalidValue):
        draft.usage = {"input_tokens": 1}
    with pytest.raises(InvalidValue):
        async with draft:
            pytest.fail("it was entered")
    assert [message.status for message in await store.get_messages("s")] == ["complete"]


async def test_events(store: SQLSessionStore) -> None:
    """`message.saved` is announced once, when the draft has ended, in whichever way."""
    heard: list[Event] = []
    store.events.subscribe(heard.append)
    async with stream(store, "s") as draft:
        await draft.append_text("a")
        await draft.flush()
        assert heard == []
    wanted = [Event("message.saved", {"session_id": "s", "message_id": draft.message.id, "seq": 1})]
    assert heard == wanted
    with pytest.raises(KeyError):
        async with stream(store, "s") as second:
            raise KeyError
    assert heard == [*wanted, Event("message.saved", {"session_id": "s", "message_id": second.message.id, "seq": 2})]
