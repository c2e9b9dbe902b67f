"""What a JaatoSession keeps of a conversation: history, turns, accounting, context and GC. It needs no extra.

```python
from sessionstore.adapters.jaato import GCConfig, SessionHistory
from sessionstore.compaction import Truncate

history = SessionHistory(store, session_id, context_limit=200_000)
await history.set_gc_plugin(Truncate(), GCConfig(pinned_turn_indices=[0]))
await history.maybe_collect_before_send()
```
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sessionstore.adapters._stores import Store, checked
from sessionstore.compaction import Plan, Strategy, TurnStrategy, is_summary
from sessionstore.compaction.plan import check_strategy
from sessionstore.conversation import Conversation
from sessionstore.conversation.coverage import coverage
from sessionstore.errors import CompactionConflict, CompactionFailed, InvalidValue
from sessionstore.models import Message, Summary, ToolUse, Turn

DEFAULT_CONTEXT_LIMIT = 1_048_576
"""The context limit of a JaatoSession whose model isn't known."""

Reason = Literal["threshold", "manual", "turn_limit", "pre_message", "context_limit"]
"""Why a GC ran."""

_GC = "sessionstore.gc"
"""Where a compaction's details have what a `GCResult` needs besides."""


@dataclass
class GCConfig:
    """When to collect, and what to keep. Given to `set_gc_plugin`, it wins over the plugin's own values.

    `pinned_turn_indices` counts turns from 0. `target_percent` is for plugins that look at it; those of
    `sessionstore.compaction` collect by turns.
    """

    threshold_percent: float = 80.0
    target_percent: float = 60.0
    max_turns: int | None = None
    auto_trigger: bool = True
    check_before_send: bool = True
    preserve_recent_turns: int = 5
    pinned_turn_indices: list[int] = field(default_factory=list[int])


@dataclass(frozen=True)
class GCResult:
    """What a GC did: `items_collected` turns went from the history, and `tokens_freed`, estimated, with them.

    `turn` is how many turns the session had. A GC that failed has an `error`, and changed nothing.
    """

    success: bool
    items_collected: int
    tokens_before: int
    tokens_after: int
    tokens_freed: int = field(init=False)
    plugin_name: str
    trigger_reason: str
    turn: int | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    error: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens_freed", max(0, self.tokens_before - self.tokens_after))


class SessionHistory:
    """A JaatoSession's calls on its conversation, for one session of a store; nothing but the GC plugin is kept here.

    The history is what the model is to see: after a GC, without what that collected. The transcript
    stays whole, turns keep the numbers that they have (`Message.turn`), and `get_turn_accounting` and `revert_to_turn`
    go by these. Messages are appended through `conversation`, or the store.

    Reads of an unknown session find nothing; writes raise `SessionNotFound`. `context_limit` and `model` are what
    the usage is told for; without `model` that is the latest message's, or the session's.
    """

    def __init__(
        self,
        store: Store,
        session_id: str,
        *,
        context_limit: int = DEFAULT_CONTEXT_LIMIT,
        model: str | None = None,
    ) -> None:
        self.context_limit = context_limit
        self.model = model
        self._conversation = checked(store).conversation(session_id)
        self._plugin: Strategy | None = None
        self._config: GCConfig | None = None

    @property
    def conversation(self) -> Conversation:
        """The service layer on the session: drafts, forks, repair of tool calls."""
        return self._conversation

    # History and turns

    async def get_history(self) -> list[Message]:
        """Return the history, with the summary in the place of what it covers; all else as it is stored.

        `conversation.context` arranges it for providers that refuse calls without results.
        """
        return await self._conversation.context(as_stored=True)

    async def reset_session(self, history: Sequence[Message] | None = None) -> None:
        """Replace the history, or clear it. The accounting, and the record of GCs, begin anew with it."""
        await self._conversation.reset(history)

    async def get_turn_boundaries(self) -> list[int]:
        """Return the indices, from 0, of those messages of the history that start turns."""
        return [index for index, message in enumerate(await self.get_history()) if message.starts_turn]

    async def revert_to_turn(self, turn_id: int) -> dict[str, Any]:
        """Drop what came after a turn, which is numbered from 1; say what was done.

        Going back behind a GC brings back what that had collected. Raises `ValueError` when there is no such turn.
        """
        removed = await self._conversation.revert_to_turn(turn_id)
        done = f"Reverted to turn {turn_id} (removed {removed} turn(s))."
        return {
            "success": True,
            "turns_removed": removed,
            "new_turn_count": turn_id,
            "message": done if removed else f"Already at turn {turn_id}, no changes made.",
        }

    # Accounting and context

    async def get_turn_accounting(self) -> list[dict[str, Any]]:
        """Return what each turn took: tokens as its last model message reported them, times, and function calls.

        `thinking` is the turn's sum. It, `cache_read` and `cache_creation` are there where there were any. `end_time`
        is the last message's time, for a streamed one when it began. Collected turns are listed: they were paid for.
        """
        return [_accounted(turn) for turn in await self._conversation.turns()]

    async def get_context_limit(self) -> int:
        """Return the size of the model's context, in tokens."""
        return self.context_limit

    async def get_context_usage(self) -> dict[str, Any]:
        """Return how much of the context the history takes; `turns` are those in the history."""
        usage = await self._conversation.context_usage(self.context_limit, model=self.model)
        return usage.model_dump(exclude={"estimated"}) | {"model": usage.model or "unknown"}

    # GC

    async def set_gc_plugin(self, plugin: Strategy, config: GCConfig | None = None) -> None:
        """Have a strategy of `sessionstore.compaction`, or one like them, collect; without `config` by its own values.

        Raises `InvalidValue` for what is no strategy or config, and for turns that can't be.
        """
        check_strategy(plugin, "plugin")
        if config is not None and not isinstance(config, GCConfig):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue(f"config: is {type(config).__name__}, not GCConfig")
        _Collector(plugin, config, 0)
        self._plugin, self._config = plugin, config

    async def remove_gc_plugin(self) -> None:
        """Collect no more; what was collected stays so."""
        self._plugin = self._config = None

    async def manual_gc(self, trigger_reason: Reason = "manual") -> GCResult:
        """Collect now, whatever the usage. Raises `RuntimeError` without a plugin.

        A plugin that fails, or another GC at the same time, leaves the history untouched: the result has the error.
        """
        if self._plugin is None:
            raise RuntimeError("No GC plugin configured.")
        turn = max((turn.number for turn in await self._conversation.turns(limit=1)), default=0)
        collector = _Collector(self._plugin, self._config, turn)
        details: dict[str, Any] = {}
        error: str | None = None
        try:
            record = await self._conversation.compact(collector, trigger=trigger_reason)
            if record is not None:
                return _result(record)
            details["message"] = "All turns preserved, nothing to collect"
        except CompactionConflict as conflict:
            error = str(conflict)
        except CompactionFailed as failure:
            error = str(failure.__cause__) or type(failure.__cause__).__name__
        size = (await self._conversation.context_usage(self.context_limit, model=self.model)).total_tokens
        return GCResult(
            success=error is None,
            items_collected=0,
            tokens_before=size,
            tokens_after=size,
            plugin_name=collector.name,
            trigger_reason=trigger_reason,
            turn=turn,
            details=details,
            error=error,
        )

    async def collect_if_needed(self) -> GCResult | None:
        """Collect if the plugin's config says so, as after a turn; `None` when there is no need.

        It says so with `auto_trigger`, at `threshold_percent` of the context (`threshold`) or with `max_turns` turns
        in the history (`turn_limit`).
        """
        config = self._config or GCConfig()
        if self._plugin is None or not config.auto_trigger:
            return None
        reason = await self._conversation.compaction_due(
            self.context_limit,
            threshold_percent=config.threshold_percent,
            max_turns=config.max_turns,
            model=self.model,
        )
        return None if reason is None else await self.manual_gc(reason)

    async def maybe_collect_before_send(self) -> GCResult | None:
        """Collect if need be, unless the config's `check_before_send` is off: for the loop, before it sends."""
        return await self.collect_if_needed() if (self._config or GCConfig()).check_before_send else None

    async def get_gc_history(self) -> list[GCResult]:
        """Return what was collected in the session, oldest first, by whichever process, and as other compactions."""
        return [_result(record) for record in await self._conversation.summaries()]


class _Collector:
    """A GC plugin that keeps what the config says, and notes what it collects."""

    def __init__(self, plugin: Strategy, config: GCConfig | None, turn: int) -> None:
        self.name: str = getattr(plugin, "name", type(plugin).__name__)
        self._strategy = plugin
        self._turn = turn
        self._kept: TurnStrategy | None = None
        if config is not None:
            pinned = [index + 1 for index in config.pinned_turn_indices]
            self._kept = TurnStrategy(config.preserve_recent_turns, pinned)
            if isinstance(plugin, TurnStrategy):
                self._strategy = plugin.preserving(config.preserve_recent_turns, pinned)

    async def plan(self, messages: Sequence[Message]) -> Plan | None:
        plan = await self._strategy.plan(messages)
        if not isinstance(plan, Plan):
            return plan  # there is nothing to collect, or `compact` says what is wrong
        if self._kept is not None:
            covered = [message for message in self._kept.collectable(messages) if plan.covers(message.seq or 0)]
            if not covered:
                return None
            plan = Plan.covering(covered, messages, summary=plan.summary, details=plan.details)
        collected = coverage([message for message in messages if not is_summary(message)], None, plan)
        seqs = frozenset[int]() if collected is None else collected.seqs
        turns = {message.turn for message in messages if message.seq in seqs}
        return replace(plan, details={**plan.details, _GC: {"items_collected": len(turns), "turn": self._turn}})


def _result(record: Summary) -> GCResult:
    """Return what a compaction did; one that wasn't made here has no note of it, but perhaps its strategy's."""
    note = {"items_collected": record.details.get("turns_collected", 0), **record.details.get(_GC, {})}
    return GCResult(
        success=True,
        items_collected=note["items_collected"],
        tokens_before=record.tokens_before or 0,
        tokens_after=record.tokens_after or 0,
        plugin_name=record.strategy,
        trigger_reason=record.trigger,
        turn=note.get("turn"),
        details={key: value for key, value in record.details.items() if key != _GC},
    )


def _accounted(turn: Turn) -> dict[str, Any]:
    reported = {
        "cache_read": turn.last_cache_read_tokens,
        "cache_creation": turn.last_cache_write_tokens,
        "thinking": turn.reasoning_tokens,
    }
    return {
        "turn_id": turn.number,
        "prompt": turn.last_input_tokens,
        "output": turn.last_output_tokens,
        "total": turn.last_total_tokens,
        "tokens": turn.last_total_tokens,
        "start_time": turn.started_at.isoformat(),
        "end_time": turn.ended_at.isoformat(),
        "duration_seconds": turn.duration_seconds,
        "function_calls": [_called(use) for use in turn.tool_calls],
        **{name: tokens for name, tokens in reported.items() if tokens},
    }


def _called(use: ToolUse) -> dict[str, Any]:
    return {
        "name": use.name,
        "start_time": use.started_at.isoformat(),
        "end_time": None if use.ended_at is None else use.ended_at.isoformat(),
        "duration_seconds": use.duration_seconds,
    }
