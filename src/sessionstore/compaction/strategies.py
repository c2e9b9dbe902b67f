"""The ready strategies. Each is a small function over messages; docs/conversations.md shows how to write another."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from copy import copy
from typing import ClassVar, Self

from sessionstore.compaction.plan import Plan, is_summary
from sessionstore.errors import InvalidValue
from sessionstore.models import Message

Summarizer = Callable[[list[Message]], Awaitable[str]]
"""Makes one text of messages, oldest first; the earlier summary, if there is one, is among them."""


class TurnStrategy:
    """A strategy that keeps the last `preserve_recent_turns` and the pinned ones, whatever it does with the others."""

    def __init__(self, preserve_recent_turns: int = 5, pinned_turns: Iterable[int] = ()) -> None:
        self._preserved = _count(preserve_recent_turns, "preserve_recent_turns")
        self._pinned = _turns(pinned_turns)

    def preserving(self, preserve_recent_turns: int, pinned_turns: Iterable[int]) -> Self:
        """Return the same strategy with other turns to keep."""
        other = copy(self)
        TurnStrategy.__init__(other, preserve_recent_turns, pinned_turns)
        return other

    def collectable(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages of those turns that needn't be kept."""
        last = _last_turn(messages) - self._preserved
        return [m for m in messages if not is_summary(m) and 1 <= (m.turn or 0) <= last and m.turn not in self._pinned]


class Truncate(TurnStrategy):
    """Drops the oldest turns, but for the last `preserve_recent_turns` and the pinned ones; nothing stands in for them.

    An earlier summary goes with them.
    """

    name: ClassVar[str] = "truncate"

    async def plan(self, messages: Sequence[Message]) -> Plan | None:
        """Cover the old turns."""
        old = self.collectable(messages)
        if not old:
            return None
        return Plan.covering(old, messages, details={"turns_collected": _number_of_turns(old)})


class Summarize(TurnStrategy):
    """Has the oldest turns summarised, but for the last `preserve_recent_turns` and the pinned ones.

    The summariser gets the earlier summary and the messages that are covered now, so that its text
    can stand in for both.
    """

    name: ClassVar[str] = "summarize"

    def __init__(
        self, summarizer: Summarizer, preserve_recent_turns: int = 5, pinned_turns: Iterable[int] = ()
    ) -> None:
        super().__init__(preserve_recent_turns, pinned_turns)
        self._summarizer = _callable(summarizer)

    async def plan(self, messages: Sequence[Message]) -> Plan | None:
        """Cover the old turns, with a summary in their place."""
        old = self.collectable(messages)
        if not old:
            return None
        text = await _summary(self._summarizer, messages, old)
        return Plan.covering(old, messages, summary=text, details={"turns_collected": _number_of_turns(old)})


class Hybrid(TurnStrategy):
    """Has the `summarize_turns` turns just before the preserved ones summarised, and drops older ones.

    An earlier summary isn't dropped: it is summarised with them.
    """

    name: ClassVar[str] = "hybrid"

    def __init__(
        self,
        summarizer: Summarizer,
        preserve_recent_turns: int = 5,
        summarize_turns: int = 20,
        pinned_turns: Iterable[int] = (),
    ) -> None:
        super().__init__(preserve_recent_turns, pinned_turns)
        self._summarizer = _callable(summarizer)
        self._summarized = _count(summarize_turns, "summarize_turns")

    async def plan(self, messages: Sequence[Message]) -> Plan | None:
        """Cover the old turns, with a summary of the newest of them in their place."""
        old = self.collectable(messages)
        if not old:
            return None
        first = _last_turn(messages) - self._preserved - self._summarized + 1
        middle = [message for message in old if (message.turn or 0) >= first]
        text = await _summary(self._summarizer, messages, middle)
        collected, summarized = _number_of_turns(old), _number_of_turns(middle)
        details = {"turns_collected": collected, "turns_summarized": summarized}
        return Plan.covering(old, messages, summary=text, details=details)


def _last_turn(messages: Sequence[Message]) -> int:
    return max((message.turn or 0 for message in messages), default=0)


def _number_of_turns(messages: Sequence[Message]) -> int:
    return len({message.turn for message in messages})


async def _summary(summarizer: Summarizer, messages: Sequence[Message], covered: Sequence[Message]) -> str | None:
    """Return the summary of the earlier summary and what is covered; `None` where there is neither."""
    seqs = {message.seq for message in covered}
    given = [message for message in messages if is_summary(message) or message.seq in seqs]
    if not given:
        return None
    text = await summarizer(given)
    if not isinstance(text, str) or not text.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"summarizer: gave {type(text).__name__} without content, which can't stand in for messages")
    return text


def _callable(summarizer: Summarizer) -> Summarizer:
    if not callable(summarizer):
        raise InvalidValue(f"summarizer: is {type(summarizer).__name__}; give an async function of messages to text")
    return summarizer


def _count(value: int, place: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"{place}: {value!r:.100} isn't a number of turns")
    return value


def _turns(numbers: Iterable[int]) -> frozenset[int]:
    pinned = frozenset(numbers)
    for number in pinned:
        if not _count(number, "pinned_turns"):
            raise InvalidValue("pinned_turns: turns are numbered from 1; what comes before turn 1 is never collected")
    return pinned
