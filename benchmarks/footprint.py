"""What isn't time: memory, and bytes on disk."""

from typing import ClassVar

from benchmarks import content
from benchmarks.measuring import Sample, Subject, Workload
from benchmarks.processes import peak_of_loading

_STORED = 2_000
_AT_ONCE = 100


class PeakMemory(Workload):
    """By how much a new process grows while it loads a session."""

    unit: ClassVar[str] = "MB"

    async def measure(self, subject: Subject) -> Sample:
        """Load in a process of its own."""
        grown = peak_of_loading(subject.name, subject.system.target, content.long(self.length))
        return Sample(grown / 1e6)


class BytesOnDisk(Workload):
    """What a message takes, with its indexes: of a new database, how much larger 2,000 messages make it."""

    unit: ClassVar[str] = "bytes"

    async def measure(self, subject: Subject) -> Sample:
        """Append to a new database through the API."""
        server = subject.server
        target = server.new()
        target.settle()
        other = type(subject.system)(target)
        await other.open()
        try:
            await other.make_tables()
            await other.create("only")
            before = server.size(target)
            for number in range(0, _STORED, _AT_ONCE):
                await other.append("only", number + 1, _AT_ONCE)
        finally:
            await other.close()
        after = server.size(target)
        server.drop(target)
        return Sample((after - before) / _STORED)
