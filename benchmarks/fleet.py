"""The systems of one run, each on a database of its own with the same contents."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from benchmarks.content import Contents
from benchmarks.servers import Server
from benchmarks.system import System
from benchmarks.systems import system_class
from benchmarks.target import Target


@dataclass
class Fleet:
    """Adapters by name for one family of databases, and where their databases are."""

    server: Server
    family: str
    systems: dict[str, type[System]] = field(default_factory=dict[str, type[System]])
    targets: dict[str, Target] = field(default_factory=dict[str, Target])
    missing: dict[str, str] = field(default_factory=dict[str, str])
    """What was left out as it isn't installed, and the module that is missing."""

    @classmethod
    def of(cls, server: Server, family: str, names: Iterable[str]) -> "Fleet":
        """Return those systems that are installed and work on the family."""
        fleet = cls(server, family)
        for name in names:
            try:
                found = system_class(name, family)
            except ImportError as error:
                fleet.missing[name] = error.name or str(error)
            else:
                if found is not None:
                    fleet.systems[name] = found
        return fleet

    async def seed(self, contents: Contents) -> None:
        """Make each system's database; systems on the same tables get copies of one."""
        seeded: dict[str, Target] = {}
        for name, kind in self.systems.items():
            if kind.tables not in seeded:
                seeded[kind.tables] = await self.prepared(kind, contents)
                self.targets[name] = seeded[kind.tables]
        for name, kind in self.systems.items():
            if name not in self.targets:
                self.targets[name] = self.server.copy(seeded[kind.tables])

    async def prepared(self, kind: type[System], contents: Contents) -> Target:
        """Return a new database with the system's tables and contents."""
        target = self.server.new()
        target.settle()
        system = kind(target)
        await system.open()
        try:
            await system.make_tables()
            await system.seed(contents)
        finally:
            await system.close()
        self.server.settled(target)
        return target

    @asynccontextmanager
    async def opened(self, *, durable: bool) -> AsyncIterator[dict[str, System]]:
        """Give all systems, connected, with commits that wait for the disk or don't."""
        opened: dict[str, System] = {}
        try:
            for name, kind in self.systems.items():
                target = self.server.with_durability(self.targets[name], durable=durable)
                target.settle()
                opened[name] = kind(target)
                await opened[name].open()
            yield opened
        finally:
            for system in opened.values():
                await system.close()

    def drop(self) -> None:
        """Remove the databases."""
        for target in self.targets.values():
            self.server.drop(target)
