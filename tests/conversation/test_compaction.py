"""The laws of compaction: the transcript stays whole, one of two wins, and a failure changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from sessionstore import Message, SQLSessionStore, Summary
from sessionstore.compaction import Plan, Summarize, Truncate, is_summary
from sessionstore.errors import CompactionConflict, CompactionFailed, InvalidValue, MessageConflict, SessionNotFound
from sessionstore.testing.build import assistant, ids, stored, user
from tests.sql.invariants import broken

from .build import Covering, Recorder, call, conversation_of, question, reply, result, said


async def test_the_transcript_stays_whole(store: SQLSessionStore) -> None:
    """A compaction adds its summary message at the end and changes no other; counters count that one."""
    c = await conversation_of(store, 8)
    before = await store.get_messages("s")
    record = await c.compact(Summarize(Recorder(), preserve_recent_turns=5))
    after = await store.get_messages("s")
    assert after[:-1] == before
    assert record is not None
    assert (after[-1].id, after[-1].role, after[-1].turn) == (record.message_id, "system", 8)
    assert after[-1].created_at > before[-1].created_at
    info = await stored(store, "s")
    assert (info.message_count, info.summary_message_id) == (17, record.message_id)
    assert len(await c.turns()) == 8
    assert await broken(store.engine) == []


async def test_what_a_record_says(store: SQLSessionStore) -> None:
    """A record says what it covers, who made it and why, and what it saved; it is what `summaries` gives."""
    c = await conversation_of(store, 4)
    record = await c.compact(Summarize(Recorder(), 2, pinned_turns=[1]), trigger="nightly")
    assert record is not None
    assert record.model_dump(exclude={"created_at", "tokens_before", "tokens_after"}) == {
        "number": 1,
        "message_id": (await store.get_messages("s"))[-1].id,
        "from_seq": 3,
        "through_seq": 4,
        "kept": [],
        "at_seq": 9,
        "active": True,
        "strategy": "summarize",
        "trigger": "nightly",
        "details": {"turns_collected": 1},
    }
    assert record.tokens_before is not None
    assert record.tokens_after is not None
    assert record.tokens_before > record.tokens_after > 0
    assert await c.summaries() == [record]


async def test_history_survives_a_restart(database_url: str) -> None:
    """Records, active and undone, are there for another process."""
    async with SQLSessionStore.from_url(database_url) as store:
        c = await conversation_of(store, 6)
        for preserved in (4, 3, 2):
            await c.compact(Summarize(Recorder(), preserved))
        await c.undo_compaction()
        records, context = await c.summaries(), await c.context()
    async with SQLSessionStore.from_url(database_url) as store:
        c = store.conversation("s")
        assert await c.summaries() == records
        assert [record.active for record in records] == [True, True, False]
        assert await c.context() == context
        assert (await c.compact(Truncate(1))) is not None


async def test_a_later_one_covers_the_earlier_summary(store: SQLSessionStore) -> None:
    """A later compaction covers what the earlier did and its summary, which its own summariser has seen."""
    c = await conversation_of(store, 6)
    recorder = Recorder()
    await c.compact(Summarize(recorder, 4))
    await c.append(question(7), reply(7))
    second = await c.compact(Summarize(recorder, 2))
    assert recorder.given == [
        ["question 1", "answer 1", "question 2", "answer 2"],
        ["summary 1", *(f"{kind} {n}" for n in (3, 4, 5) for kind in ("question", "answer"))],
    ]
    assert second is not None
    assert (second.from_seq, second.through_seq, second.kept) == (1, 10, [])
    expected = ["summary 2", "question 6", "answer 6", "question 7", "answer 7"]
    assert said(await c.context()) == expected
    await c.append(question(8))
    await c.compact(Truncate(1))
    assert said(await c.context()) == ["question 8"]


async def test_kept_messages_stay_kept(store: SQLSessionStore) -> None:
    """What an earlier compaction kept, a later one keeps or covers as its own strategy says."""
    c = await conversation_of(store, 8)
    await c.compact(Truncate(4, pinned_turns=[2]))
    assert said(await c.context())[:3] == ["question 2", "answer 2", "question 5"]
    second = await c.compact(Truncate(2, pinned_turns=[2]))
    assert second is not None
    assert (second.from_seq, second.through_seq, second.kept) == (1, 12, [(3, 4)])
    assert said(await c.context())[:3] == ["question 2", "answer 2", "question 7"]
    third = await c.compact(Truncate(2))
    assert third is not None
    assert (third.from_seq, third.through_seq, third.kept) == (1, 12, [])


async def test_nothing_to_collect(store: SQLSessionStore) -> None:
    """Without anything to collect there is no record, and no summariser is asked."""
    c = await conversation_of(store, 3)
    recorder = Recorder()
    for strategy in (Truncate(3), Summarize(recorder, 5), Truncate(0, pinned_turns=[1, 2, 3]), Covering(50, 60)):
        assert await c.compact(strategy) is None
    assert await c.compact(Summarize(recorder, 2)) is not None
    assert await c.compact(Summarize(recorder, 2)) is None
    assert await c.compact(Covering(7, 7)) is None  # the summary message alone
    assert len(recorder.given) == 1
    assert len(await c.summaries()) == 1
    assert await (await conversation_of(store, 0, "empty")).compact(Covering(1, 9)) is None


async def test_what_came_before_turn_1_is_never_collected(store: SQLSessionStore) -> None:
    """Messages before turn 1 stay, whatever a strategy asks for."""
    c = await conversation_of(store)
    await c.append(Message(session_id="s", role="system"), reply(0), question(1), reply(1))
    record = await c.compact(Covering(1, 4))
    assert record is not None
    assert (record.from_seq, record.through_seq) == (3, 4)
    assert await c.compact(Covering(0, 2)) is None


async def test_calls_and_results_stay_together(store: SQLSessionStore) -> None:
    """A call whose result isn't covered stays, and so does a result whose call isn't, and what hangs on those."""
    c = await conversation_of(store)
    await c.append(question(1), call("a", "b"), result("a"), question(2), result("b"), question(3))
    record = await c.compact(Covering(1, 4))
    assert record is not None
    assert (record.from_seq, record.through_seq, record.kept) == (1, 4, [(2, 3)])
    assert said(await c.context()) == ["call a call b", "result a", "result b", "question 3"]
    await c.compact(Covering(1, 5))
    assert said(await c.context()) == ["question 3"]


async def test_repeated_ids_are_not_mixed_up(store: SQLSessionStore) -> None:
    """With one id for many calls, each pair is covered or kept as a pair."""
    c = await conversation_of(store)
    await c.append(question(1), call("x"), result("x"), question(2), call("x"), call("x"), result("x"), question(3))
    await c.append(result("x"))
    record = await c.compact(Covering(1, 7))
    assert record is not None
    assert (record.from_seq, record.through_seq, record.kept) == (1, 7, [(5, 5)])


async def test_what_is_unfinished_is_not_collected(store: SQLSessionStore) -> None:
    """An open call waits for its result, and a draft for its end: they stay until then."""
    c = await conversation_of(store)
    draft = assistant("s", "answer 1", id="d", status="in_progress")
    await c.append(question(1), call("a"), draft, question(2))
    await c.compact(Covering(1, 3))
    await c.append(result("a"))
    assert said(await c.context()) == ["call a", "result a", "answer 1", "question 2"]
    await store.replace_message(Message(id="d", session_id="s", role="assistant"))
    await c.compact(Covering(1, 5))
    assert await c.context() == []


class Waiting:
    """A summariser that waits until it is let go, and says that it runs."""

    def __init__(self, text: str = "waited") -> None:
        self.runs, self.may_end = asyncio.Event(), asyncio.Event()
        self._text = text

    async def __call__(self, messages: Sequence[Message]) -> str:
        self.runs.set()
        await self.may_end.wait()
        return self._text


async def _meanwhile(
    store: SQLSessionStore, change: Callable[[], Awaitable[Any]], preserved: int = 2
) -> Summary | BaseException | None:
    """Compact, with something happening while the summariser runs; return what came of it."""
    waiting = Waiting()
    compaction = asyncio.create_task(store.conversation("s").compact(Summarize(waiting, preserved)))
    await waiting.runs.wait()
    await change()
    waiting.may_end.set()
    (outcome,) = await asyncio.gather(compaction, return_exceptions=True)
    return outcome


async def test_what_arrives_meanwhile_is_not_covered(store: SQLSessionStore) -> None:
    """Messages that come while the summariser runs stay in the context, behind what was there."""
    c = await conversation_of(store, 4)
    record = await _meanwhile(store, lambda: c.append(question(5), reply(5)))
    assert isinstance(record, Summary)
    assert (record.from_seq, record.through_seq, record.at_seq) == (1, 4, 11)
    expected = [f"{kind} {n}" for n in (3, 4, 5) for kind in ("question", "answer")]
    assert said(await c.context()) == ["waited", *expected]


async def test_a_result_that_arrives_meanwhile_finds_its_call(store: SQLSessionStore) -> None:
    """A call whose result comes while the summariser runs isn't parted from it."""
    c = await conversation_of(store)
    await c.append(question(1), call("a"), question(2), question(3))
    await _meanwhile(store, lambda: c.append(result("a")), 1)
    assert said(await c.context()) == ["waited", "call a", "result a", "question 3"]


async def test_no_connection_is_held(database_url: str) -> None:
    """While the summariser runs a pool of one connection is free, and the session isn't locked."""
    async with SQLSessionStore.from_url(database_url, engine_kwargs={"pool_size": 1, "max_overflow": 0}) as store:
        c = await conversation_of(store, 3)
        seen: list[Message] = []

        async def summarizer(messages: list[Message]) -> str:
            assert getattr(store.engine.sync_engine.pool, "checkedout", lambda: 0)() == 0
            seen.extend(await asyncio.wait_for(c.append(question(4)), 10))
            return "in short"

        assert await c.compact(Summarize(summarizer, 1)) is not None
        assert len(seen) == 1


async def test_two_at_once(store: SQLSessionStore) -> None:
    """Of two compactions at once one is recorded, and the other is told; nothing of it is stored."""
    c = await conversation_of(store, 5)
    slow, other = [Waiting(name) for name in ("slow", "other")]
    tasks = [asyncio.create_task(c.compact(Summarize(waiting, 2))) for waiting in (slow, other)]
    for waiting in (slow, other):
        await waiting.runs.wait()
    for waiting in (slow, other):
        waiting.may_end.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["CompactionConflict", "Summary"]
    assert len(await c.summaries()) == 1
    assert len(await store.get_messages("s")) == 11
    assert await broken(store.engine) == []


CHANGES: dict[str, Callable[[SQLSessionStore], Awaitable[Any]]] = {
    "compacted": lambda s: s.conversation("s").compact(Truncate(3)),
    "pointed": lambda s: s.update_session_summary("s", "a3"),
    "undone": lambda s: s.conversation("s").undo_compaction(),
    "reverted": lambda s: s.conversation("s").revert_to_turn(1),
    "replaced": lambda s: s.replace_message(user("s", "other", id="q2")),
    "reset": lambda s: s.conversation("s").reset([question(1)]),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_meanwhile_is_a_conflict(store: SQLSessionStore, change: str) -> None:
    """When the summary in force or a message to be covered has changed, nothing is recorded."""
    c = await conversation_of(store, 6)
    await c.compact(Covering(1, 2, summary="first"))
    left: list[Any] = []

    async def changed() -> None:
        await CHANGES[change](store)
        left.extend([await c.summaries(), await store.get_messages("s")])

    outcome = await _meanwhile(store, changed)
    assert isinstance(outcome, CompactionConflict)
    assert [await c.summaries(), await store.get_messages("s")] == left


async def test_a_session_deleted_meanwhile(store: SQLSessionStore) -> None:
    """A session that is gone when the summary is there is SessionNotFound."""
    await conversation_of(store, 6)
    assert isinstance(await _meanwhile(store, lambda: store.delete_session("s")), SessionNotFound)


async def test_a_change_elsewhere_is_none(store: SQLSessionStore) -> None:
    """A message that isn't covered may change meanwhile."""
    await conversation_of(store, 4)
    assert isinstance(await _meanwhile(store, lambda: store.replace_message(user("s", "other", id="q4"))), Summary)


class Failing:
    """A strategy that fails, or gives what is no plan."""

    def __init__(self, outcome: Any) -> None:
        self._outcome = outcome

    async def plan(self, messages: Sequence[Message]) -> Plan | None:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


@pytest.mark.parametrize(
    "outcome",
    [
        RuntimeError("no model"),
        MessageConflict(),
        "text",
        Plan(3, 1),
        Plan("1", 2),  # pyright: ignore[reportArgumentType]
        Plan(1, 4, kept=[(2, 1)]),
        Plan(1, 4, kept=[2]),  # pyright: ignore[reportArgumentType]
        Plan(1, 4, summary=" "),
        Plan(1, 4, summary=b"bytes"),  # pyright: ignore[reportArgumentType]
        Plan(1, 4, details={"bytes": b""}),
    ],
)
async def test_a_failing_strategy_changes_nothing(store: SQLSessionStore, outcome: Any) -> None:
    """A strategy that fails or answers what is no plan is CompactionFailed, from its error, without its content."""
    c = await conversation_of(store, 6)
    await c.compact(Covering(1, 2, summary="first"))
    before = repr([await store.export_session("s"), await c.context()])
    with pytest.raises(CompactionFailed) as raised:
        await c.compact(Failing(outcome))
    assert isinstance(raised.value.__cause__, type(outcome) if isinstance(outcome, Exception) else Exception)
    assert "no model" not in str(raised.value)
    assert repr([await store.export_session("s"), await c.context()]) == before


async def test_cancelling_it(store: SQLSessionStore) -> None:
    """A compaction that is cancelled while its summariser runs is none."""
    c = await conversation_of(store, 6)
    waiting = Waiting()
    task = asyncio.create_task(c.compact(Summarize(waiting, 2)))
    await waiting.runs.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await c.summaries() == []
    assert len(await store.get_messages("s")) == 12


async def test_undo(store: SQLSessionStore) -> None:
    """Undoing puts the one before in force, down to none; the undone ones stay listed, and aren't sent."""
    c = await conversation_of(store, 6)
    first = await c.compact(Summarize(Recorder(), 4))
    before = await c.context()
    second = await c.compact(Truncate(2))
    assert second is not None
    assert await c.undo_compaction() == first
    assert await c.context() == before
    assert await c.undo_compaction() is None
    assert said(await c.context()) == [f"{kind} {n}" for n in range(1, 7) for kind in ("question", "answer")]
    assert await c.undo_compaction() is None
    assert [(record.number, record.active) for record in await c.summaries()] == [(1, False), (2, False)]
    third = await c.compact(Truncate(5))
    assert third is not None
    assert third.number == 3
    assert (await stored(store, "s")).summary_message_id is None


async def test_an_undone_summary_is_no_part_of_a_later_one(store: SQLSessionStore) -> None:
    """A compaction after an undo starts from the whole again."""
    c = await conversation_of(store, 6)
    recorder = Recorder()
    await c.compact(Summarize(recorder, 2))
    await c.undo_compaction()
    record = await c.compact(Summarize(recorder, 5))
    assert recorder.given[1] == ["question 1", "answer 1"]
    assert record is not None
    assert record.through_seq == 2


async def test_what_a_strategy_is_given(store: SQLSessionStore) -> None:
    """The context in order of `seq`, the summary with the `seq` and turn of the first message that it covers."""
    c = await conversation_of(store, 4)
    await c.compact(Covering(3, 6, summary="first"))
    strategy = Covering(1, 1)
    await c.compact(strategy)
    assert [(m.seq, m.turn, is_summary(m)) for m in strategy.given] == [
        (1, 1, False),
        (2, 1, False),
        (3, 2, True),
        (7, 4, False),
        (8, 4, False),
    ]
    summary = strategy.given[2]
    assert (summary.get_text_content(), summary.role) == ("first", "system")
    whole = await store.get_message("s", summary.id)
    assert whole is not None
    assert whole.metadata == {}


async def test_a_strategy_of_ones_own(store: SQLSessionStore) -> None:
    """A strategy that knows nothing but positions works again and again."""

    class KeepLastFour:
        async def plan(self, messages: Sequence[Message]) -> Plan | None:
            old = messages[:-4]
            return Plan.covering(old, messages, summary=" + ".join(said(old))) if old else None

    c = await conversation_of(store, 3)
    first = await c.compact(KeepLastFour())
    assert first is not None
    assert first.strategy == "KeepLastFour"
    assert await c.compact(KeepLastFour()) is None  # it would cover the summary only
    await c.append(question(4), reply(4))
    assert await c.compact(KeepLastFour()) is not None
    assert said(await c.context())[0] == "question 1 + answer 1 + question 2 + answer 2"
    assert ids(await c.context())[1:] == ["q3", "a3", "q4", "a4"]


async def test_bad_arguments(store: SQLSessionStore) -> None:
    """What is no strategy, trigger, threshold or number of turns is refused."""
    c = await conversation_of(store, 1)
    for arguments in ({"trigger": "\0"}, {"trigger": None}):
        with pytest.raises(InvalidValue, match="trigger"):
            await c.compact(Truncate(), **arguments)  # pyright: ignore[reportArgumentType]
    for strategy in ("truncate", Truncate, None):
        with pytest.raises(InvalidValue, match="strategy"):
            await c.compact(strategy)  # pyright: ignore[reportArgumentType]
    for needed in ({"threshold_percent": -1}, {"threshold_percent": float("nan")}, {"max_turns": -1}):
        with pytest.raises(InvalidValue, match=next(iter(needed))):
            await c.compact_if_needed(Truncate(), 100, **needed)  # pyright: ignore[reportArgumentType]
