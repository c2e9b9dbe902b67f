"""A compaction record: which messages it covers, and the message that stands in for them."""

from collections.abc import Iterable

from pydantic import Field

from sessionstore.models.base import CleanText, Count, Id, Metadata, Model, UTCDatetime, utcnow


class Summary(Model):
    """A record of one compaction; the transcript itself stays whole.

    It covers the messages from `from_seq` through `through_seq`, but for the `kept` ranges
    inside, and was made when the transcript ended at `at_seq`. The newest active one is in force.
    """

    number: Count
    message_id: Id | None = None
    from_seq: Count
    through_seq: Count
    kept: list[tuple[Count, Count]] = Field(default_factory=list[tuple[Count, Count]])
    at_seq: Count
    active: bool = True
    strategy: CleanText
    trigger: CleanText
    tokens_before: Count | None = None
    tokens_after: Count | None = None
    details: Metadata = Field(default_factory=dict)
    created_at: UTCDatetime = Field(default_factory=utcnow)

    def covers(self, seq: int) -> bool:
        """Whether the message with this `seq` is covered."""
        return self.from_seq <= seq <= self.through_seq and not any(first <= seq <= last for first, last in self.kept)

    @property
    def place(self) -> int:
        """The first `seq` that is covered: the summary stands there in the context."""
        seq = self.from_seq
        for first, last in sorted(self.kept):
            seq = last + 1 if first <= seq <= last else seq
        return seq


def runs(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Return the numbers as ranges of consecutive ones, as `Summary.kept` has them."""
    ranges: list[tuple[int, int]] = []
    for seq in sorted(seqs):
        if ranges and ranges[-1][1] == seq - 1:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return ranges
