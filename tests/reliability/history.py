"""Calls on one session and what came of them; and what a session is, as a model without a database."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple


class Outcome(Enum):
    """What came of a call that returned no value."""

    MISSING = "MessageNotFound"
    CONFLICT = "MessageConflict"
    FAILED = "failed, nothing was changed"
    UNKNOWN = "failed or never returned, and may have been applied"


@dataclass(frozen=True)
class Call:
    """A call of one client: what was asked, when, and what came of it.

    `resent`: the store may have sent it twice, since the connection was lost while it ran.
    """

    client: int
    name: str
    argument: Any
    invoked: float
    returned: float = math.inf
    result: Any = Outcome.UNKNOWN
    resent: bool = False

    def __str__(self) -> str:
        return f"client {self.client}: {self.name}({self.argument!r}) gave {self.result!r}"


class Entry(NamedTuple):
    """A stored message; its content is a version of it."""

    seq: int
    id: str
    version: int = 0


class Record(NamedTuple):
    """A summary record, in force when it is the newest active one."""

    message_id: str
    first: int
    through: int
    at_seq: int
    active: bool = True


@dataclass(frozen=True)
class State:
    """A session."""

    entries: tuple[Entry, ...] = ()
    last_seq: int = 0
    records: tuple[Record, ...] = ()

    def find(self, id: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.id == id), None)

    def behind(self, seq: int) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.seq > seq)

    def keep(self, seq: int) -> "State":
        return replace(
            self,
            entries=tuple(entry for entry in self.entries if entry.seq <= seq),
            records=tuple(record for record in self.records if record.at_seq <= seq),
        )


Step = tuple[State, Any]
"""The state after a call, and what the call returns."""


def _append(state: State, batch: tuple[tuple[str, int], ...]) -> Step:
    """Append the (id, version) pairs that aren't there; return all `seq`s."""
    found = {name: state.find(name) for name, _ in batch}
    known = zip(batch, found.values(), strict=True)
    if any(entry is not None and entry.version != version for (_, version), entry in known):
        return state, Outcome.CONFLICT
    new = [pair for pair in batch if found[pair[0]] is None]
    added = [Entry(seq, *pair) for seq, pair in enumerate(new, state.last_seq + 1)]
    seqs = {entry.id: entry.seq for entry in (*found.values(), *added) if entry is not None}
    after = replace(state, entries=(*state.entries, *added), last_seq=state.last_seq + len(added))
    return after, tuple(seqs[name] for name, _ in batch)


def _pop(state: State, _argument: None) -> Step:
    if not state.entries:
        return state, None
    return state.keep(state.entries[-1].seq - 1), state.entries[-1]


def _delete(state: State, place: int | str | None) -> Step:
    """Delete what is behind a place; return how many went."""
    seq = _seq_of(state, -1 if place is None else place)
    if seq is None:
        return state, Outcome.MISSING
    gone = len(state.behind(seq))
    return (state.keep(seq), gone) if gone else (state, 0)


def _replace(state: State, new: tuple[str, int]) -> Step:
    old = state.find(new[0])
    if old is None:
        return state, Outcome.MISSING
    entry = old._replace(version=new[1])
    return replace(state, entries=tuple(entry if each is old else each for each in state.entries)), entry


def _summarize(state: State, argument: tuple[str | None, str | None]) -> Step:
    """Point at a summary that covers what stands before it, or up to a message; `None` clears the pointer."""
    message_id, covers_through = argument
    if message_id is None:
        return replace(state, records=tuple(record._replace(active=False) for record in state.records)), None
    summary = state.find(message_id)
    through = summary if covers_through is None else state.find(covers_through)
    if summary is None or through is None:
        return state, Outcome.MISSING
    covered = (message_id, state.entries[0].seq, through.seq - (covers_through is None))
    newest = _in_force(state)
    if newest is not None and newest[:3] == covered:
        return state, None
    return replace(state, records=(*state.records, Record(*covered, at_seq=state.entries[-1].seq))), None


def _read(state: State, limit: int | None) -> Step:
    return state, state.entries[-limit:] if limit else state.entries


def _read_after(state: State, place: int | str) -> Step:
    seq = _seq_of(state, place)
    return state, Outcome.MISSING if seq is None else state.behind(seq)


def _look(state: State, _argument: None) -> Step:
    """Return the number of messages and the pointer, as the session's metadata have them."""
    newest = _in_force(state)
    return state, (len(state.entries), None if newest is None else newest.message_id)


def _in_force(state: State) -> Record | None:
    return next((record for record in reversed(state.records) if record.active), None)


def _seq_of(state: State, place: int | str) -> int | None:
    if isinstance(place, int):
        return place
    entry = state.find(place)
    return None if entry is None else entry.seq


STEPS: dict[str, Callable[[State, Any], Step]] = {
    "append": _append,
    "pop": _pop,
    "delete": _delete,
    "replace": _replace,
    "summarize": _summarize,
    "read": _read,
    "read after": _read_after,
    "look": _look,
}
"""What each call does to a session, and what it returns."""
