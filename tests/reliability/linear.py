"""Whether a history is one that a session could have had: the search of Wing and Gong, with Lowe's memory.

Each call must take effect at one moment between its beginning and its end, in one order that
explains every result. A lost or doubled append, a stale or torn read, a pop that gives what
another one gave, a `seq` against the order of time: none has such an order.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from .history import STEPS, Call, Outcome, State

_Place = tuple[State, int, int]
"""A place in the search: the state, and which calls have taken effect, and which of them once already."""

_PLACES = 300_000
"""How many places the search sees before it gives up: some seconds."""


def unexplained(calls: Sequence[Call]) -> str | None:
    """Return `None` when some order explains all results, else where the longest explanation ends.

    Calls that failed took no effect. Those whose outcome isn't known took effect before they
    ended, if they did, or never. Those that may have been sent twice may have taken effect twice.
    """
    report = _search([replace(call, resent=False) for call in calls])
    return _search(calls) if report is not None and any(call.resent for call in calls) else report


def _search(calls: Sequence[Call]) -> str | None:
    history = sorted((call for call in calls if call.result is not Outcome.FAILED), key=lambda call: call.invoked)
    required = sum(1 << number for number, call in enumerate(history) if call.returned < math.inf)
    furthest = start = (State(), 0, 0)
    seen = {start}
    stack = [start]
    while stack:
        place = stack.pop()
        if not required & ~place[1]:
            return None
        furthest = max(furthest, place, key=lambda it: (it[1] & required).bit_count())
        for following in _following(history, place):
            if following not in seen:
                seen.add(following)
                stack.append(following)
        if len(seen) > _PLACES:
            return f"too many places to look at; {_where(history, furthest)}"
    return _where(history, furthest)


def _candidates(history: Sequence[Call], done: int) -> list[int]:
    """Return the calls that may be next: those that began before every other one that is left had ended."""
    found: list[int] = []
    deadline = math.inf
    for number, call in enumerate(history):
        if call.invoked > deadline:
            break
        if not done >> number & 1:
            found.append(number)
            deadline = min(deadline, call.returned)
    return [number for number in found if history[number].invoked <= deadline]


def _following(history: Sequence[Call], place: _Place) -> Iterator[_Place]:
    """Give the places that one more call leads to; only one of them when nothing is lost by going there."""
    state, done, sent = place
    found: list[_Place] = []
    for number in _candidates(history, done):
        call, bit = history[number], 1 << number
        after, result = STEPS[call.name](state, call.argument)
        if result == call.result:
            found.append((after, done | bit, sent))
            if after == state and _never_changes(call):
                yield found[-1]
                return
        elif call.result is Outcome.UNKNOWN:
            found += ((after, done | bit, sent), (state, done | bit, sent))
        if call.resent and not sent & bit and after != state:
            found.append((after, done, sent | bit))
    yield from found


def _never_changes(call: Call) -> bool:
    """Whether a call with this result took no effect, or would give another one where it takes effect."""
    return call.name not in ("replace", "summarize") or call.result is Outcome.MISSING


def _where(history: Sequence[Call], place: _Place) -> str:
    state, done, _ = place
    lines = [
        f"{done.bit_count()} of {len(history)} calls have an order; then there is {state}, and none of these fits:"
    ]
    for number in _candidates(history, done):
        call = history[number]
        if call.result is not Outcome.UNKNOWN:
            lines.append(f"  {call}, and should give {STEPS[call.name](state, call.argument)[1]!r}")
    return "\n".join(lines)
