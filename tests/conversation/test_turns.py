"""The laws of turns: what each cost, how long it took, and which tools ran."""

from datetime import UTC, datetime

import pytest

from sessionstore import Message, SQLSessionStore, ToolUse
from sessionstore.compaction import Summarize
from sessionstore.errors import InvalidValue
from sessionstore.testing.build import seconds, user

from .build import Recorder, call, conversation_of, question, reply, result

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)

USAGE = {"input_tokens": 10, "output_tokens": 2, "cache_read_tokens": 3, "cache_write_tokens": 4, "reasoning_tokens": 1}


async def test_turns_are_counted(store: SQLSessionStore) -> None:
    """A turn has its messages' range, number, times and sums, and the tokens of its last model message."""
    c = await conversation_of(store)
    await c.append(
        Message(session_id="s", role="system", created_at=NOON),
        user("s", created_at=NOON + seconds(1)),
        call("c", created_at=NOON + seconds(2), usage=USAGE),
        result("c", created_at=NOON + seconds(3.5)),
        reply(1, created_at=NOON + seconds(4), usage={"input_tokens": 20, "output_tokens": 5, "total_tokens": 27}),
        user("s", created_at=NOON + seconds(9)),
    )
    first, second = await c.turns()
    assert first.model_dump(exclude={"tool_calls"}) == {
        "number": 1,
        "first_seq": 2,
        "last_seq": 5,
        "message_count": 4,
        "started_at": NOON + seconds(1),
        "ended_at": NOON + seconds(4),
        "duration_seconds": 3.0,
        "input_tokens": 30,
        "output_tokens": 7,
        "total_tokens": 39,
        "cache_read_tokens": 3,
        "cache_write_tokens": 4,
        "reasoning_tokens": 1,
        "last_input_tokens": 20,
        "last_output_tokens": 5,
        "last_total_tokens": 27,
        "last_cache_read_tokens": 0,
        "last_cache_write_tokens": 0,
    }
    assert (second.number, second.first_seq, second.last_seq, second.message_count) == (2, 6, 6, 1)
    assert (second.duration_seconds, second.total_tokens, second.last_input_tokens, second.tool_calls) == (0, 0, 0, [])


async def test_tool_calls_have_their_times(store: SQLSessionStore) -> None:
    """A call starts with its message and ends with its result's; one without a result has no end."""
    c = await conversation_of(store)
    await c.append(
        question(1),
        call("a", "b", created_at=NOON),
        result("b", created_at=NOON + seconds(2)),
        result("a", created_at=NOON + seconds(0.25)),
        call("d", created_at=NOON + seconds(5)),
    )
    (turn,) = await c.turns()
    assert turn.tool_calls == [
        ToolUse(
            name="tool a",
            tool_call_id="a",
            started_at=NOON,
            ended_at=NOON + seconds(0.25),
            duration_seconds=0.25,
        ),
        ToolUse(name="tool b", tool_call_id="b", started_at=NOON, ended_at=NOON + seconds(2), duration_seconds=2),
        ToolUse(name="tool d", tool_call_id="d", started_at=NOON + seconds(5)),
    ]


async def test_a_summary_makes_no_turn_longer(store: SQLSessionStore) -> None:
    """A summary that is stored long after a turn doesn't move its end; one that is all of a turn is its end."""
    c = await conversation_of(store)
    await c.append(user("s", created_at=NOON), user("s", created_at=NOON + seconds(5)))
    await c.append(reply(1, created_at=NOON + seconds(6)))
    before = [(turn.ended_at, turn.duration_seconds) for turn in await c.turns()]
    await c.compact(Summarize(Recorder(), 1))
    assert [(turn.ended_at, turn.duration_seconds) for turn in await c.turns()] == before
    (first, *_) = await store.get_messages("s")
    await store.update_session_summary("s", first.id)
    assert [(turn.ended_at, turn.duration_seconds) for turn in await c.turns()] == before


async def test_a_call_belongs_to_its_own_turn(store: SQLSessionStore) -> None:
    """A result that comes in a later turn ends the call of the earlier one, however few turns are asked for."""
    c = await conversation_of(store)
    later = NOON + seconds(60)
    await c.append(question(1), call("a", created_at=NOON), question(2), result("a", created_at=later), question(3))
    first, second, third = await c.turns()
    assert [(use.tool_call_id, use.ended_at) for use in first.tool_calls] == [("a", later)]
    assert second.tool_calls == third.tool_calls == []
    assert await c.turns(limit=2) == [second, third]


async def test_repeated_ids(store: SQLSessionStore) -> None:
    """A result ends the latest unanswered call with its id before it; what answers nothing ends nothing."""
    c = await conversation_of(store)
    at = [NOON + seconds(number) for number in range(10)]
    await c.append(
        question(1),
        result("x", created_at=at[0]),  # answers nothing, and takes nothing from what comes
        call("x", created_at=at[1]),
        call("x", created_at=at[2]),
        result("x", created_at=at[3]),
        result("x", created_at=at[4]),
        result("x", created_at=at[5]),  # neither does this
        call("x", created_at=at[6]),
        call("x", created_at=at[7]),
        result("x", created_at=at[8]),
    )
    (turn,) = await c.turns()
    ends = {use.started_at: use.ended_at for use in turn.tool_calls}
    assert ends == {at[1]: at[4], at[2]: at[3], at[6]: None, at[7]: at[8]}


async def test_exact_names(store: SQLSessionStore) -> None:
    """Ids and names of tools that no column holds come back exactly, and are told apart."""
    c = await conversation_of(store)
    awkward = ["x" * 3000, "x" * 3000 + "y", "\0", "\ud800", "\ufffd", ""]
    await c.append(question(1), call(*awkward), *(result(id_) for id_ in awkward[:-1]))
    (turn,) = await c.turns()
    assert [(use.tool_call_id, use.name) for use in turn.tool_calls] == [(id_, f"tool {id_}") for id_ in awkward]
    assert [use.tool_call_id for use in turn.tool_calls if use.ended_at is None] == [""]


async def test_the_latest_turns(store: SQLSessionStore) -> None:
    """`limit=n` gives the latest n turns, in order; 0 gives none, and a negative number is refused."""
    c = await conversation_of(store, 4)
    turns = await c.turns()
    assert [turn.number for turn in turns] == [1, 2, 3, 4]
    for limit in range(6):
        assert await c.turns(limit=limit) == turns[len(turns) - min(limit, 4) :]
    with pytest.raises(InvalidValue, match="limit"):
        await c.turns(limit=-1)


async def test_what_has_no_turns(store: SQLSessionStore) -> None:
    """A session without a user's message has no turns, and neither has one that isn't there."""
    c = await conversation_of(store)
    assert await c.turns() == []
    await c.append(Message(session_id="s", role="system"), reply(1))
    assert await c.turns() == []
    assert await store.conversation("absent").turns() == []


async def test_turns_are_each_sessions_own(store: SQLSessionStore) -> None:
    """What another session has, with the same ids, counts for nothing."""
    one, two = [await conversation_of(store, 2, name) for name in ("s", "t")]
    await one.append(call("x"))
    await two.append(call("x", session_id="t"), result("x", session_id="t"))
    assert [use.ended_at for turn in await one.turns() for use in turn.tool_calls] == [None]
    assert [turn.message_count for turn in await one.turns()] == [2, 3]
