"""openai-agents: a session is a list of Responses items, and a message is three of them."""

import json
from abc import abstractmethod
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

from agents.extensions.memory import SQLAlchemySession
from agents.memory import SQLiteSession

from benchmarks import content
from benchmarks.content import Contents
from benchmarks.system import System
from benchmarks.target import Rows

ITEMS = 3
"""How many a message is."""


def items_of(number: int) -> list[Any]:
    """Return the n-th message: the text, the call, and its output."""
    v, call = content.variant(number), content.call_id(number)
    text = {"type": "output_text", "text": content.TEXTS[v], "annotations": []}
    return [
        {"id": f"msg_{number}", "type": "message", "role": "assistant", "status": "completed", "content": [text]},
        {
            "type": "function_call",
            "call_id": call,
            "name": content.TOOL_NAME,
            "arguments": content.ARGUMENTS_JSON[v],
        },
        {"type": "function_call_output", "call_id": call, "output": content.OUTPUTS[v]},
    ]


class _ItemSessions(System):
    """What the two session classes have in common."""

    distributions: ClassVar[tuple[str, ...]] = ("openai-agents",)
    cannot: ClassVar[dict[str, str]] = {
        "after": "items have no ids or numbers to continue behind",
        "page": "sessions can't be listed",
    }
    remarks: ClassVar[dict[str, str]] = {"append": "a message is three items, added in one call and one transaction"}

    @abstractmethod
    def _session(self, session: str) -> Any:
        """Return the object for a session."""

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

    async def seed(self, contents: Contents) -> None:
        """Insert sessions and items."""
        sessions = contents.sessions()
        await self.target.insert(
            Rows("agent_sessions", ("session_id", "created_at", "updated_at"), self._session_rows(sessions)),
            Rows("agent_messages", ("session_id", "message_data", "created_at"), self._item_rows(sessions)),
        )

    def _session_rows(self, sessions: dict[str, int]) -> Iterator[tuple[Any, ...]]:
        for session in sessions:
            yield session, self._time(content.BEGAN), self._time(content.BEGAN)

    def _item_rows(self, sessions: dict[str, int]) -> Iterator[tuple[Any, ...]]:
        for session, length in sessions.items():
            for number in range(1, length + 1):
                for item in items_of(number):
                    yield session, json.dumps(item, separators=(",", ":")), self._time(content.time_of(number))

    def _time(self, time: datetime) -> Any:
        """Return a time as `CURRENT_TIMESTAMP` gives it."""
        return f"{time:%Y-%m-%d %H:%M:%S}" if self.target.family == "sqlite" else time.replace(tzinfo=None)


class SQLAlchemySessions(_ItemSessions):
    """`SQLAlchemySession`, on the application's engine; one object a session, kept."""

    name: ClassVar[str] = "openai-agents SQLAlchemySession"
    tables: ClassVar[str] = "openai-sqlalchemy"

    async def open(self) -> None:
        """Make the engine."""
        self._engine = self.target.engine()
        self._objects: dict[str, SQLAlchemySession] = {}

    async def make_tables(self) -> None:
        """Create the tables."""
        await SQLAlchemySession("tables", engine=self._engine, create_tables=True).get_items(limit=1)

    async def close(self) -> None:
        """Dispose of the engine."""
        await self._engine.dispose()

    def _session(self, session: str) -> SQLAlchemySession:
        if session not in self._objects:
            self._objects[session] = SQLAlchemySession(session, engine=self._engine)
        return self._objects[session]

    async def create(self, session: str) -> None:
        """Make the object, whose tables' definition is costly; its row comes with the first item."""
        self._session(session)


class SQLiteSessions(_ItemSessions):
    """`SQLiteSession`: `sqlite3` in threads."""

    name: ClassVar[str] = "openai-agents SQLiteSession"
    tables: ClassVar[str] = "openai-sqlite"
    families: ClassVar[tuple[str, ...]] = ("sqlite",)

    async def open(self) -> None:
        """Do nothing: each session connects, and creates the tables if there are none."""
        self._objects: dict[str, SQLiteSession] = {}

    async def make_tables(self) -> None:
        """Create the tables."""
        self._session("tables")

    async def close(self) -> None:
        """Close each session's connections."""
        for session in self._objects.values():
            session.close()

    def _session(self, session: str) -> SQLiteSession:
        if session not in self._objects:
            self._objects[session] = SQLiteSession(session, self.target.location)
        return self._objects[session]

    async def create(self, session: str) -> None:
        """Make the object, which opens a connection; its row comes with the first item."""
        self._session(session)
