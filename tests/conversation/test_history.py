"""The laws of going back: revert, edit and reset, each whole or not at all."""

import asyncio

import pytest

from sessionstore import Message, SQLSessionStore
from sessionstore.compaction import Truncate
from sessionstore.errors import InvalidValue, MessageConflict, MessageNotFound, SessionNotFound
from sessionstore.testing.build import ids, stored, totals, user
from tests.sql.invariants import broken

from .build import conversation_of, question, reply, said


async def test_append(store: SQLSessionStore) -> None:
    """Messages are appended in order, all or none, and of this session only."""
    c = await conversation_of(store)
    saved = await c.append(question(1), reply(1))
    assert saved == await store.get_messages("s")
    assert await c.append() == []
    assert await c.append(question(1)) == saved[:1]
    for batch in ([question(2), user("t")], [question(2), user("s", "other", id="q1")]):
        with pytest.raises((InvalidValue, MessageConflict)):
            await c.append(*batch)
    assert await store.get_messages("s") == saved


async def test_revert(store: SQLSessionStore) -> None:
    """Turns behind the given one go, with what hangs on them, and their number is returned."""
    c = await conversation_of(store, 5)
    kept = (await store.get_messages("s"))[:4]
    assert await c.revert_to_turn(5) == 0
    assert await c.revert_to_turn(2) == 3
    assert await store.get_messages("s") == kept
    assert [turn.number for turn in await c.turns()] == [1, 2]
    (saved,) = await c.append(question(3))
    assert (saved.turn, saved.seq) == (3, 11)
    assert await broken(store.engine) == []


async def test_revert_keeps_what_came_before_turn_1(store: SQLSessionStore) -> None:
    """Messages before the first turn stay, and so do the totals of what stays."""
    c = await conversation_of(store)
    usage = {"input_tokens": 2, "output_tokens": 1}
    await c.append(Message(id="system", session_id="s", role="system"), question(1), reply(1, usage=usage))
    await c.append(question(2), reply(2, usage=usage))
    await c.revert_to_turn(1)
    assert ids(await store.get_messages("s")) == ["system", "q1", "a1"]
    assert totals(await stored(store, "s")) == {
        "message_count": 3,
        "input_tokens": 2,
        "output_tokens": 1,
        "total_tokens": 3,
    }


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        (0, "Turn ID must be >= 1, got 0"),
        (-3, "Turn ID must be >= 1, got -3"),
        (3, "Turn 3 does not exist. Current session has 2 turn(s)."),
        (2**70, f"Turn {2**70} does not exist. Current session has 2 turn(s)."),
    ],
)
async def test_turns_that_are_not_there(store: SQLSessionStore, turn: int, message: str) -> None:
    """A turn below 1 or beyond the last is a ValueError that says so; nothing changes."""
    c = await conversation_of(store, 2)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - its whole text is compared
        await c.revert_to_turn(turn)
    assert str(raised.value) == message
    assert len(await store.get_messages("s")) == 4


async def test_reverts_at_once(store: SQLSessionStore) -> None:
    """Of several reverts at once each counts what it removed itself."""
    c = await conversation_of(store, 6)
    assert sum(await asyncio.gather(*(c.revert_to_turn(2) for _ in range(4)))) == 4
    assert len(await c.turns()) == 2


async def test_revert_takes_summaries_along(store: SQLSessionStore) -> None:
    """A compaction that was made behind the turn is gone; the context is whole again."""
    c = await conversation_of(store, 6)
    await c.compact(Truncate(2))
    await c.revert_to_turn(4)
    assert await c.summaries() == []
    assert await c.context() == await store.get_messages("s")


async def test_edit(store: SQLSessionStore) -> None:
    """The edited message stands where the old one did, what followed is gone, and readers by `seq` see it."""
    c = await conversation_of(store, 3)
    edited = await c.edit("q2", user("s", "other question", id="new"))
    assert said(await store.get_messages("s")) == ["question 1", "answer 1", "other question"]
    assert (edited.turn, edited.seq) == (2, 7)
    assert await store.get_messages_after("s", 6) == [edited]
    again = await c.edit("new", user("s", "another", id="new"))
    assert await store.get_message("s", "new") == again
    assert await broken(store.engine) == []


async def test_what_can_not_be_edited(store: SQLSessionStore) -> None:
    """An unknown message, an earlier message's id and another session's message are refused; nothing changes."""
    c = await conversation_of(store, 3)
    before = await store.get_messages("s")
    for message_id, message, error in (
        ("missing", question(9), MessageNotFound),
        ("q2", user("s", "other", id="q1"), MessageConflict),
        ("q2", question(1), MessageConflict),
        ("q2", user("t"), InvalidValue),
        ("", question(2), InvalidValue),
    ):
        with pytest.raises(error):
            await c.edit(message_id, message)
    assert await store.get_messages("s") == before


async def test_an_edit_may_take_a_later_messages_id(store: SQLSessionStore) -> None:
    """The id of a message that goes is free."""
    c = await conversation_of(store, 3)
    edited = await c.edit("q2", user("s", "earlier", id="a3"))
    assert [message.id for message in await store.get_messages("s")] == ["q1", "a1", edited.id] == ["q1", "a1", "a3"]


async def test_reset_to_an_iterator(store: SQLSessionStore) -> None:
    """A history that can be looked through once only is stored all the same, not lost."""
    c = await conversation_of(store, 2)
    history = await store.get_messages("s")
    saved = await c.reset(iter(history))  # pyright: ignore[reportArgumentType] - callers aren't all typed
    assert ids(saved) == ids(history)


async def test_reset(store: SQLSessionStore) -> None:
    """Messages, turns and summaries go, and the given history is all there is; usage of no message stays."""
    c = await conversation_of(store)
    await c.append(question(1), reply(1, usage={"input_tokens": 5, "output_tokens": 5}))
    await store.add_usage("s", {"input_tokens": 100})
    await c.compact(Truncate(0))
    history = [question(1), question(2), reply(2, usage={"input_tokens": 1, "output_tokens": 1})]
    saved = await c.reset(history)
    assert saved == await store.get_messages("s")
    assert [(m.id, m.turn, m.seq) for m in saved] == [("q1", 1, 3), ("q2", 2, 4), ("a2", 2, 5)]
    assert [turn.total_tokens for turn in await c.turns()] == [0, 2]
    assert await c.summaries() == []
    assert (await stored(store, "s")).input_tokens == 101
    assert await c.reset() == []
    assert await store.get_messages("s") == []
    assert await c.turns() == []
    assert await broken(store.engine) == []


async def test_a_history_that_contradicts_itself(store: SQLSessionStore) -> None:
    """A history that can't be stored is refused before anything is deleted."""
    c = await conversation_of(store, 2)
    before = await store.get_messages("s")
    for history in ([question(1), user("s", "other", id="q1")], [user("t")], [user("s", metadata={"a": b""})]):
        with pytest.raises((MessageConflict, InvalidValue)):
            await c.reset(history)
        async with store.engine.connect() as connection:
            with pytest.raises((MessageConflict, InvalidValue)):
                await store.bind(connection).conversation("s").reset(history)
            assert await store.bind(connection).get_messages("s") == before
    assert await store.get_messages("s") == before


async def test_an_unknown_session(store: SQLSessionStore) -> None:
    """Writes to an unknown session raise SessionNotFound; reads find nothing."""
    c = store.conversation("absent")
    message = user("absent")
    for write in (
        c.append(message),
        c.revert_to_turn(1),
        c.edit("m", message),
        c.reset(),
        c.fork(),
        c.compact(Truncate()),
        c.undo_compaction(),
        c.repair_tool_calls(),
    ):
        with pytest.raises(SessionNotFound):
            await write
    for read in (c.turns(), c.context(), c.summaries(), c.pending_tool_calls()):
        assert await read == []
    usage = await c.context_usage(100)
    assert (usage.total_tokens, usage.turns, usage.model) == (0, 0, None)


@pytest.mark.parametrize("session_id", ["", "\0", "x" * 256, None, 5])
async def test_a_bad_id(store: SQLSessionStore, session_id: str) -> None:
    """What is no id is no conversation."""
    with pytest.raises(InvalidValue, match="session_id"):
        store.conversation(session_id)
