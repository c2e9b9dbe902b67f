"""sessionstore, through its public API: models in, models out."""

from typing import ClassVar

from benchmarks import content
from benchmarks.systems.own_tables import OwnTables
from benchmarks.target import POOL
from sessionstore import Message, SQLSessionStore


def message_of(session: str, number: int) -> Message:
    """Return the n-th message."""
    v, call = content.variant(number), content.call_id(number)
    message = Message(session_id=session, role="assistant")
    message.add_text(content.TEXTS[v])
    message.add_tool_call(call, content.TOOL_NAME, content.ARGUMENTS[v])
    message.add_tool_result(call, content.TOOL_NAME, content.OUTPUTS[v])
    return message


class FromUrl(OwnTables):
    """On the engine that `from_url` makes."""

    name: ClassVar[str] = "sessionstore"
    distributions: ClassVar[tuple[str, ...]] = ("sessionstore", "sqlalchemy", "pydantic")

    async def connect(self) -> None:
        """Make the store."""
        self._store = SQLSessionStore.from_url(self.target.url(), engine_kwargs=POOL)

    async def disconnect(self) -> None:
        """Dispose of its engine."""
        await self._store.close()

    async def append(self, session: str, number: int, count: int) -> None:
        """Save one message, or a batch."""
        if count == 1:
            await self._store.save_message(message_of(session, number))
        else:
            await self._store.save_messages([message_of(session, number + n) for n in range(count)])

    async def load(self, session: str) -> int:
        """Read all messages."""
        return len(await self._store.get_messages(session))

    async def last(self, session: str, limit: int) -> int:
        """Read the latest messages."""
        return len(await self._store.get_messages(session, limit=limit))

    async def after(self, session: str, number: int, limit: int) -> int:
        """Read what comes after a `seq`."""
        return len(await self._store.get_messages_after(session, number, limit=limit))

    async def page(self, limit: int) -> int:
        """List the sessions that aren't archived."""
        return len(await self._store.list_sessions(archived=False, limit=limit))


class OnHostEngine(FromUrl):
    """On an engine that the application made."""

    name: ClassVar[str] = "sessionstore, the host's engine"

    async def connect(self) -> None:
        """Make the engine, and the store on it."""
        self._engine = self.target.engine()
        self._store = SQLSessionStore(self._engine)

    async def disconnect(self) -> None:
        """Dispose of the engine."""
        await self._engine.dispose()
