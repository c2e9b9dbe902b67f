"""What is stored: the same messages for every system.

A message has three parts: about 1 KB of text, a tool call, and its result of 2 KB. The words
vary from message to message, so that databases compress them as they would real ones.
"""

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
"""Message n of a seeded session was written n seconds after this, and so was the n-th listed session."""

TOOL_NAME = "search_documents"

_VARIANTS = 64
_VOCABULARY = (
    "the invoice customer order shipped refund account balance yesterday region north warehouse product with "
    "and for that will not have from this report status pending error retry request response deploy service "
    "latency memory index query table column session message token summary please check again before after "
    "between because however 2024 2025 17 42 100 3.5 EUR USD path/to/file.py def return import class select "
    "where"
)
_WORDS = _VOCABULARY.split()


def _prose(size: int, seed: int) -> str:
    words = random.Random(seed)
    text = ""
    while len(text) < size:
        text += words.choice(_WORDS) + (f"{words.randrange(100_000)} " if words.random() < 0.15 else " ")
    return text[:size]


TEXTS = [_prose(1024, seed) for seed in range(_VARIANTS)]
OUTPUTS = [_prose(2048, 1000 + seed) for seed in range(_VARIANTS)]
ARGUMENTS = [{"query": _prose(60, 2000 + seed), "limit": 10, "newest_first": True} for seed in range(_VARIANTS)]
ARGUMENTS_JSON = [json.dumps(arguments, separators=(",", ":")) for arguments in ARGUMENTS]


def variant(number: int) -> int:
    """Return which of the texts the n-th message has."""
    return number % _VARIANTS


def call_id(number: int) -> str:
    """Return the tool call's id in the n-th message."""
    return f"call_{number:024d}"


def time_of(number: int) -> datetime:
    """Return when the n-th message of a seeded session was written."""
    return BEGAN + timedelta(seconds=number)


@dataclass(frozen=True)
class Contents:
    """What a database holds before anything is measured: sessions with so many messages, and empty ones to list."""

    lengths: tuple[int, ...] = ()
    listed: int = 0

    def sessions(self) -> dict[str, int]:
        """Return the sessions by id, with their number of messages."""
        return {listed(number): 0 for number in range(1, self.listed + 1)} | {long(n): n for n in self.lengths}


def long(length: int) -> str:
    """Return the id of the seeded session with so many messages."""
    return f"long-{length}"


def listed(number: int) -> str:
    """Return the id of the n-th seeded session without messages."""
    return f"listed-{number:08d}"
