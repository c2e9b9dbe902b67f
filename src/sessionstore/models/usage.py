"""Token counts: which keys of a provider's usage dict are recognised, and what they add up to."""

from collections.abc import Mapping
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from sessionstore.models.base import Count, Text

MAX_TOKENS = 2**53
"""The largest count that one message or call may report, so that sums stay within 64-bit integers."""

MAX_TOTAL = 2**62
"""The largest total that a session may be given."""

_NAMES: dict[str, tuple[str, ...]] = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "total_tokens": ("total_tokens",),
    "cache_read_tokens": ("cache_read_tokens",),
    "cache_write_tokens": ("cache_write_tokens",),
    "reasoning_tokens": ("reasoning_tokens",),
}

TOKEN_FIELDS = tuple(_NAMES)
"""The six counters that messages, turns and sessions have."""


class Tokens(NamedTuple):
    """The six counts, in the order of `TOKEN_FIELDS`."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def plus(self, other: "Tokens") -> "Tokens":
        """Return the sums, count by count."""
        return Tokens(*(a + b for a, b in zip(self, other, strict=True)))

    def minus(self, other: "Tokens") -> "Tokens":
        """Return the differences, count by count."""
        return Tokens(*(a - b for a, b in zip(self, other, strict=True)))


NO_TOKENS = Tokens()


def count_tokens(usage: Mapping[str, int] | None) -> Tokens:
    """Return the recognised counts of a usage dict.

    `prompt_tokens` and `completion_tokens` are other names for `input_tokens` and
    `output_tokens`; `total_tokens` is their sum unless it is given. Other keys don't count.
    """
    if not usage:
        return NO_TOKENS
    counts = {field: next((usage[name] for name in names if name in usage), None) for field, names in _NAMES.items()}
    if counts["total_tokens"] is None:
        counts["total_tokens"] = (counts["input_tokens"] or 0) + (counts["output_tokens"] or 0)
    return Tokens(*(counts[field] or 0 for field in TOKEN_FIELDS))


def _check_counts(usage: dict[str, int]) -> dict[str, int]:
    for names in _NAMES.values():
        for name in names:
            if not -MAX_TOKENS <= usage.get(name, 0) <= MAX_TOKENS:
                raise ValueError(f"{name} is beyond {MAX_TOKENS}: not a count of tokens")
    return usage


Usage = Annotated[dict[Text, Count], AfterValidator(_check_counts)]
"""A provider's usage as a dict of ints; `count_tokens` says which keys count."""
