"""A JaatoSession's history, turns, accounting and context: every key and every message text."""

import contextlib
from typing import Any

import pytest

from sessionstore import Message, SQLSessionStore
from sessionstore.adapters.jaato import DEFAULT_CONTEXT_LIMIT, SessionHistory
from sessionstore.compaction import Truncate
from sessionstore.conversation import estimates
from sessionstore.errors import InvalidValue, SessionNotFound
from sessionstore.testing.build import LONG_AGO, ids, seconds, user
from tests.conversation.build import call, question, reply, result

from .jaato_loop import answer, history_of, said_in, turns_of


def restarted(store: SQLSessionStore, **options: Any) -> SessionHistory:
    """Return the history as another process sees it."""
    return SessionHistory(SQLSessionStore(store.engine), "s", **options)


async def test_history(store: SQLSessionStore) -> None:
    """The history is the messages as they are stored, with calls that have no result and after a restart."""
    history = await history_of(store)
    assert await history.get_history() == []
    batch = [Message(session_id="s", role="system"), question(1), call("a", "b"), result("b"), result("x"), reply(1)]
    saved = await history.conversation.append(*batch)
    assert await history.get_history() == saved
    assert await restarted(store).get_history() == saved


async def test_reset(store: SQLSessionStore) -> None:
    """A reset replaces the history, or clears it, and the accounting is that of the new history's turns."""
    history = await history_of(store, 3)
    kept = (await history.get_history())[:4]
    await history.reset_session(kept)
    assert ids(await history.get_history()) == ids(kept)
    assert [message.created_at for message in await history.get_history()] == [message.created_at for message in kept]
    assert [(row["turn_id"], row["total"]) for row in await history.get_turn_accounting()] == [(1, 15), (2, 15)]
    await history.reset_session()
    assert (await history.get_history(), await history.get_turn_accounting()) == ([], [])
    with pytest.raises(InvalidValue):
        await history.reset_session([user("other")])


async def test_turn_boundaries(store: SQLSessionStore) -> None:
    """Boundaries are the places in the history, from 0, of messages that start turns; results start none."""
    history = await history_of(store)
    assert await history.get_turn_boundaries() == []
    await history.conversation.append(
        Message(session_id="s", role="system"), question(1), call("a"), result("a", role="user"), reply(1), question(2)
    )
    assert await history.get_turn_boundaries() == [1, 5]


async def test_revert(store: SQLSessionStore) -> None:
    """A revert keeps the turn, and says what it did in these words; exactly the removed turns' rows go."""
    history = await history_of(store, 4)
    accounting = await history.get_turn_accounting()
    assert await history.revert_to_turn(2) == {
        "success": True,
        "turns_removed": 2,
        "new_turn_count": 2,
        "message": "Reverted to turn 2 (removed 2 turn(s)).",
    }
    assert await said_in(history) == turns_of(1, 2)
    assert await history.get_turn_accounting() == accounting[:2]
    assert await history.revert_to_turn(2) == {
        "success": True,
        "turns_removed": 0,
        "new_turn_count": 2,
        "message": "Already at turn 2, no changes made.",
    }


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        (0, "Turn ID must be >= 1, got 0"),
        (-1, "Turn ID must be >= 1, got -1"),
        (3, "Turn 3 does not exist. Current session has 2 turn(s)."),
    ],
)
async def test_turns_that_are_not_there(store: SQLSessionStore, turn: int, message: str) -> None:
    """A turn that isn't there is a ValueError in these words."""
    history = await history_of(store, 2)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - its whole text is compared
        await history.revert_to_turn(turn)
    assert str(raised.value) == message
    assert await said_in(history) == turns_of(1, 2)


async def test_accounting(store: SQLSessionStore) -> None:
    """A turn's row has the tokens of its last model message, ISO times, and a row for each function call."""
    history = await history_of(store)
    cached = {"cache_read_tokens": 7, "cache_write_tokens": 3, "reasoning_tokens": 2}
    await history.conversation.append(
        question(1).model_copy(update={"created_at": LONG_AGO}),
        call("a", "b", created_at=LONG_AGO + seconds(1), usage={"input_tokens": 10, "output_tokens": 5, **cached}),
        result("b", created_at=LONG_AGO + seconds(1.5)),
        reply(
            1,
            created_at=LONG_AGO + seconds(4),
            usage={"input_tokens": 20, "output_tokens": 6, "total_tokens": 30, **cached, "cache_read_tokens": 8},
        ),
        question(2).model_copy(update={"created_at": LONG_AGO + seconds(9)}),
    )
    started = {"start_time": "2020-01-02T03:04:06.678901+00:00"}
    expected: list[dict[str, Any]] = [
        {
            "turn_id": 1,
            "prompt": 20,
            "output": 6,
            "total": 30,
            "tokens": 30,
            "start_time": "2020-01-02T03:04:05.678901+00:00",
            "end_time": "2020-01-02T03:04:09.678901+00:00",
            "duration_seconds": 4.0,
            "function_calls": [
                {"name": "tool a", **started, "end_time": None, "duration_seconds": None},
                {
                    "name": "tool b",
                    **started,
                    "end_time": "2020-01-02T03:04:07.178901+00:00",
                    "duration_seconds": 0.5,
                },
            ],
            "cache_read": 8,
            "cache_creation": 3,
            "thinking": 4,
        },
        {
            "turn_id": 2,
            "prompt": 0,
            "output": 0,
            "total": 0,
            "tokens": 0,
            "start_time": "2020-01-02T03:04:14.678901+00:00",
            "end_time": "2020-01-02T03:04:14.678901+00:00",
            "duration_seconds": 0.0,
            "function_calls": [],
        },
    ]
    assert await history.get_turn_accounting() == expected
    assert await restarted(store).get_turn_accounting() == expected


async def test_context_usage(store: SQLSessionStore) -> None:
    """The usage has exactly these keys; the model is the one that is asked for, the session's, or unknown."""
    history = await history_of(store, 2, context_limit=60)
    expected = {
        "model": "gpt",
        "context_limit": 60,
        "total_tokens": 15,
        "prompt_tokens": 10,
        "output_tokens": 5,
        "turns": 2,
        "percent_used": 25.0,
        "tokens_remaining": 45,
    }
    assert await history.get_context_usage() == expected
    assert await restarted(store, context_limit=60, model="claude").get_context_usage() == expected | {
        "model": "claude"
    }
    unknown = SessionHistory(store, "nobody's")
    usage = await unknown.get_context_usage()
    assert (usage["model"], usage["total_tokens"], usage["turns"]) == ("unknown", 0, 0)


@pytest.mark.parametrize(("limit", "percent", "remaining"), [(0, 0.0, 0), (10, 150.0, 0), (30, 50.0, 15)])
async def test_limits(store: SQLSessionStore, limit: int, percent: float, remaining: int) -> None:
    """The percentage is of the limit, 0 where that is 0, and what remains is never below 0."""
    history = await history_of(store, 1, context_limit=limit)
    usage = await history.get_context_usage()
    assert (usage["percent_used"], usage["tokens_remaining"]) == (percent, remaining)
    assert await history.get_context_limit() == usage["context_limit"] == limit


async def test_the_limit_may_change(store: SQLSessionStore) -> None:
    """Another model has another limit; without one it is the one that JaatoSession has without a model."""
    history = await history_of(store, 1)
    assert await history.get_context_limit() == DEFAULT_CONTEXT_LIMIT == 1_048_576
    history.context_limit, history.model = 100, "small"
    usage = await history.get_context_usage()
    assert (usage["percent_used"], usage["model"]) == (15.0, "small")


async def test_it_collects_by_the_usage_that_it_tells(store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimates are for the history's model when it decides, as in the usage that it tells."""
    monkeypatch.setattr(estimates, "_encoder", lambda model: (lambda text: 100) if model == "verbose" else None)  # pyright: ignore[reportUnknownLambdaType]
    history = await history_of(store, model="verbose", context_limit=1000)
    for number in range(1, 6):
        await history.conversation.append(question(number), reply(number))
    await history.set_gc_plugin(Truncate(1))
    assert (await history.get_context_usage())["percent_used"] == 100
    gc = await history.collect_if_needed()
    assert (gc and gc.trigger_reason, gc and gc.items_collected) == ("threshold", 4)


async def test_a_session_that_is_not_there(store: SQLSessionStore) -> None:
    """Reads of an unknown session find nothing, and writes say that it isn't there."""
    history = SessionHistory(store, "s")
    assert await history.get_history() == []
    assert await history.get_turn_boundaries() == []
    assert await history.get_turn_accounting() == []
    assert await history.get_gc_history() == []
    for write in (history.reset_session([]), history.revert_to_turn(1)):
        with pytest.raises(SessionNotFound):
            await write


async def test_inside_the_callers_transaction(store: SQLSessionStore) -> None:
    """On a bound store all of it is the caller's to commit."""
    history = await history_of(store, 3)
    async with store.engine.connect() as connection:
        bound = SessionHistory(store.bind(connection), "s")
        assert (await bound.revert_to_turn(1))["turns_removed"] == 2
        await bound.conversation.append(question(4), answer(4))
        assert await said_in(bound) == turns_of(1, 4)
        await connection.rollback()
    assert await said_in(history) == turns_of(1, 2, 3)


async def test_an_interrupted_turn(store: SQLSessionStore) -> None:
    """What a cancelled answer had said is in the history, as interrupted, after a restart too."""
    history = await history_of(store)
    await history.conversation.append(question(1))
    with contextlib.suppress(RuntimeError):
        async with history.conversation.stream() as draft:
            await draft.append_reasoning("hm")
            await draft.append_text("Hel")
            raise RuntimeError("cancelled")
    (_, message) = await restarted(store).get_history()
    assert (message.status, message.get_text_content()) == ("interrupted", "Hel")
