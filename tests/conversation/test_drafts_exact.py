"""The laws of exactness: however text arrives, it is stored as if it had come at once."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from sessionstore import Message, ReasoningPart, SessionInfo, SQLSessionStore, TextPart, new_id
from sessionstore.conversation.draft import Draft, stream
from sessionstore.errors import InvalidValue
from tests.sql.invariants import broken

from .drafting import exact, info_of, stored, watched

_AWKWARD = ["a", "\0", "\ud83d", "\ude00", "\U0001f600", '"', "\\", "}", '"}', "é", "\u2028", " ", "", "\\u0000"]
_PIECES = st.sampled_from(_AWKWARD) | st.text(st.characters(exclude_categories=()), max_size=5)
DELTAS = st.lists(st.tuples(_PIECES, st.booleans(), st.booleans()), max_size=14)
"""Deltas: the text, whether it is reasoning, and whether it is flushed."""

on_one_store = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def _append(draft: Draft, piece: str, *, reasoning: bool = False) -> None:
    await (draft.append_reasoning(piece) if reasoning else draft.append_text(piece))


def _whole(session_id: str, deltas: list[tuple[str, bool, bool]]) -> Message:
    """Return the message that says what the deltas say, at once."""
    message = Message(session_id=session_id, role="assistant")
    for piece, reasoning, _ in deltas:
        kind = ReasoningPart if reasoning else TextPart
        if piece and (not message.parts or type(message.parts[-1]) is not kind):
            message.parts.append(kind(content=""))
        if piece:
            message.parts[-1].content += piece  # pyright: ignore
    return message


async def _columns(store: SQLSessionStore, session_id: str, seq: int | None) -> list[tuple[object, ...]]:
    query = (
        "SELECT position, type, text, payload, extra FROM sessionstore_parts WHERE session_id = :s AND message_seq = :q"
    )
    async with store.engine.connect() as connection:
        rows = await connection.execute(text(f"{query} ORDER BY position"), {"s": session_id, "q": seq})
        return [tuple(row) for row in rows]


@on_one_store
@given(deltas=DELTAS)
async def test_however_it_arrives(store: SQLSessionStore, deltas: list[tuple[str, bool, bool]]) -> None:
    """Text split at any place, flushed anywhere, is stored to the last column as `save_message` stores it whole."""
    session_id = new_id()
    await store.create_session(SessionInfo(id=session_id))
    async with stream(store, session_id) as draft:
        for piece, reasoning, flushed in deltas:
            await _append(draft, piece, reasoning=reasoning)
            if flushed:
                await draft.flush()
                assert await stored(store, draft.message.id, session_id) == draft.message
    whole = _whole(session_id, deltas)
    streamed = await stored(store, draft.message.id, session_id)
    saved = await store.save_message(whole)
    assert exact(streamed) == exact(draft.message) == exact(whole)
    assert await _columns(store, session_id, streamed.seq) == await _columns(store, session_id, saved.seq)
    again = await store.save_message(whole.model_copy(update={"id": streamed.id}))
    assert again.seq == streamed.seq
    assert (await info_of(store, session_id)).message_count == 2


@pytest.mark.parametrize("awkward", ["\0", "\ud83d", "\ud83d\ude00"])
async def test_exact_text_grows_too(store: SQLSessionStore, awkward: str) -> None:
    """Text that a column can't hold exactly grows by what is new, like any other."""
    await store.create_session(SessionInfo(id="s"))
    async with stream(store, "s") as draft:
        await draft.append_text(awkward + "x" * 100_000)
        await draft.flush()
        async with watched(store.engine) as sent:
            for _ in range(20):
                await draft.append_text(awkward + "more")
                await draft.flush()
            assert sum(len(repr(parameters)) for _, parameters in sent) < 100_000
    assert draft.message.get_text_content() == awkward + "x" * 100_000 + (awkward + "more") * 20
    assert await stored(store, draft.message.id) == draft.message


@pytest.mark.parametrize("failing", [False, True])
async def test_metadata_that_cannot_be_stored(store: SQLSessionStore, failing: bool) -> None:
    """Metadata set by hand that is no JSON costs no text: what came is interrupted, and the mistake is raised."""
    await store.create_session(SessionInfo(id="s"))
    draft = stream(store, "s", metadata={"a": [1]})

    async def stream_it() -> None:
        async with draft:
            await draft.append_text("all that came")
            draft.usage = {"input_tokens": 7}
            draft.message.metadata["a"].append(b"")
            if failing:
                raise RuntimeError("no model")

    with pytest.raises(RuntimeError if failing else InvalidValue, match="no model" if failing else "metadata"):
        await stream_it()
    left = await stored(store, draft.message.id)
    assert (left.status, left.get_text_content(), left.metadata) == ("interrupted", "all that came", {"a": [1]})
    assert (await info_of(store)).input_tokens == 7
    assert await broken(store.engine) == []
