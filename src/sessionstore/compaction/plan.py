"""What a strategy is given, and what it answers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from sessionstore.errors import InvalidValue
from sessionstore.models import Message

_SUMMARY = "sessionstore.summary"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a compaction covers: the messages from `from_seq` through `through_seq`, but for the `kept` ranges inside.

    `summary` is the text that stands in for them, `None` for nothing. `details` is JSON that is kept with
    the record.
    """

    from_seq: int
    through_seq: int
    kept: Sequence[tuple[int, int]] = ()
    summary: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def covering(
        cls,
        covered: Iterable[Message],
        messages: Sequence[Message],
        *,
        summary: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return the plan that covers exactly these of the messages that the strategy was given.

        Raises `InvalidValue` where there are none: a strategy without anything to collect answers `None`.
        """
        seqs = {message.seq or 0 for message in covered}
        if not seqs:
            raise InvalidValue("covered: is empty; where there is nothing to collect, the plan is None")
        first, last = min(seqs), max(seqs)
        kept: list[tuple[int, int]] = []
        open_range = False
        for seq in (message.seq or 0 for message in messages):
            stays = first < seq < last and seq not in seqs
            if stays and open_range:
                kept[-1] = (kept[-1][0], seq)
            elif stays:
                kept.append((seq, seq))
            open_range = stays
        return cls(first, last, tuple(kept), summary, {} if details is None else details)

    def covers(self, seq: int) -> bool:
        """Whether the plan names the message with this `seq`."""
        return self.from_seq <= seq <= self.through_seq and not any(first <= seq <= last for first, last in self.kept)


class Strategy(Protocol):
    """Decides what a compaction covers.

    A `name` that it has is put on the record, else its class's name is.
    """

    async def plan(self, messages: Sequence[Message]) -> Plan | None:
        """Return what to cover, or `None` when there is nothing to collect.

        `messages` is the current context in order: what no summary covers, and the summary in
        force where the first message stood that it covers, with that one's `seq` and `turn`
        (`is_summary` tells it). Whatever is covered, the earlier summary is too: its text
        belongs into the new one. Messages of turn 0, unfinished ones and tool calls that have
        no result yet stay, and so does what would be parted from a call or a result.
        """
        ...


def check_strategy(strategy: object, place: str) -> None:
    """Raise `InvalidValue`, which names the place, for what is no strategy: a class of them is none."""
    if isinstance(strategy, type) or not callable(getattr(strategy, "plan", None)):
        given = strategy.__name__ if isinstance(strategy, type) else type(strategy).__name__
        raise InvalidValue(f"{place}: is {given}; give an object with an async method plan, such as Truncate()")


def is_summary(message: Message) -> bool:
    """Whether a message that a strategy is given is the summary in force."""
    return _SUMMARY in message.metadata


def as_summary(message: Message, *, number: int, seq: int, turn: int) -> Message:
    """Return the summary message as strategies see it: in the place of the first message that it covers."""
    return message.model_copy(update={"seq": seq, "turn": turn, "metadata": {**message.metadata, _SUMMARY: number}})
