"""What is measured: one small adapter a system, each in a file of its own under `systems/`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from benchmarks.content import Contents
from benchmarks.target import FAMILIES, Target


class System(ABC):
    """A store of conversations, as its users would use it.

    A message is what `benchmarks.content` says. What a system can't do is named in `cannot`
    and left blank: nothing is emulated on top of it.
    """

    name: ClassVar[str]
    """The column's heading."""

    tables: ClassVar[str]
    """Whose tables these are: systems on the same ones are seeded once, and each gets a copy."""

    distributions: ClassVar[tuple[str, ...]] = ()
    """The packages whose versions are reported."""

    families: ClassVar[tuple[str, ...]] = FAMILIES

    cannot: ClassVar[Mapping[str, str]] = {}
    """What it can't do, by the name of the method here, and why."""

    remarks: ClassVar[Mapping[str, str]] = {}
    """What it does in another way, by the name of the method here."""

    longest: ClassVar[int | None] = None
    """The longest session that is worth the time; `too_long` says why."""

    too_long: ClassVar[str] = ""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.crowded = False
        """Whether several tasks use it at once: then a raw driver takes its connections from a pool."""

    @abstractmethod
    async def open(self) -> None:
        """Connect to the database."""

    async def make_tables(self) -> None:  # noqa: B027 - some systems do it as they connect
        """Make the tables in a new database."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnect."""

    @abstractmethod
    async def seed(self, contents: Contents) -> None:
        """Fill the empty tables, by the fastest way there is."""

    async def create(self, session: str) -> None:  # noqa: B027 - some systems do it with the first message
        """Create a session; not measured."""

    @abstractmethod
    async def append(self, session: str, number: int, count: int) -> None:
        """Append `count` messages, the first of them with the `number`-th content, in one transaction."""

    @abstractmethod
    async def load(self, session: str) -> int:
        """Read all messages, and return how many there are."""

    async def last(self, session: str, limit: int) -> int:
        """Read the latest messages, and return how many there are."""
        raise NotImplementedError

    async def after(self, session: str, number: int, limit: int) -> int:
        """Read what comes after the `number`-th message, and return how many there are."""
        raise NotImplementedError

    async def page(self, limit: int) -> int:
        """Read the most recently used sessions, and return how many there are."""
        raise NotImplementedError

    async def count(self, session: str) -> int:
        """Count the messages that are stored; not measured."""
        return await self.load(session)

    @classmethod
    def refuses(cls, call: str, length: int) -> str | None:
        """Return why a workload is left blank, or `None`."""
        if cls.longest is not None and length > cls.longest and call not in cls.cannot:
            return cls.too_long
        return cls.cannot.get(call)
