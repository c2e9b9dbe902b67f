"""A JaatoSession's GC: what it collects, when, and what stays known of it."""

from collections.abc import Sequence
from dataclasses import asdict

import pytest

from sessionstore import Message, SQLSessionStore
from sessionstore.adapters.jaato import GCConfig, GCResult, SessionHistory
from sessionstore.compaction import Hybrid, Plan, Summarize, Truncate
from sessionstore.errors import InvalidValue, SessionNotFound
from tests.conversation.build import Covering, Recorder, call, question, reply, result
from tests.sql.invariants import broken

from .jaato_loop import answer, history_of, said_in, turns_of

SMALL = GCConfig(preserve_recent_turns=1)


def test_the_config() -> None:
    """The defaults are JaatoSession's."""
    assert asdict(GCConfig()) == {
        "threshold_percent": 80,
        "target_percent": 60,
        "max_turns": None,
        "auto_trigger": True,
        "check_before_send": True,
        "preserve_recent_turns": 5,
        "pinned_turn_indices": [],
    }


@pytest.mark.parametrize(("after", "freed"), [(30, 70), (100, 0), (130, 0)])
def test_tokens_freed(after: int, freed: int) -> None:
    """What is freed is the difference, and never below 0."""
    gc = GCResult(
        success=True,
        items_collected=1,
        tokens_before=100,
        tokens_after=after,
        plugin_name="p",
        trigger_reason="manual",
    )
    assert gc.tokens_freed == freed
    assert asdict(gc)["tokens_freed"] == freed


async def test_eight_turns(store: SQLSessionStore) -> None:
    """Truncating 8 turns with 5 to preserve and turn 0 pinned keeps turn 0 and the last 5, and collects 2."""
    history = await history_of(store, 8)
    await history.set_gc_plugin(Truncate(), GCConfig(preserve_recent_turns=5, pinned_turn_indices=[0]))
    gc = await history.manual_gc()
    assert await said_in(history) == turns_of(1, 4, 5, 6, 7, 8)
    assert (gc.success, gc.items_collected, gc.turn, gc.error) == (True, 2, 8, None)
    assert (gc.plugin_name, gc.trigger_reason, gc.details) == ("truncate", "manual", {"turns_collected": 2})
    # 8 questions of 10 characters and answers of 8, a token for 4 characters
    assert (gc.tokens_before, gc.tokens_after, gc.tokens_freed) == (36, 27, 9)
    assert await history.get_turn_boundaries() == [0, 2, 4, 6, 8, 10]
    assert (await history.get_context_usage())["turns"] == 6
    assert len(await store.get_messages("s")) == 16
    assert [row["turn_id"] for row in await history.get_turn_accounting()] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert await broken(store.engine) == []


@pytest.mark.parametrize(
    ("plugin", "kept"),
    [
        (Truncate(2, pinned_turns=[3]), [1, 5, 6]),
        (Truncate(6), [1, 5, 6]),
        (Summarize(Recorder(), 6), [1, 5, 6]),
        (Hybrid(Recorder(), 6, 1), [1, 5, 6]),
        (Covering(1, 12), [1, 5, 6]),
        (Covering(3, 4), [1, 3, 4, 5, 6]),
    ],
)
async def test_the_configs_values_win(store: SQLSessionStore, plugin: Truncate, kept: list[int]) -> None:
    """Whatever the plugin was made to keep, the config's turns are kept, and no others."""
    history = await history_of(store, 6)
    await history.set_gc_plugin(plugin, GCConfig(preserve_recent_turns=2, pinned_turn_indices=[0]))
    assert (await history.manual_gc()).items_collected == 6 - len(kept)
    assert [text for text in await said_in(history) if not text.startswith("summary")] == turns_of(*kept)


async def test_without_a_config(store: SQLSessionStore) -> None:
    """Without a config the plugin's own values hold; what comes before turn 1 stays all the same, and isn't counted."""
    history = await history_of(store)
    await history.conversation.append(Message(session_id="s", role="system"))
    for number in range(1, 7):
        await history.conversation.append(question(number), answer(number))
    await history.set_gc_plugin(Truncate(1, pinned_turns=[2]))
    assert (await history.manual_gc()).items_collected == 4
    assert await said_in(history) == ["", *turns_of(2, 6)]
    await history.set_gc_plugin(Covering(1, 13))
    assert (await history.manual_gc()).items_collected == 2
    assert await said_in(history) == [""]


async def test_a_config_that_keeps_everything(store: SQLSessionStore) -> None:
    """When there is nothing to collect the result says so, and nothing is recorded."""
    history = await history_of(store, 3)
    for plugin in (Truncate(1), Covering(1, 6)):
        await history.set_gc_plugin(plugin, GCConfig())
        gc = await history.manual_gc()
        assert (gc.success, gc.items_collected, gc.tokens_before, gc.tokens_after) == (True, 0, 15, 15)
        assert gc.details == {"message": "All turns preserved, nothing to collect"}
    assert await history.get_gc_history() == []
    assert await said_in(history) == turns_of(1, 2, 3)


async def test_a_summary_stands_in(store: SQLSessionStore) -> None:
    """A summarising plugin's text stands where what it covers stood, and is covered by the next."""
    history = await history_of(store, 4)
    recorder = Recorder()
    await history.set_gc_plugin(Summarize(recorder), GCConfig(preserve_recent_turns=2, pinned_turn_indices=[0]))
    assert (await history.manual_gc()).items_collected == 1
    assert await said_in(history) == ["question 1", "answer 1", "summary 1", *turns_of(3, 4)]
    await history.conversation.append(question(5), answer(5))
    assert (await history.manual_gc()).items_collected == 1
    assert await said_in(history) == ["question 1", "answer 1", "summary 2", *turns_of(4, 5)]
    assert recorder.given == [turns_of(2), ["summary 1", *turns_of(3)]]


async def test_no_plugin(store: SQLSessionStore) -> None:
    """Without a plugin a manual GC is a RuntimeError in these words, and no other runs."""
    history = await history_of(store, 8, context_limit=1)
    await history.set_gc_plugin(Truncate())
    await history.remove_gc_plugin()
    with pytest.raises(RuntimeError, match=r"^No GC plugin configured\.$"):
        await history.manual_gc()
    assert await history.maybe_collect_before_send() is None
    assert await history.collect_if_needed() is None
    assert await history.get_gc_history() == []


class Failing:
    """A plugin that fails, or is overtaken by another compaction."""

    def __init__(self, error: Exception, overtaken: SessionHistory | None = None) -> None:
        self._error = error
        self._overtaken = overtaken

    async def plan(self, messages: Sequence[Message]) -> Plan | None:
        if self._overtaken is None:
            raise self._error
        await self._overtaken.conversation.compact(Truncate(3))
        return await Truncate(1).plan(messages)


@pytest.mark.parametrize(("error", "text"), [(RuntimeError("no model"), "no model"), (KeyError(), "KeyError")])
async def test_a_failing_summariser(store: SQLSessionStore, error: Exception, text: str) -> None:
    """A plugin that fails leaves the history untouched, and the result has its error."""
    history = await history_of(store, 8, context_limit=10)

    async def summarizer(messages: list[Message]) -> str:
        raise error

    before = await history.get_history()
    for plugin in (Summarize(summarizer), Failing(error)):
        await history.set_gc_plugin(plugin, SMALL)
        for gc in (await history.manual_gc(), await history.maybe_collect_before_send()):
            assert gc is not None
            assert (gc.success, gc.error, gc.items_collected, gc.tokens_freed) == (False, text, 0, 0)
    assert await history.get_history() == before
    assert await history.get_gc_history() == []


async def test_another_gc_at_the_same_time(store: SQLSessionStore) -> None:
    """A GC that another one overtook changes nothing, and says so."""
    history = await history_of(store, 6)
    await history.set_gc_plugin(Failing(RuntimeError(), history), SMALL)
    gc = await history.manual_gc()
    assert (gc.success, gc.items_collected) == (False, 0)
    assert "compaction" in (gc.error or "")
    assert await said_in(history) == turns_of(4, 5, 6)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (GCConfig(threshold_percent=75, preserve_recent_turns=1), "threshold"),
        (GCConfig(threshold_percent=76, preserve_recent_turns=1), None),
        (GCConfig(max_turns=4, preserve_recent_turns=1), "turn_limit"),
        (GCConfig(max_turns=5, preserve_recent_turns=1), None),
        (GCConfig(threshold_percent=75, max_turns=4, preserve_recent_turns=1), "threshold"),
        (GCConfig(threshold_percent=1, max_turns=1, auto_trigger=False), None),
        (None, None),
    ],
)
async def test_when_it_collects(store: SQLSessionStore, config: GCConfig | None, reason: str | None) -> None:
    """It collects at the threshold of the context or the limit of turns, unless it isn't to by itself."""
    history = await history_of(store, 4, context_limit=20)
    await history.set_gc_plugin(Truncate(), config)
    gc = await history.maybe_collect_before_send()
    assert (None if gc is None else gc.trigger_reason) == reason
    assert await said_in(history) == (turns_of(4) if reason else turns_of(1, 2, 3, 4))
    assert await history.maybe_collect_before_send() is None, "there is no need any more"


async def test_after_a_turn_only(store: SQLSessionStore) -> None:
    """With `check_before_send` off it collects when it is asked to after a turn, and not before sending."""
    history = await history_of(store, 4, context_limit=15)
    await history.set_gc_plugin(Truncate(), GCConfig(check_before_send=False, preserve_recent_turns=1))
    assert await history.maybe_collect_before_send() is None
    gc = await history.collect_if_needed()
    assert gc is not None
    assert (gc.trigger_reason, gc.items_collected) == ("threshold", 3)


async def test_the_record_survives_a_restart(store: SQLSessionStore) -> None:
    """What was collected is known to other processes, as it was told; so are compactions that were made elsewhere."""
    history = await history_of(store, 4)
    await history.set_gc_plugin(Summarize(Recorder()), GCConfig(preserve_recent_turns=3))
    made = [await history.manual_gc()]
    await history.conversation.append(question(5), answer(5))
    made.append(await history.manual_gc("context_limit"))
    restarted = SessionHistory(SQLSessionStore(store.engine), "s")
    assert await restarted.get_gc_history() == made
    assert [(gc.items_collected, gc.turn, gc.trigger_reason) for gc in made] == [
        (1, 4, "manual"),
        (1, 5, "context_limit"),
    ]
    await history.conversation.compact(Truncate(1))
    await store.update_session_summary("s", "a5")
    others = (await restarted.get_gc_history())[2:]
    assert [(gc.plugin_name, gc.items_collected, gc.turn) for gc in others] == [
        ("truncate", 2, None),
        ("manual", 0, None),
    ]


async def test_calls_stay_with_their_results(store: SQLSessionStore) -> None:
    """A call is collected with its result, an open one stays, and what stays isn't counted."""
    history = await history_of(store)
    await history.conversation.append(question(1), call("a"), result("a"), reply(1))
    await history.conversation.append(call("b").model_copy(update={"id": "open"}), question(2), reply(2))
    await history.conversation.append(call("c").model_copy(update={"id": "answered"}), question(3), result("c"))
    await history.set_gc_plugin(Truncate(), SMALL)
    assert (await history.manual_gc()).items_collected == 2
    left = [message.id for message in await history.get_history()]
    assert left[:2] == ["open", "answered"]
    assert len(left) == 4


async def test_going_back_behind_a_gc(store: SQLSessionStore) -> None:
    """Turns keep their numbers after a GC; going back behind it brings back what it had collected."""
    history = await history_of(store, 6)
    await history.set_gc_plugin(Truncate(), GCConfig(preserve_recent_turns=2))
    await history.manual_gc()
    assert {message.turn for message in await history.get_history()} == {5, 6}
    await history.conversation.append(question(7), answer(7))
    assert (await history.revert_to_turn(6))["new_turn_count"] == 6
    assert await said_in(history) == turns_of(5, 6)
    assert (await history.revert_to_turn(5))["turns_removed"] == 1
    assert await said_in(history) == turns_of(1, 2, 3, 4, 5)
    assert await history.get_gc_history() == []


async def test_a_plugin_without_a_plan(store: SQLSessionStore) -> None:
    """A plugin that gives something else than a plan fails in words that say so."""
    history = await history_of(store, 8)

    class Speaking:
        async def plan(self, messages: Sequence[Message]) -> Plan:
            return "Drop turn 1."  # pyright: ignore[reportReturnType]

    for config in (None, SMALL):
        await history.set_gc_plugin(Speaking(), config)
        assert (await history.manual_gc()).error == "plan: is str, not Plan"


@pytest.mark.parametrize(
    ("plugin", "config"),
    [
        (object(), None),
        (Truncate, None),
        (Truncate(), {"preserve_recent_turns": 5}),
        (Truncate(), GCConfig(pinned_turn_indices=[-1])),
        (Truncate(), GCConfig(preserve_recent_turns=-1)),
        (Covering(1, 2), GCConfig(preserve_recent_turns=-1)),
    ],
)
async def test_what_is_no_plugin(store: SQLSessionStore, plugin: Truncate, config: GCConfig | None) -> None:
    """What is no strategy, and turns that can't be, are refused at once; the plugin before stays."""
    history = await history_of(store, 8)
    await history.set_gc_plugin(Truncate())
    with pytest.raises(InvalidValue):
        await history.set_gc_plugin(plugin, config)
    assert (await history.manual_gc()).items_collected == 3


async def test_a_session_that_is_not_there(store: SQLSessionStore) -> None:
    """A GC of an unknown session says that it isn't there."""
    history = SessionHistory(store, "s")
    await history.set_gc_plugin(Truncate())
    with pytest.raises(SessionNotFound):
        await history.manual_gc()
