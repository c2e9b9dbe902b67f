"""LangChain's chat message history, for `RunnableWithMessageHistory`. It needs `sessionstore[langchain]`.

```python
from sessionstore.adapters.langchain import SQLChatMessageHistory

chat = RunnableWithMessageHistory(model, lambda session_id: SQLChatMessageHistory(session_id, store=store))
await chat.ainvoke("Hello", {"configurable": {"session_id": "user-123"}})
```
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from typing_extensions import override

from sessionstore.adapters._blocking import wait_for
from sessionstore.adapters._extras import missing
from sessionstore.adapters._sessions import History
from sessionstore.adapters._stores import Store
from sessionstore.errors import InvalidValue
from sessionstore.formats.langchain import Told, foreign_items, items_of_messages, messages_of_items
from sessionstore.sql.store import BoundSessionStore

try:
    from langchain_core.chat_history import BaseChatMessageHistory
    from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict
except ImportError as error:
    raise missing("langchain", error) from error

_T = TypeVar("_T")


class SQLChatMessageHistory(History, BaseChatMessageHistory):
    """The messages of one session, as LangChain has them.

    Messages come back equal to what was added (`messages_to_dict` and back). Each is one stored message. What others
    wrote into the session comes as human, AI, system and tool messages.

    The session is made with its first messages. Adding appends, as LangChain's other histories do: a message that
    is added twice is there twice. On a bound store everything happens inside the caller's transaction.

    The async methods are those to use. `messages`, `add_messages` and `clear` do their work in an event loop of
    their own, which all histories of the process share: on Postgres a store (or another on its engine) serves one
    of the two ways, and the other is `SessionStoreError`; on SQLite both at once.
    """

    def __init__(self, session_id: str, *, store: Store) -> None:
        super().__init__(session_id=session_id, store=store)

    async def aclose(self) -> None:
        """Dispose of the engine if `from_url` made it; a store that was given stays as it is."""
        await self._session.close()

    @override
    async def aget_messages(self) -> list[BaseMessage]:
        """Return the messages, oldest first; none when there is no session yet.

        Where a compaction is in force they are its summary, and what it doesn't cover.
        """
        told = items_of_messages(await self._session.context())
        return [message for entry in told for message in _messages(entry)]

    @override
    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append messages, all or none.

        Raises `InvalidValue` for what JSON can't hold, in an artifact for example, and for a message that LangChain
        can't make again of its dict, as one whose class has a `type` of its own.
        """
        items = [_item(message, f"messages[{index}]") for index, message in enumerate(messages)]
        if items:
            await self._session.append(messages_of_items(items, self.session_id))

    @override
    async def aclear(self) -> None:
        """Delete all messages of the session."""
        await self._session.clear()

    @property
    def messages(self) -> list[BaseMessage]:  # pyright: ignore[reportIncompatibleVariableOverride] - as in LangChain's own
        """The messages, for callers who can't await; see `aget_messages`."""
        return self._wait_for(self.aget_messages)

    @override
    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append messages, all or none, for callers who can't await; see `aadd_messages`."""
        self._wait_for(lambda: self.aadd_messages(messages))

    @override
    def clear(self) -> None:
        """Delete all messages of the session, for callers who can't await."""
        self._wait_for(self.aclear)

    def close(self) -> None:
        """Dispose of the engine if `from_url` made it, for callers who can't await."""
        self._wait_for(self.aclose)

    def _wait_for(self, call: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        if isinstance(self._session.store, BoundSessionStore):
            raise InvalidValue("store: is bound to a transaction, which its own event loop has; use the async methods")
        return wait_for(call())


def _item(message: BaseMessage, place: str) -> dict[str, Any]:
    if not isinstance(message, BaseMessage):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"{place}: is {type(message).__name__}, not BaseMessage")
    item = message_to_dict(message)
    try:
        messages_from_dict([item])
    except (TypeError, ValueError, KeyError) as error:
        raise InvalidValue(f"{place}: LangChain can't make a {type(message).__name__} of its dict: {error}") from error
    return item


def _messages(told: Told) -> list[BaseMessage]:
    """Return the message; one that this version of LangChain doesn't know as its text, calls and results."""
    try:
        return messages_from_dict([told.item])
    except (TypeError, ValueError, KeyError):
        return messages_from_dict(foreign_items(told.message, {}))
