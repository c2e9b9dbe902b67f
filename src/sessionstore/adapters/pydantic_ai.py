"""Pydantic AI's message history: the model messages of an agent's runs. It needs `sessionstore[pydantic-ai]`.

```python
from sessionstore.adapters.pydantic_ai import MessageHistory

history = MessageHistory(store, "user-123")
result = await agent.run("Hello", message_history=await history.load())
await history.save(result.new_messages())
```
"""

from collections.abc import Sequence
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from typing_extensions import override

from sessionstore.adapters._extras import missing
from sessionstore.adapters._sessions import History
from sessionstore.adapters._stores import Closing, Store
from sessionstore.errors import InvalidValue
from sessionstore.formats.pydantic_ai import Told, foreign_items, items_of_messages, messages_of_items

try:
    from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelRequest, ModelResponse
except ImportError as error:
    raise missing("pydantic-ai", error) from error

_DUMPING: TypeAdapter[list[ModelMessage]] = TypeAdapter(
    list[ModelMessage],
    config=ConfigDict(defer_build=True, ser_json_bytes="base64", ser_json_inf_nan="constants"),
)
"""`ModelMessagesTypeAdapter`, but for NaN and infinity, of which that makes null."""

_PROMPTS = {"user-prompt", "speech", "compaction"}
"""The parts of a request that a history can begin with: what the user said, or a summary of it."""

_RESULTS = {"tool-return", "retry-prompt"}

_MOST = 2**62
"""More messages than there can be."""


class MessageHistory(History, Closing):
    """The message history of one session, to give to `Agent.run` and to add a run's new messages to.

    Messages come back equal to what Pydantic AI's own type adapter makes of them. A response is one stored message, and
    a request one for each of its parts, so that every other reader finds system prompts, the user's words and tools'
    results under their roles. What others wrote into the session comes as requests and responses too.

    The session is made with its first messages. On a bound store everything happens inside the caller's transaction.
    """

    def __init__(self, store: Store, session_id: str) -> None:
        super().__init__(session_id=session_id, store=store)

    @override
    async def close(self) -> None:
        """Dispose of the engine if `from_url` made it; a store that was given stays as it is."""
        await self._session.close()

    async def load(self, limit: int | None = None) -> list[ModelMessage]:
        """Return the history, oldest first, for `message_history`; empty when there is no session yet.

        Where a compaction is in force that is its summary, and what it doesn't cover. With a limit it is the latest
        so many at most, cut before what the user said, or a summary of it, as models refuse results whose calls were
        cut off; but never less than the latest turn, however long that is. A limit of 0 is an empty history.
        """
        if limit is not None and limit < 0:
            raise InvalidValue(f"limit: is {limit}; give a number from 0 on, or None")
        if limit == 0:
            return []
        size = None if limit is None else min(2 * limit + 1, _MOST)
        while True:  # a read, and more only where requests are made of many messages, or the latest turn is long
            messages = await self._session.context(size)
            history = [message for told in items_of_messages(messages) for message in _model_messages(told)]
            if limit is None or size is None:
                return history
            is_all = len(messages) < size
            starts = [index for index, message in enumerate(history) if (is_all if index == 0 else _is_start(message))]
            if is_all or (starts and len(history) > limit):
                return history[_first_within(limit, starts, len(history)) :]
            size = min(2 * size, _MOST)

    async def save(self, messages: Sequence[ModelMessage]) -> None:
        """Append messages, as `result.new_messages()` gives them, all or none.

        Not `all_messages()`: what others wrote into the session, and a compaction's summary, are told by `load` in
        messages made for it, and would be stored once more.
        Saving the same messages once more changes nothing, so that it may be repeated after a lost connection: they are
        known by all that they hold, times and run ids included. Raises `InvalidValue` for what JSON can't hold.
        """
        given = list(messages)
        for index, message in enumerate(given):
            if not isinstance(message, ModelRequest | ModelResponse):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidValue(
                    f"messages[{index}]: is {type(message).__name__}, not ModelRequest or ModelResponse; "
                    "give result.new_messages()"
                )
        try:
            items: list[dict[str, Any]] = _DUMPING.dump_python(given, mode="json")
        except (PydanticSerializationError, ValueError) as error:
            raise InvalidValue(f"messages: Pydantic AI can't dump them: {error}") from error
        if items:
            await self._session.append(messages_of_items(items, self.session_id))

    async def clear(self) -> None:
        """Delete all messages of the session; what is saved next begins a new history."""
        await self._session.clear()


def _model_messages(told: Told) -> list[ModelMessage]:
    """Return the message; one that this version of Pydantic AI doesn't know as its text, calls and results."""
    try:
        return ModelMessagesTypeAdapter.validate_python([told.item])
    except ValidationError:
        return ModelMessagesTypeAdapter.validate_python(foreign_items(told.messages))


def _first_within(limit: int, starts: Sequence[int], end: int) -> int:
    """Return the first of the starts that is within the limit; the last one if none is."""
    return next((start for start in starts if start >= end - limit), starts[-1] if starts else end)


def _is_start(message: ModelMessage) -> bool:
    kinds = {part.part_kind for part in message.parts}
    return isinstance(message, ModelRequest) and bool(kinds & _PROMPTS) and kinds.isdisjoint(_RESULTS)
