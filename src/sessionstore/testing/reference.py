"""The law of one conversation in plain Python: what any sequence of writes has to lead to."""

from dataclasses import dataclass, field, replace

from sessionstore.models import Message, ToolResultPart
from sessionstore.testing.build import TOKENS


@dataclass(frozen=True)
class Entry:
    """A message as far as the law goes: its id, place and turn, and what counts."""

    id: str
    role: str
    has_result: bool
    usage: tuple[int, ...]
    seq: int = 0
    turn: int = 0

    @property
    def starts_turn(self) -> bool:
        return self.role == "user" and not self.has_result

    def message(self, session_id: str) -> Message:
        """Return the message to save."""
        results = [ToolResultPart(tool_call_id="c", tool_name="t", output="o")] if self.has_result else []
        fields = {"id": self.id, "session_id": session_id, "role": self.role, "parts": results}
        return Message.model_validate({**fields, "usage": dict(zip(TOKENS, self.usage, strict=True))})

    @classmethod
    def of(cls, message: Message) -> "Entry":
        """Return the entry that a stored message is."""
        usage = tuple((message.usage or {}).get(name, 0) for name in TOKENS)
        results = bool(message.get_tool_results())
        return cls(message.id, message.role, results, usage, message.seq or 0, message.turn or 0)


@dataclass
class Law:
    """A conversation that keeps the law."""

    entries: list[Entry] = field(default_factory=list[Entry])
    last_seq: int = 0
    extra: tuple[int, ...] = (0,) * len(TOKENS)

    def append(self, entry: Entry) -> None:
        if entry.id not in [known.id for known in self.entries]:
            self.last_seq += 1
            self.entries.append(replace(entry, seq=self.last_seq))
            self._number()

    def replace(self, entry: Entry) -> None:
        self.entries = [replace(entry, seq=known.seq) if known.id == entry.id else known for known in self.entries]
        self._number()

    def keep(self, count: int) -> int:
        gone = len(self.entries) - count
        del self.entries[count:]
        return max(gone, 0)

    def add_usage(self, usage: tuple[int, ...]) -> None:
        self.extra = tuple(a + b for a, b in zip(self.extra, usage, strict=True))

    def totals(self) -> dict[str, int]:
        """Return the session's counters that aren't 0."""
        columns = zip(self.extra, *(entry.usage for entry in self.entries), strict=True)
        counts = {"message_count": len(self.entries), **dict(zip(TOKENS, map(sum, columns), strict=True))}
        return {name: count for name, count in counts.items() if count}

    def _number(self) -> None:
        turn = 0
        for position, entry in enumerate(self.entries):
            turn += entry.starts_turn
            self.entries[position] = replace(entry, turn=turn)
