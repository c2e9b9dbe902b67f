"""The laws of the context: what no summary covers, as providers take it."""

import asyncio
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore import (
    ImagePart,
    Message,
    Part,
    RawPart,
    ReasoningPart,
    SQLSessionStore,
    Summary,
    TextPart,
    ToolResultPart,
    new_id,
)
from sessionstore.compaction import Summarize, Truncate
from sessionstore.errors import InvalidValue
from sessionstore.models.message import Status
from sessionstore.sql import summaries as records
from sessionstore.sql.transaction import Transaction
from sessionstore.testing.build import assistant, ids, user
from sessionstore.testing.strategies import on_one_store
from tests.sql.invariants import broken

from .build import Covering, Recorder, call, conversation_of, question, refusals, reply, result, said


async def test_without_a_summary_it_is_all(store: SQLSessionStore) -> None:
    """Messages in which nothing is out of place come as they are stored."""
    c = await conversation_of(store, 2)
    await c.append(
        Message(session_id="s", role="system"), call("a", "b"), result("a"), result("b"), call("a"), result("a")
    )
    await c.append(question(3), reply(3, status="interrupted"))
    assert await c.context() == await store.get_messages("s")
    assert await c.context() == await c.context()


async def test_results_stand_behind_their_call(store: SQLSessionStore) -> None:
    """A result that was appended later is moved up to its call, behind the results that were there before."""
    c = await conversation_of(store)
    await c.append(question(1), call("a", "b"), result("b"), question(2), reply(2), result("a"))
    assert said(await c.context()) == ["question 1", "call a call b", "result b", "result a", "question 2", "answer 2"]
    assert {m.id for m in await c.context()} == {m.id for m in await store.get_messages("s")}


async def test_open_calls_are_answered(store: SQLSessionStore) -> None:
    """An open call is given a result that says so, which isn't stored and is the same each time."""
    c = await conversation_of(store)
    await c.append(question(1), call("a", "b", "a"), result("a"), question(2))
    context = await c.context()
    assert said(context) == [
        "question 1",
        "call a call b call a",
        "result a",
        "no result a",
        "no result b",
        "question 2",
    ]
    assert [m.seq for m in context] == [1, 2, 3, None, None, 4]
    assert context == await c.context()
    assert len(set(ids(context))) == len(context)
    assert len(await store.get_messages("s")) == 4
    assert refusals(context) == []


@pytest.mark.parametrize("parts", [[], [ReasoningPart(content="hm")], [TextPart(content=" \n")]])
async def test_drafts_that_came_to_nothing_are_left_out(store: SQLSessionStore, parts: list[Part]) -> None:
    """An unfinished message without anything to send isn't sent: providers refuse it. A finished one with text is."""
    c = await conversation_of(store, 1)
    await c.append(*(Message(session_id="s", role="assistant", parts=parts, status=s) for s in get_args(Status)))
    sent = 2 if any(isinstance(part, ReasoningPart) for part in parts) else 3
    assert [m.status for m in await c.context()] == ["complete"] * sent
    await c.append(
        Message(session_id="s", role="assistant", parts=[*parts, TextPart(content="so")], status="interrupted")
    )
    assert (await c.context())[-1].get_text_content().endswith("so")


@pytest.mark.parametrize(
    "part",
    [
        ReasoningPart(content="hm", signature="s"),
        RawPart(data={"type": "web_search_call"}),
        ImagePart(media_type="image/png", data="aGk="),
    ],
    ids=lambda part: part.type,
)
async def test_answers_with_nothing_to_send_are_left_out(store: SQLSessionStore, part: Part) -> None:
    """Nor is what is left of one whose result stands elsewhere. `as_stored` has them."""
    c = await conversation_of(store, 1)
    alone, moved, said_too = (Message(session_id="s", role="assistant", parts=[part]) for _ in range(3))
    moved.parts = [part, *result("a").parts]
    said_too.parts = [part, TextPart(content="so")]
    await c.append(alone, call("a"), moved, said_too, user("s", "And?"))
    context = await c.context()
    assert said(context) == ["question 1", "answer 1", "call a", "result a", "so", "And?"]
    entries = [entry for message in context for entry in message.to_llm_messages()]
    assert all(entry["content"] or "tool_calls" in entry for entry in entries)
    assert await c.context(as_stored=True) == await store.get_messages("s")


async def test_results_without_a_call_are_left_out(store: SQLSessionStore) -> None:
    """A result that answers nothing isn't sent; what else its message says is."""
    c = await conversation_of(store)
    await c.append(result("x"), question(1), call("a"), result("a"), result("a"), result("a", role="user"))
    mixed = user("s", "and a question", id="mixed")
    mixed.parts.insert(0, ToolResultPart(tool_call_id="y", tool_name="t", output="o"))
    await c.append(mixed)
    assert said(await c.context()) == ["question 1", "call a", "result a", "and a question"]


async def test_messages_with_more_than_a_result(store: SQLSessionStore) -> None:
    """A user's message with a result and a question is divided: providers want the result first, by itself."""
    c = await conversation_of(store)
    mixed = result("a", role="user", id="mixed")
    mixed.add_text("and a question")
    await c.append(question(1), call("a"), mixed)
    context = await c.context()
    assert said(context) == ["question 1", "call a", "result a", "and a question"]
    assert [m.role for m in context] == ["user", "assistant", "user", "user"]
    assert context[3].id == "mixed"
    assert context[2].id not in ("mixed", context[1].id)
    assert refusals(context) == []
    assert context == await c.context()


async def test_a_message_with_results_of_several_calls(store: SQLSessionStore) -> None:
    """Results in one message go each to its own call; what a tool's message says besides goes with the first."""
    c = await conversation_of(store)
    both = result("a", "b", id="both")
    both.add_text("note")
    await c.append(question(1), call("a"), call("b"), both)
    context = await c.context()
    assert said(context) == ["question 1", "call a", "note result a", "call b", "result b"]
    assert context[2].id == "both"
    assert refusals(context) == []


async def test_results_in_the_calls_own_message(store: SQLSessionStore) -> None:
    """A call and its result in one message stay as they are."""
    c = await conversation_of(store)
    own = call("a", "b")
    own.parts.append(ToolResultPart(tool_call_id="a", tool_name="t", output="o"))
    await c.append(question(1), own, result("b"), question(2))
    assert await c.context() == await store.get_messages("s")


async def test_as_stored(store: SQLSessionStore) -> None:
    """`as_stored` leaves open calls, late results and those without a call as they are; the summary has its place."""
    c = await conversation_of(store, 2)
    saved = await c.append(call("a", "b"), question(3), result("b"), result("x"))
    await c.compact(Truncate(2))
    assert await c.context(as_stored=True) == [*(await store.get_messages("s"))[2:4], *saved]
    await c.compact(Summarize(Recorder(), 1))
    context = await c.context(as_stored=True, summary_role="user")
    assert said(context) == ["summary 1", "call a call b", "question 3", "result b", "result x"]
    assert context[0].role == "user"


async def test_the_summary_stands_in(store: SQLSessionStore) -> None:
    """The summary stands where the first message stood that it covers, behind pinned turns before that place."""
    c = await conversation_of(store)
    await c.append(Message(session_id="s", role="system", parts=[TextPart(content="be good")]))
    await c.append(*(message for number in range(1, 7) for message in (question(number), reply(number))))
    await c.compact(Covering(4, 9, kept=[(6, 7)], summary="in short"))
    summary, *others = [m for m in await store.get_messages("s") if m.get_text_content() == "in short"]
    assert others == []
    assert (summary.role, summary.status, summary.seq) == ("system", "complete", 14)
    assert said(await c.context()) == [
        "be good",
        "question 1",
        "answer 1",
        "in short",
        "question 3",
        "answer 3",
        "question 5",
        "answer 5",
        "question 6",
        "answer 6",
    ]
    assert (await c.context())[3] == summary


async def test_the_summarys_role(store: SQLSessionStore) -> None:
    """`summary_role` relabels the summary and nothing else; what is no role is refused."""
    c = await conversation_of(store, 3)
    await c.append(Message(session_id="s", role="system"))
    before = [m.role for m in await c.context(summary_role="user")]
    assert before == ["user", "assistant", "user", "assistant", "user", "assistant", "system"]
    await c.compact(Covering(1, 4, summary="in short"))
    assert [m.role for m in await c.context(summary_role="user")] == ["user", "user", "assistant", "system"]
    assert [m.role for m in await c.context()] == ["system", "user", "assistant", "system"]
    with pytest.raises(InvalidValue, match="summary_role"):
        await c.context(summary_role="narrator")  # pyright: ignore[reportArgumentType]


async def test_a_summary_that_is_corrected(store: SQLSessionStore) -> None:
    """A summary message that is replaced stands in for the same messages, with its new text."""
    c = await conversation_of(store, 3)
    record = await c.compact(Covering(1, 4, summary="wrong"))
    assert record is not None
    await store.replace_message(
        Message(id=record.message_id or "", session_id="s", role="system", parts=[TextPart(content="right")])
    )
    assert said(await c.context()) == ["right", "question 3", "answer 3"]
    assert await c.summaries() == [record]
    assert await broken(store.engine) == []


async def test_a_pointer_set_by_hand(store: SQLSessionStore) -> None:
    """Any message may be pointed at: it stands in for what it covers, and once it doesn't, it isn't sent at all."""
    c = await conversation_of(store, 3)
    await c.append(assistant("s", "by hand", id="sum"), question(4))
    await store.update_session_summary("s", "sum", covers_through="a2")
    assert said(await c.context()) == ["by hand", "question 3", "answer 3", "question 4"]
    await store.update_session_summary("s", "sum")
    assert said(await c.context()) == ["by hand", "question 4"]
    await store.update_session_summary("s", "q1", covers_through="a3")
    assert said(await c.context()) == ["question 1", "question 4"]
    await store.update_session_summary("s", None)
    assert said(await c.context()) == ["answer 1", "question 2", "answer 2", "question 3", "answer 3", "question 4"]


async def test_a_pointer_that_covers_nothing(store: SQLSessionStore) -> None:
    """A summary before turn 1 covers nothing, and nothing is sent twice."""
    c = await conversation_of(store)
    await c.append(Message(id="first", session_id="s", role="system", parts=[TextPart(content="first")]))
    await c.append(question(1), reply(1))
    await store.update_session_summary("s", "first")
    assert sorted(said(await c.context())) == ["answer 1", "first", "question 1"]


async def test_a_record_that_keeps_its_first_messages(store: SQLSessionStore) -> None:
    """Where a record keeps what it begins with, as another writer may have put it, the summary stands behind that."""
    await conversation_of(store, 4)
    archive = await store.export_session("s")
    assert archive is not None
    archive.messages.append(assistant("s", "in short", id="sum", seq=9))
    fields = {"number": 1, "message_id": "sum", "from_seq": 1, "through_seq": 6, "at_seq": 9}
    archive.summaries = [Summary.model_validate({**fields, "kept": [(3, 4), (1, 2)], "strategy": "s", "trigger": "t"})]
    archive.info.summary_message_id = "sum"
    await store.delete_session("s")
    await store.import_session(archive)
    c = store.conversation("s")
    expected = ["question 1", "answer 1", "question 2", "answer 2", "in short", "question 4", "answer 4"]
    assert said(await c.context()) == expected
    strategy = Covering(1, 4)
    await c.compact(strategy)
    assert said(strategy.given) == expected
    assert [m.seq for m in strategy.given] == [1, 2, 3, 4, 5, 7, 8]


async def test_many_pinned_turns(store: SQLSessionStore) -> None:
    """However many turns are kept one by one, exactly what isn't covered is sent."""
    c = await conversation_of(store)
    await c.append(*(message for number in range(1, 601) for message in (question(number), reply(number))))
    await c.compact(Truncate(2, pinned_turns=range(1, 599, 2)))
    expected = [f"{kind} {n}" for n in [*range(1, 599, 2), 599, 600] for kind in ("question", "answer")]
    assert said(await c.context()) == expected
    assert (await c.context_usage(10)).turns == len(expected) // 2


EVENTS = st.lists(
    st.tuples(st.sampled_from(["user", "call", "call2", "result", "both", "mixed", "say"]), st.sampled_from("xyz")),
    max_size=14,
)


def _message(kind: str, id_: str, session_id: str) -> Message:
    match kind:
        case "user":
            return user(session_id, "ask")
        case "call":
            return call(id_, session_id=session_id)
        case "call2":
            return call(id_, "x", session_id=session_id)
        case "result":
            return result(id_, session_id=session_id)
        case "both":
            return result(id_, "y", session_id=session_id)
        case "mixed":
            message = result(id_, session_id=session_id, role="user")
            message.add_text("and more")
            return message
        case _:
            return assistant(session_id, "say")


def _sendable(context: list[Message], stored: list[Message], hidden: set[str]) -> None:
    """See that a context has no refusal in it, and everything that is to be sent once and in order."""
    assert refusals(context) == []
    assert len(set(ids(context))) == len(context)
    sent = [part.id for message in context if message.seq is not None for part in message.parts]
    assert len(set(sent)) == len(sent)
    kept = [m for m in stored if m.id not in hidden]
    plain = {p.id for m in kept for p in m.parts if not isinstance(p, ToolResultPart)}
    assert plain <= set(sent) <= {part.id for message in kept for part in message.parts}
    at = {part.id: (m.seq or 0) for m in kept for part in m.parts}
    in_order = [at[part] for part in sent if part in plain]
    assert in_order == sorted(in_order)


@given(events=EVENTS, first=st.integers(1, 14), length=st.integers(0, 12), late=EVENTS)
@on_one_store
async def test_any_context_can_be_sent(
    store: SQLSessionStore,
    events: list[tuple[str, str]],
    first: int,
    length: int,
    late: list[tuple[str, str]],
) -> None:
    """Whatever was called, answered, compacted and answered later: nothing dangles, and nothing is lost or doubled."""
    session_id = new_id()
    c = await conversation_of(store, session_id=session_id)
    await c.append(*(_message(kind, id_, session_id) for kind, id_ in events))
    stored = await store.get_messages(session_id)
    _sendable(await c.context(), stored, set())
    record = await c.compact(Covering(first, first + length))
    covered = set() if record is None else {m.id for m in stored if record.covers(m.seq or 0)}
    assert record is None or covered
    assert all(first <= (m.seq or 0) <= first + length and m.turn for m in stored if m.id in covered)
    _sendable(await c.context(), stored, covered)
    await c.append(*(_message(kind, id_, session_id) for kind, id_ in late))
    _sendable(await c.context(), await store.get_messages(session_id), covered)


@given(ranges=st.lists(st.integers(1, 4), min_size=1, max_size=12))
@on_one_store
async def test_each_message_is_covered_or_sent(store: SQLSessionStore, ranges: list[int]) -> None:
    """However often it is compacted, every message is either covered by the record in force or in the context."""
    session_id = new_id()
    c = await conversation_of(store, 5, session_id)
    for first, last in pairwise(ranges):
        await c.compact(Covering(first * 2, (first + last) * 2, summary="sum" if first % 2 else None))
        records = await c.summaries()
        summary_messages = {record.message_id for record in records}
        if not records:
            continue
        expected = [
            m.id
            for m in await store.get_messages(session_id)
            if m.id not in summary_messages and not records[-1].covers(m.seq or 0)
        ]
        assert [id_ for id_ in ids(await c.context()) if id_ not in summary_messages] == expected


async def test_a_record_that_goes_meanwhile(
    store: SQLSessionStore, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A context that is read while its summary is deleted is the one before or the one after, never what is between."""
    c = await conversation_of(store, 6)
    await c.compact(Covering(1, 8, summary="in short"))
    in_force = records.in_force
    loop = asyncio.get_running_loop()
    async with SQLSessionStore.from_url(database_url) as other:

        async def goes() -> None:
            await other.conversation("s").revert_to_turn(3)
            await other.conversation("s").append(question(4))

        async def and_then_it_goes(t: Transaction, session_id: str) -> records.InForce | None:
            found = await in_force(t, session_id)
            if found is not None:
                if t.capabilities.locks_rows:
                    await goes()
                else:  # this is SQLite's thread
                    asyncio.run_coroutine_threadsafe(goes(), loop).result(30)
            return found

        monkeypatch.setattr(records, "in_force", and_then_it_goes)
        kept = [f"{kind} {n}" for n in (1, 2, 3) for kind in ("question", "answer")]
        assert said(await c.context()) == [*kept, "question 4"]
