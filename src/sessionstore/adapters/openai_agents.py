"""The OpenAI Agents SDK's session: the items of its runs, one message each.

It stands where `SQLAlchemySession` stood, and takes the same arguments:

```python
from sessionstore.adapters.openai_agents import SQLSession

session = SQLSession.from_url("user-123", url="postgresql+asyncpg://app@db/agents", create_tables=True)
await Runner.run(agent, "Hello", session=session)
```
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypedDict, cast

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import Unpack, override

from sessionstore.adapters._extras import missing
from sessionstore.adapters._items import last_item, latest_items, named_in, objects
from sessionstore.adapters._stores import Closing, Store, checked
from sessionstore.compaction import Strategy
from sessionstore.conversation import Conversation
from sessionstore.errors import CompactionConflict, InvalidValue, SessionNotFound
from sessionstore.formats.openai_responses import message_of_item
from sessionstore.models import Message
from sessionstore.sql.store import BoundSessionStore, SQLSessionStore

try:
    from agents import RunContextWrapper
    from agents.items import TResponseInputItem
    from agents.memory import OpenAIResponsesCompactionArgs, SessionABC, SessionSettings
    from agents.memory.openai_responses_compaction_session import (
        default_should_trigger_compaction,
        select_compaction_candidate_items,
    )
    from agents.memory.session_settings import coerce_session_settings, resolve_session_limit
except ImportError as error:
    raise missing("openai-agents", error) from error

logger = logging.getLogger("sessionstore")

_THEIR_TABLES = {"sessions_table": "agent_sessions", "messages_table": "agent_messages"}

_HOOKS = ("_serialize_item", "_deserialize_item")
"""What the SDK's session lets a subclass override, to encrypt items, say. Here they are no text, but typed columns."""


class Options(TypedDict, total=False):
    """What `SQLSession.from_url` hands on to the constructor."""

    create_tables: bool
    sessions_table: str
    messages_table: str
    ensure_ascii: bool
    compaction: Strategy | None
    should_trigger_compaction: Callable[[dict[str, Any]], bool]


class SQLSession(Closing, SessionABC):
    """A conversation of the OpenAI Agents SDK, in a store or on an engine of the application's.

    Items come back as they were added, key order included. Each is one message; text, images, tool calls,
    their outputs and reasoning are typed parts, whatever else there is a raw one. What others wrote into the
    session comes out as items too. The session is made with its first items. On a bound store everything
    happens inside the caller's transaction.

    `create_tables` brings the tables up to date with the first call. They have names of their own, so
    `sessions_table` and `messages_table` may only be the SDK's; items are stored as they are, whatever
    `ensure_ascii` says.

    `compaction` is a strategy of `sessionstore.compaction`. With it the SDK's runner has the conversation
    compacted after a run for which `should_trigger_compaction` says so (see `run_compaction`).
    """

    session_settings: SessionSettings | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Raise `TypeError` for a subclass that counts on being asked how items are serialized."""
        super().__init_subclass__(**options)
        for hook in _HOOKS:
            if hasattr(cls, hook):
                raise TypeError(
                    f"{cls.__name__}.{hook} would never be called: wrap the session in one that changes the items, "
                    "as EncryptedSession does, in place of overriding it"
                )

    def __init__(
        self,
        session_id: str,
        *,
        store: Store | None = None,
        engine: AsyncEngine | None = None,
        create_tables: bool = False,
        sessions_table: str = _THEIR_TABLES["sessions_table"],
        messages_table: str = _THEIR_TABLES["messages_table"],
        session_settings: SessionSettings | dict[str, Any] | None = None,
        ensure_ascii: bool = True,  # noqa: ARG002 - the SDK's, for whoever replaces its session by this one
        compaction: Strategy | None = None,
        should_trigger_compaction: Callable[[dict[str, Any]], bool] = default_should_trigger_compaction,
    ) -> None:
        if (store is None) == (engine is None):
            raise InvalidValue("store: give a store or an engine, one of the two")
        for option, name in (("sessions_table", sessions_table), ("messages_table", messages_table)):
            if name != _THEIR_TABLES[option]:
                raise InvalidValue(
                    f"{option}: tables have names of their own here; "
                    "keep applications apart with SQLSessionStore(engine, schema=…), and give that store"
                )
        self._store: Store = checked(store) if engine is None else SQLSessionStore(engine)
        if create_tables and isinstance(self._store, BoundSessionStore):
            raise InvalidValue("create_tables: doesn't go with a bound store; upgrade the store that it was bound of")
        self._create_tables = create_tables
        self._closes_store = False
        self._tools: dict[str, str] = {}
        self._compaction = compaction
        self._should_trigger_compaction = should_trigger_compaction
        self.session_id = self._store.conversation(session_id).session_id
        self.session_settings = coerce_session_settings({} if session_settings is None else session_settings)

    @classmethod
    def from_url(
        cls,
        session_id: str,
        *,
        url: str | URL,
        engine_kwargs: Mapping[str, Any] | None = None,
        session_settings: SessionSettings | dict[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """Return a session with an engine of its own, which `close`, or leaving its context, disposes of.

        Many sessions share an application's engine, or a store, better.
        """
        store = SQLSessionStore.from_url(url, engine_kwargs=engine_kwargs)
        session = cls(session_id, store=store, session_settings=session_settings, **options)
        session._closes_store = True
        return session

    @override
    async def close(self) -> None:
        """Dispose of the engine if `from_url` made it; the application's own stays as it is."""
        if self._closes_store and isinstance(self._store, SQLSessionStore):
            await self._store.close()

    @property
    def engine(self) -> AsyncEngine:
        """The engine; a bound store has none."""
        if isinstance(self._store, SQLSessionStore):
            return self._store.engine
        raise AttributeError("engine: this session works inside a transaction; the store that was bound has one")

    @override
    async def get_items(
        self,
        limit: int | None = None,
        *,
        wrapper: RunContextWrapper[Any] | None = None,
    ) -> list[TResponseInputItem]:
        """Return the items in order; with a limit, given or of the settings, the latest so many.

        Where a compaction is in force they are what the model is to see: its summary, and what that doesn't cover.
        """
        limit = resolve_session_limit(limit, self.session_settings)
        if limit is not None and limit <= 0:
            return []
        await self._ready()
        return cast("list[TResponseInputItem]", await latest_items(self._conversation, limit))

    @override
    async def add_items(
        self,
        items: Sequence[TResponseInputItem],
        *,
        wrapper: RunContextWrapper[Any] | None = None,
    ) -> None:
        """Append items, all or none. Raises `InvalidValue` for one that JSON can't hold without loss."""
        if not items:
            return
        given = objects(items)
        with named_in(given):
            messages = self._messages(given)
            await self._ready()
            await self._store.save_messages_anyway(messages)
        self._forget_tools(messages)

    @override
    async def pop_item(self, *, wrapper: RunContextWrapper[Any] | None = None) -> TResponseInputItem | None:
        """Take the last item away and return it; a compaction that was made behind it is undone.

        Concurrent calls each get another item.
        """
        await self._ready()
        return cast("TResponseInputItem | None", await self._conversation.take(last_item))

    @override
    async def clear_session(self, *, wrapper: RunContextWrapper[Any] | None = None) -> None:
        """Delete the session and all that hangs on it; the next items make it anew."""
        await self._ready()
        await self._store.delete_session(self.session_id)

    async def run_compaction(
        self,
        args: OpenAIResponsesCompactionArgs | None = None,
        *,
        wrapper: RunContextWrapper[Any] | None = None,  # noqa: ARG002 - the SDK's runner gives it
    ) -> None:
        """Compact the conversation by the session's strategy, if it is time to; `force` does it anyway.

        Nothing is deleted: `get_items` then begins with the summary, and `Conversation.undo_compaction` brings
        back what that covers. The SDK's runner calls this after each run. Without a strategy that does nothing,
        and `force` is `InvalidValue`. Raises `CompactionFailed` when the strategy fails.
        """
        forced = args is not None and args.get("force", False)
        if self._compaction is None:
            if forced:
                raise InvalidValue("compaction: there is no strategy; SQLSession(…, compaction=Truncate()) has one")
            return
        await self._ready()
        items = cast("list[TResponseInputItem]", await latest_items(self._conversation, None))
        if not items or not (forced or self._is_time(args, items)):
            return
        try:
            await self._conversation.compact(self._compaction, trigger="manual" if forced else "threshold")
        except (CompactionConflict, SessionNotFound) as changed:
            logger.warning("session %r was not compacted: %s", self.session_id, changed)

    def _is_time(self, args: OpenAIResponsesCompactionArgs | None, items: list[TResponseInputItem]) -> bool:
        return self._should_trigger_compaction(
            {
                "response_id": None if args is None else args.get("response_id"),
                "compaction_mode": "input",
                "compaction_candidate_items": select_compaction_candidate_items(items),
                "session_items": items,
            }
        )

    async def _atomic_replace_items(self, items: Sequence[TResponseInputItem]) -> bool:
        """Replace all items in one transaction; `False` when there is no session.

        The SDK's `OpenAIResponsesCompactionSession` looks for this, and clears and adds where it finds none.
        """
        given = objects(items)
        try:
            with named_in(given):
                messages = self._messages(given)
                await self._ready()
                await self._conversation.reset(messages)
        except SessionNotFound:
            return False
        self._forget_tools(messages)
        return True

    @property
    def _conversation(self) -> Conversation:
        return self._store.conversation(self.session_id)

    async def _ready(self) -> None:
        if self._create_tables and isinstance(self._store, SQLSessionStore):
            await self._store.upgrade()
            self._create_tables = False

    def _messages(self, items: Sequence[dict[str, Any]]) -> list[Message]:
        """Return a message for each item; outputs are given the names of the tools that this session saw called."""
        if self._compaction is not None and any("__enc__" in item for item in items):
            raise InvalidValue(
                "compaction: finds nothing to summarize in what an EncryptedSession stores; leave it out"
            )
        return [message_of_item(item, self.session_id, self._tools) for item in items]

    def _forget_tools(self, messages: Sequence[Message]) -> None:
        """Keep only the names of those whose outputs are still to be stored."""
        for result in (result for message in messages for result in message.get_tool_results()):
            self._tools.pop(result.tool_call_id, None)
