"""Which result answers which tool call.

Ids of calls repeat, so a result answers the latest unanswered call with its id before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sessionstore.models import Message, ToolCallPart, ToolResultPart

Place = tuple[int, int]
"""A part, as the index of its message and its own in that."""

INTERRUPTED = "interrupted"
"""What is said of a call without a result, unless the caller knows better."""


@dataclass(frozen=True)
class Pairs:
    """The calls and results of some messages."""

    call_of: dict[Place, Place] = field(default_factory=dict[Place, Place])
    """For each result that answers a call, that call."""

    unanswered: list[Place] = field(default_factory=list[Place])
    orphans: set[Place] = field(default_factory=set[Place])
    """Results without a call."""


def pair(messages: Sequence[Message]) -> Pairs:
    """Return which result answers which call."""
    pairs = Pairs()
    waiting: dict[str, list[Place]] = {}
    for index, message in enumerate(messages):
        for position, part in enumerate(message.parts):
            if isinstance(part, ToolCallPart):
                waiting.setdefault(part.tool_call_id, []).append((index, position))
            elif isinstance(part, ToolResultPart):
                calls = waiting.get(part.tool_call_id)
                if calls:
                    pairs.call_of[index, position] = calls.pop()
                else:
                    pairs.orphans.add((index, position))
    pairs.unanswered.extend(sorted(place for calls in waiting.values() for place in calls))
    return pairs


def answer(call: ToolCallPart, reason: str) -> ToolResultPart:
    """Return the result of a call that has none, which says so."""
    return ToolResultPart(
        tool_call_id=call.tool_call_id,
        tool_name=call.tool_name,
        output="This tool call has no result.",
        error=reason,
    )
