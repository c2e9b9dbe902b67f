"""The laws of the ready strategies: which turns each collects."""

from collections.abc import Sequence

import pytest

from sessionstore import Message, SQLSessionStore
from sessionstore.compaction import Hybrid, Plan, Strategy, Summarize, Truncate, TurnStrategy
from sessionstore.errors import CompactionFailed, InvalidValue
from sessionstore.testing.build import assistant, user

from .build import Recorder, conversation_of, said


def transcript(turns: int) -> list[Message]:
    """Return a system message and so many turns of two messages, as the store would number them."""
    messages = [Message(session_id="s", role="system", seq=1, turn=0)]
    for turn in range(1, turns + 1):
        messages += [
            user("s", f"q{turn}", seq=2 * turn, turn=turn),
            assistant("s", f"a{turn}", seq=2 * turn + 1, turn=turn),
        ]
    return messages


async def _turns(strategy: Strategy, messages: Sequence[Message]) -> list[int]:
    """Return the turns that a plan covers."""
    plan = await strategy.plan(messages)
    if plan is None:
        return []
    return sorted(
        {
            message.turn or 0
            for message in messages
            if plan.from_seq <= (message.seq or 0) <= plan.through_seq
            and not any(first <= (message.seq or 0) <= last for first, last in plan.kept)
        }
    )


async def test_eight_turns_with_five_to_preserve_and_one_pinned() -> None:
    """Truncating 8 turns with 5 to preserve and the first pinned keeps it and the last 5, and collects 2."""
    plan = await Truncate(preserve_recent_turns=5, pinned_turns=[1]).plan(transcript(8))
    assert plan == Plan(4, 7, (), None, {"turns_collected": 2})


@pytest.mark.parametrize(
    ("turns", "preserved", "pinned", "collected"),
    [
        (8, 5, (), [1, 2, 3]),
        (8, 5, (2,), [1, 3]),
        (8, 5, (1, 2, 3), []),
        (8, 0, (8,), [1, 2, 3, 4, 5, 6, 7]),
        (5, 5, (), []),
        (0, 0, (), []),
        (3, 2, (99,), [1]),
    ],
)
async def test_which_turns_are_collected(
    turns: int, preserved: int, pinned: tuple[int, ...], collected: list[int]
) -> None:
    """All but the last so many and the pinned ones, never what came before turn 1: by each strategy."""
    messages = transcript(turns)
    assert await _turns(Truncate(preserved, pinned), messages) == collected
    assert await _turns(Summarize(Recorder(), preserved, pinned), messages) == collected
    assert await _turns(Hybrid(Recorder(), preserved, 1, pinned), messages) == collected


async def test_other_turns_to_keep() -> None:
    """A strategy can be had once more with other turns to keep; it stays as it was itself, and summarises as before."""
    recorder = Recorder()
    messages = transcript(8)
    for strategy in (Truncate(5, [1]), Summarize(recorder, 5, [1]), Hybrid(recorder, 5, 1, [1])):
        other = strategy.preserving(6, [2])
        assert type(other) is type(strategy)
        assert (await _turns(other, messages), await _turns(strategy, messages)) == ([1], [2, 3])
    assert recorder.given == [["q1", "a1"], ["q2", "a2", "q3", "a3"], ["q3", "a3"]]
    assert {message.turn for message in TurnStrategy(6, [2]).collectable(messages)} == {1}
    with pytest.raises(InvalidValue, match="pinned_turns"):
        Truncate().preserving(5, [0])


async def test_what_is_summarised() -> None:
    """Summarize gives its summariser all that is covered; Hybrid only the turns just before the preserved ones."""
    recorder = Recorder()
    plans = [
        await strategy.plan(transcript(8))
        for strategy in (Summarize(recorder, 5), Hybrid(recorder, 2, 2), Hybrid(recorder, 2, 2, [5]))
    ]
    assert recorder.given == [["q1", "a1", "q2", "a2", "q3", "a3"], ["q5", "a5", "q6", "a6"], ["q6", "a6"]]
    assert [plan and plan.summary for plan in plans] == ["summary 1", "summary 2", "summary 3"]
    assert [plan and dict(plan.details) for plan in plans] == [
        {"turns_collected": 3},
        {"turns_collected": 6, "turns_summarized": 2},
        {"turns_collected": 5, "turns_summarized": 1},
    ]


async def test_hybrid_without_turns_to_summarise() -> None:
    """With none to summarise Hybrid truncates."""
    recorder = Recorder()
    plan = await Hybrid(recorder, 2, 0).plan(transcript(4))
    assert (plan and plan.summary, recorder.given) == (None, [])


async def test_hybrid_keeps_what_earlier_summaries_say(store: SQLSessionStore) -> None:
    """An earlier summary is summarised with the turns, though what it covers is older than they are."""
    c = await conversation_of(store, 6)
    recorder = Recorder()
    await c.compact(Hybrid(recorder, 4, 1))
    await c.compact(Hybrid(recorder, 2, 1))
    assert recorder.given == [["question 2", "answer 2"], ["summary 1", "question 4", "answer 4"]]
    assert said(await c.context())[:2] == ["summary 2", "question 5"]


async def test_covering() -> None:
    """`Plan.covering` names exactly the messages it is given, and keeps those between."""
    messages = transcript(6)
    chosen = [message for message in messages if message.turn in (1, 3, 4)]
    plan = Plan.covering(chosen, messages, summary="text", details={"a": 1})
    assert plan == Plan(2, 9, ((4, 5),), "text", {"a": 1})
    assert Plan.covering(messages[2:3], messages) == Plan(3, 3)
    with pytest.raises(InvalidValue, match="None"):
        Plan.covering([], messages)


@pytest.mark.parametrize("answer", ["", " \n", None, 5, b"bytes"])
async def test_a_summary_without_content(store: SQLSessionStore, answer: object) -> None:
    """A summariser that says nothing fails: else what it should stand for would be gone."""

    async def summarizer(messages: list[Message]) -> str:
        return answer  # pyright: ignore[reportReturnType]

    c = await conversation_of(store, 3)
    with pytest.raises(CompactionFailed) as raised:
        await c.compact(Summarize(summarizer, 1))
    assert isinstance(raised.value.__cause__, InvalidValue)
    assert await c.summaries() == []


async def test_bad_settings() -> None:
    """What is no number of turns, no turn and no summariser is refused when the strategy is made."""
    for preserved in (-1, 1.5, "5", True, None):
        with pytest.raises(InvalidValue, match="preserve_recent_turns"):
            Truncate(preserved)  # pyright: ignore[reportArgumentType]
    for pinned in ([0], [-1], ["1"]):
        with pytest.raises(InvalidValue, match="pinned_turns"):
            Summarize(Recorder(), 5, pinned)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match="summarize_turns"):
        Hybrid(Recorder(), 5, -1)
    with pytest.raises(InvalidValue, match="summarizer"):
        Summarize("summarise")  # pyright: ignore[reportArgumentType]
