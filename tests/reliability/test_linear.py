"""The checker of histories itself: it accepts what can have happened, and catches every planted anomaly."""

import math
from typing import Any

import pytest

from .history import Call, Entry, Outcome
from .linear import unexplained

A, B, C = Entry(1, "a"), Entry(2, "b"), Entry(3, "c")


def call(name: str, argument: Any, result: Any, *, at: float, to: float | None = None, **fields: Any) -> Call:
    """Return a call that took one tick, unless its end is given; its beginning tells the client."""
    return Call(int(at), name, argument, at, at + 0.5 if to is None else to, result, **fields)


def append(*ids: str, seq: int, at: float, **fields: Any) -> Call:
    batch = tuple((name, 0) for name in ids)
    return call("append", batch, tuple(range(seq, seq + len(ids))), at=at, **fields)


def read(*entries: Entry, at: float, **fields: Any) -> Call:
    return call("read", None, entries, at=at, **fields)


def pop(result: Any, at: float, **fields: Any) -> Call:
    return call("pop", None, result, at=at, **fields)


def lost(name: str, argument: Any, *, at: float, to: float = math.inf) -> Call:
    """Return a call whose outcome isn't known; without an end its process was killed."""
    return Call(int(at), name, argument, at, to)


APPENDED = [append("a", seq=1, at=1), append("b", seq=2, at=2)]

EXPLAINED: dict[str, list[Call]] = {
    "nothing": [],
    "in turn": [*APPENDED, read(A, B, at=3), pop(B, 4), read(A, at=5)],
    "concurrent appends in either order": [append("a", seq=2, at=1, to=5), append("b", seq=1, at=1.1, to=5)],
    "a read that overlaps an append sees it": [append("a", seq=1, at=1, to=5), read(A, at=2)],
    "a read that overlaps an append doesn't see it": [append("a", seq=1, at=1, to=5), read(at=2)],
    "concurrent pops": [*APPENDED, pop(A, 3, to=6), pop(B, 3.1, to=6), pop(None, 3.2, to=6)],
    "an unknown append happened": [lost("append", (("a", 0),), at=1), read(at=2), read(A, at=3)],
    "an unknown append never happened": [lost("append", (("a", 0),), at=1), append("b", seq=1, at=2)],
    "an unknown pop happened late": [*APPENDED, lost("pop", None, at=3), read(A, B, at=4), read(A, at=5)],
    "an append with an unknown outcome happened": [lost("append", (("a", 0),), at=1, to=2), read(A, at=3)],
    "an append with an unknown outcome didn't": [lost("append", (("a", 0),), at=1, to=2), read(at=3)],
    "a failed append": [call("append", (("a", 0),), Outcome.FAILED, at=1), append("b", seq=1, at=2)],
    "the same append twice": [append("a", seq=1, at=1), append("a", seq=1, at=2), read(A, at=3)],
    "a popped id again": [append("a", seq=1, at=1), pop(A, 2), append("a", seq=2, at=3)],
    "other content": [append("a", seq=1, at=1), call("append", (("a", 1),), Outcome.CONFLICT, at=2)],
    "a batch with a stored one": [append("a", seq=1, at=1), append("a", "b", seq=1, at=2), read(A, B, at=3)],
    "numbers aren't given again": [*APPENDED, call("delete", 1, 1, at=3), append("c", seq=3, at=4), read(A, C, at=5)],
    "sent twice, and popped in between": [
        append("a", seq=2, at=1, to=5, resent=True),
        pop(A, 2),
        read(Entry(2, "a"), at=6),
    ],
    "replaced": [*APPENDED, call("replace", ("a", 7), Entry(1, "a", 7), at=3), read(Entry(1, "a", 7), B, at=4)],
    "a pointer cleared when it was": [
        *APPENDED,
        call("summarize", (None, None), None, at=3, to=6),
        call("summarize", ("b", None), None, at=3.1, to=6),
        call("look", None, (2, None), at=7),
    ],
    "summaries": [
        *APPENDED,
        call("summarize", ("b", None), None, at=3),
        call("look", None, (2, "b"), at=4),
        append("c", seq=3, at=5),
        call("summarize", ("c", "a"), None, at=6),
        call("look", None, (3, "c"), at=7),
        pop(C, 8),
        call("look", None, (2, "b"), at=9),
        call("summarize", (None, None), None, at=10),
        call("look", None, (2, None), at=11),
    ],
}

ANOMALIES: dict[str, list[Call]] = {
    "a lost append": [*APPENDED, read(A, at=3)],
    "an append lost by the next one": [append("a", seq=1, at=1), append("b", seq=1, at=2)],
    "a doubled append": [append("a", seq=1, at=1), read(A, Entry(2, "a"), at=2)],
    "an append stored twice": [append("a", seq=1, at=1), append("a", seq=2, at=2)],
    "a message that nobody sent": [append("a", seq=1, at=1), read(A, B, at=2)],
    "a failed append that happened": [call("append", (("a", 0),), Outcome.FAILED, at=1), read(A, at=2)],
    "a stale read": [*APPENDED, pop(B, 3), read(A, B, at=4)],
    "a later read of an older state": [append("a", seq=1, at=1, to=9), read(A, at=2), read(at=3)],
    "a read of the future": [read(A, at=1), append("a", seq=1, at=2)],
    "numbers against time": [append("a", seq=2, at=1), append("b", seq=1, at=2)],
    "a gap": [append("a", seq=1, at=1), append("b", seq=3, at=2)],
    "a number given twice": [*APPENDED, pop(B, 3), append("c", seq=2, at=4)],
    "a reordered read": [*APPENDED, read(B, A, at=3)],
    "a torn batch": [append("a", "b", seq=1, at=1, to=5), read(A, at=2)],
    "another one inside a batch": [
        call("append", (("a", 0), ("b", 0)), (1, 3), at=1, to=5),
        append("c", seq=2, at=2),
    ],
    "a message without its last part": [append("a", seq=1, at=1), read(Entry(1, "a", -1), at=2)],
    "a double pop": [*APPENDED, pop(B, 3, to=6), pop(B, 3.1, to=6)],
    "a pop of another one than the last": [*APPENDED, pop(A, 3)],
    "a pop that left the message": [*APPENDED, pop(B, 3), read(A, B, at=4)],
    "an unknown pop before it was asked": [*APPENDED, read(A, at=3), lost("pop", None, at=4)],
    "an unknown append that happened after its end": [
        lost("append", (("a", 0),), at=1, to=2),
        read(at=3),
        read(A, at=4),
    ],
    "an unknown pop, twice": [*APPENDED, lost("pop", None, at=3), read(at=4)],
    "a delete that took too much": [*APPENDED, call("delete", 1, 1, at=3), read(at=4)],
    "a wrong count of deleted ones": [*APPENDED, call("delete", 0, 1, at=3), read(at=4)],
    "a replacement undone": [*APPENDED, call("replace", ("a", 7), Entry(1, "a", 7), at=3), read(A, B, at=4)],
    "two replacements, and the reads disagree": [
        append("a", seq=1, at=1),
        call("replace", ("a", 1), Entry(1, "a", 1), at=2, to=9),
        call("replace", ("a", 2), Entry(1, "a", 2), at=2.1, to=9),
        read(Entry(1, "a", 1), at=3),
        read(Entry(1, "a", 2), at=4),
        read(Entry(1, "a", 1), at=5),
    ],
    "sent twice, three times stored": [
        append("a", seq=3, at=1, to=7, resent=True),
        pop(A, 2),
        pop(Entry(2, "a"), 3),
        read(Entry(3, "a"), at=8),
    ],
    "a counter that is off": [*APPENDED, call("look", None, (1, None), at=3)],
    "a summary of a dead message": [
        *APPENDED,
        call("summarize", ("b", None), None, at=3),
        pop(B, 4),
        call("look", None, (1, "b"), at=5),
    ],
    "a summary lost": [*APPENDED, call("summarize", ("b", None), None, at=3), call("look", None, (2, None), at=4)],
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_possible(name: str) -> None:
    """A history that can have happened has an explanation."""
    assert unexplained(EXPLAINED[name]) is None


@pytest.mark.parametrize("name", ANOMALIES)
def test_anomaly(name: str) -> None:
    """An anomaly has none, and the report names what doesn't fit."""
    report = unexplained(ANOMALIES[name])
    assert report is not None
    assert "should give" in report
