"""What a compaction covers, of what its strategy asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from sessionstore.compaction import Plan
from sessionstore.conversation.pairing import pair
from sessionstore.models import Message, Summary
from sessionstore.models.summary import runs


@dataclass(frozen=True)
class Coverage:
    """The messages that are newly covered, and the ranges of the record that covers them and what was before."""

    seqs: frozenset[int]
    from_seq: int
    through_seq: int
    kept: list[tuple[int, int]]


def coverage(messages: Sequence[Message], earlier: Summary | None, plan: Plan) -> Coverage | None:
    """Return what the plan covers of the messages that no summary covers yet; `None` if nothing.

    Messages before turn 1, unfinished ones, and calls without a result stay. A call and its
    result stay together: where the plan names one of them only, both stay.
    """
    asked = {_seq(message) for message in messages if _may_go(message) and plan.covers(_seq(message))}
    covered = asked - _parted(messages, asked)
    if not covered:
        return None
    from_seq, through_seq = min(covered), max(covered)
    if earlier is not None and earlier.from_seq <= earlier.through_seq:
        from_seq, through_seq = min(from_seq, earlier.from_seq), max(through_seq, earlier.through_seq)
    left = (seq for seq in map(_seq, messages) if from_seq <= seq <= through_seq and seq not in covered)
    return Coverage(frozenset(covered), from_seq, through_seq, runs(left))


def _seq(message: Message) -> int:
    return message.seq or 0


def _may_go(message: Message) -> bool:
    return (message.turn or 0) >= 1 and message.status != "in_progress"


def _parted(messages: Sequence[Message], asked: set[int]) -> set[int]:
    """Return the messages that stay because a call or a result that belongs to them does."""
    pairs = pair(messages)
    linked: dict[int, set[int]] = {}
    for result, call in pairs.call_of.items():
        one, other = _seq(messages[result[0]]), _seq(messages[call[0]])
        linked.setdefault(one, set()).add(other)
        linked.setdefault(other, set()).add(one)
    unanswered = {_seq(messages[index]) for index, _ in pairs.unanswered}
    staying = unanswered | {seq for seq in linked if seq not in asked}
    spreading = list(staying)
    while spreading:
        more = linked.get(spreading.pop(), set()) - staying
        staying |= more
        spreading += more
    return staying
