"""The laws of tool calls: which have no result, and how that is repaired."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from sessionstore import Message, SQLSessionStore, ToolResultPart, new_id
from sessionstore.testing.build import ids, user
from sessionstore.testing.strategies import on_one_store
from tests.sql.invariants import broken

from .build import call, conversation_of, question, refusals, reply, result, said


async def test_pending_calls(store: SQLSessionStore) -> None:
    """Calls without a result are given whole, in order."""
    c = await conversation_of(store)
    calls = call("a", "b", "c")
    await c.append(question(1), result("b"), calls, result("b"), question(2), call("d"))
    pending = await c.pending_tool_calls()
    assert [part.tool_call_id for part in pending] == ["a", "c", "d"]
    assert pending[:2] == [calls.get_tool_calls()[0], calls.get_tool_calls()[2]]
    assert await store.conversation("absent").pending_tool_calls() == []


@given(
    events=st.lists(
        st.lists(st.tuples(st.sampled_from(["call", "result"]), st.sampled_from("xyz")), max_size=4), max_size=6
    )
)
@on_one_store
async def test_a_result_answers_the_latest_open_call(
    store: SQLSessionStore, events: list[list[tuple[str, str]]]
) -> None:
    """However ids repeat, across messages and within one: pending calls, turns and context agree with the rule."""
    session_id = new_id()
    c = await conversation_of(store, session_id=session_id)
    waiting: list[tuple[str, str]] = []
    closed: set[str] = set()
    await c.append(question(0, session_id))
    for event in events:
        message = Message(session_id=session_id, role="assistant")
        for kind, id_ in event:
            if kind == "call":
                waiting.append((id_, message.add_tool_call(id_, "t", {"n": len(waiting)}).id))
                continue
            message.add_tool_result(id_, "t", "o")
            answered = next((place for place in reversed(waiting) if place[0] == id_), None)
            if answered is not None:
                waiting.remove(answered)
                closed.add(answered[1])
        await c.append(message)
    assert [part.id for part in await c.pending_tool_calls()] == [part for _, part in waiting]
    (turn,) = await c.turns()
    calls = [part.id for m in await store.get_messages(session_id) for part in m.get_tool_calls()]
    assert [use.ended_at is not None for use in turn.tool_calls] == [part in closed for part in calls]
    made_up = [m for m in await c.context() if m.seq is None]
    assert [m.get_tool_results()[0].tool_call_id for m in made_up] == [id_ for id_, _ in waiting]


async def test_exact_ids(store: SQLSessionStore) -> None:
    """Ids that no column holds are told apart, and come back exactly."""
    c = await conversation_of(store)
    awkward = ["x" * 3000, "x" * 3000 + "y", "\0", "\ud800", "\ufffd", ""]
    await c.append(question(1), call(*awkward), result("\0"), result("x" * 3000))
    assert [part.tool_call_id for part in await c.pending_tool_calls()] == [awkward[1], *awkward[3:]]
    await c.repair_tool_calls()
    assert await c.pending_tool_calls() == []


async def test_repair(store: SQLSessionStore) -> None:
    """Each open call gets a message with a result that says why there is none; the others get nothing."""
    c = await conversation_of(store)
    await c.append(question(1), call("a", "b"), result("a"), question(2), call("c"))
    repaired = await c.repair_tool_calls("the process was killed")
    assert said(repaired) == ["no result b", "no result c"]
    assert repaired == (await store.get_messages("s"))[-2:]
    first = repaired[0]
    assert (first.role, first.turn, first.status) == ("tool", 2, "complete")
    part = first.get_tool_results()[0]
    assert (part.tool_name, part.error) == ("tool b", "the process was killed")
    assert await c.pending_tool_calls() == []
    assert await c.repair_tool_calls() == []
    context = await c.context()
    assert refusals(context) == []
    assert {m.id for m in context} == {m.id for m in await store.get_messages("s")}
    assert [m.seq for m in context] == [1, 2, 3, 6, 4, 5, 7]
    assert await broken(store.engine) == []


async def test_a_result_that_comes_after_the_repair(store: SQLSessionStore) -> None:
    """It answers nothing, and counts once it is put in the place of the repair's."""
    c = await conversation_of(store)
    await c.append(question(1), call("a", "b"))
    repaired, _ = await c.repair_tool_calls()
    (late,) = await c.append(result("a"))
    sent = ["question 1", "call a call b", "no result a", "no result b"]
    assert said(await c.context()) == sent
    await store.replace_message(late.model_copy(update={"id": repaired.id}))
    assert said(await c.context()) == [*sent[:2], "result a", "no result b"]
    assert await c.pending_tool_calls() == []
    assert await broken(store.engine) == []


async def test_repairs_at_once(store: SQLSessionStore) -> None:
    """However many repair at once, and whoever answers meanwhile, each call has one result."""
    c = await conversation_of(store)
    await c.append(question(1), call("a", "b", "c"))
    done = await asyncio.gather(*(c.repair_tool_calls() for _ in range(6)), c.append(reply(1)))
    assert sorted(len(messages) for messages in done[:6]) == [0, 0, 0, 0, 0, 3]
    results = [part for m in await store.get_messages("s") for part in m.parts if isinstance(part, ToolResultPart)]
    assert sorted(part.tool_call_id for part in results) == ["a", "b", "c"]


async def test_calls_of_each_session(store: SQLSessionStore) -> None:
    """Another session's results answer nothing here."""
    one, two = [await conversation_of(store, 1, name) for name in ("s", "t")]
    await one.append(call("x"))
    await two.append(call("x", session_id="t"), result("x", session_id="t"), user("t"))
    assert [part.tool_call_id for part in await one.pending_tool_calls()] == ["x"]
    assert await two.pending_tool_calls() == []
    assert ids(await two.repair_tool_calls()) == []
