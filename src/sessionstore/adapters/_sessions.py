"""One session of a store, as the adapters use it that keep a framework's message history."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from sqlalchemy.engine import URL

from sessionstore.adapters._stores import Store, checked
from sessionstore.models import Message
from sessionstore.sql.store import SQLSessionStore


class StoredSession:
    """A session that is made with its first messages, in a store that is somebody's or its own."""

    def __init__(self, store: Store, session_id: str) -> None:
        self.store = checked(store)
        self._conversation = self.store.conversation(session_id)
        self.session_id = self._conversation.session_id
        self._owned: SQLSessionStore | None = None
        self._create_tables = False

    @classmethod
    def from_url(
        cls, session_id: str, url: str | URL, *, create_tables: bool, engine_kwargs: Mapping[str, Any] | None
    ) -> Self:
        """Return a session in a store of its own, which `close` closes; `create_tables` upgrades it at first use."""
        store = SQLSessionStore.from_url(url, engine_kwargs=engine_kwargs)
        session = cls(store, session_id)
        session._owned = store
        session._create_tables = create_tables
        return session

    async def close(self) -> None:
        """Dispose of the engine, if `from_url` made it."""
        if self._owned is not None:
            await self._owned.close()

    async def append(self, messages: Sequence[Message]) -> None:
        """Append messages, all or none, and make the session if it isn't there."""
        await self._ready()
        await self.store.save_messages_anyway(messages)

    async def context(self, limit: int | None = None) -> list[Message]:
        """Return what the model is to see: all messages, or a compaction's summary and what it doesn't cover.

        With a limit it is made of the latest so many stored ones.
        """
        await self._ready()
        return await self._conversation.context(as_stored=True, limit=limit)

    async def clear(self) -> None:
        """Delete the session's messages."""
        await self._ready()
        await self.store.delete_messages(self.session_id)

    async def _ready(self) -> None:
        if self._create_tables and self._owned is not None:
            await self._owned.upgrade()  # many at once are safe, in this process and others: one does it
            self._create_tables = False


class History:
    """What an adapter's message history has in common: the session that it is kept in."""

    _session: StoredSession

    def __init__(self, *, session_id: str, store: Store) -> None:
        self._session = StoredSession(store, session_id)

    @classmethod
    def from_url(
        cls,
        session_id: str,
        *,
        url: str | URL,
        create_tables: bool = False,
        engine_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return a history with an engine of its own, which closing it disposes of.

        `create_tables` brings the tables up to date with the first call. Many sessions share a store better.
        """
        session = StoredSession.from_url(session_id, url, create_tables=create_tables, engine_kwargs=engine_kwargs)
        history = cls(session_id=session_id, store=session.store)
        history._session = session
        return history

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self._session.session_id
