"""sessionstore in the place of openai-agents' session: the same items in, the same out."""

from typing import ClassVar

from benchmarks.systems.openai_agents import ITEMS, items_of
from benchmarks.systems.sessionstore import FromUrl
from sessionstore.adapters.openai_agents import SQLSession


class AsSession(FromUrl):
    """`SQLSession`, on the engine that `from_url` makes; one object a session, kept."""

    name: ClassVar[str] = "sessionstore, as openai-agents' session"
    distributions: ClassVar[tuple[str, ...]] = ("sessionstore", "openai-agents")
    cannot: ClassVar[dict[str, str]] = {
        "after": "items have no ids or numbers to continue behind",
        "page": "sessions can't be listed",
    }
    remarks: ClassVar[dict[str, str]] = {
        "append": "a message is three items, which are three messages here, added in one call and one transaction",
        "load": "seeded messages have three parts, and are read as three items each",
    }

    async def connect(self) -> None:
        """Make the store."""
        await super().connect()
        self._objects: dict[str, SQLSession] = {}

    def _session(self, session: str) -> SQLSession:
        if session not in self._objects:
            self._objects[session] = SQLSession(session, store=self._store)
        return self._objects[session]

    async def append(self, session: str, number: int, count: int) -> None:
        """Add the items of the messages in one call."""
        items = [item for n in range(count) for item in items_of(number + n)]
        await self._session(session).add_items(items)

    async def load(self, session: str) -> int:
        """Get all items."""
        return len(await self._session(session).get_items()) // ITEMS

    async def last(self, session: str, limit: int) -> int:
        """Get the latest items."""
        return len(await self._session(session).get_items(limit=limit * ITEMS)) // ITEMS

    async def count(self, session: str) -> int:
        """Count the messages that are stored; not measured."""
        return await super().count(session) // ITEMS
