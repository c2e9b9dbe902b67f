"""The items of the OpenAI Agents SDK's session: those that it is given, and those that a conversation ends with."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, cast

from pydantic import BaseModel

from sessionstore import jsontext
from sessionstore.conversation import Conversation
from sessionstore.errors import InvalidValue
from sessionstore.formats.openai_responses import items_of_message, items_of_messages
from sessionstore.formats.responses_contents import items_of_contents
from sessionstore.formats.responses_items import KEY
from sessionstore.models import Message


def objects(items: Iterable[object]) -> list[dict[str, Any]]:
    """Return the items as JSON objects; a model's output as the SDK makes input of it."""
    return [_object(item, index) for index, item in enumerate(items)]


def _object(item: object, index: int) -> dict[str, Any]:
    if isinstance(item, BaseModel):
        return item.model_dump(mode="json", exclude_unset=True)
    if not isinstance(item, dict):
        raise InvalidValue(f"items[{index}]: is {type(item).__name__}, not a dict; an item is a JSON object")
    return cast("dict[str, Any]", item)


@contextmanager
def named_in(items: Sequence[dict[str, Any]]) -> Generator[None]:
    """Have a value that is refused named by its place in the items, which the caller knows, not in their messages."""
    try:
        yield
    except InvalidValue:
        for index, item in enumerate(items):
            jsontext.dumps(item, f"items[{index}]")
        raise


async def latest_items(conversation: Conversation, limit: int | None) -> list[dict[str, Any]]:
    """Return the latest items: a read, and more only where messages of others hold less than an item each."""
    size = limit
    while True:
        items, count = await _told(conversation, size)
        if limit is None or size is None:
            return items
        if len(items) >= limit or count < size:
            return items[-limit:]
        size *= 2


async def _told(conversation: Conversation, limit: int | None) -> tuple[list[dict[str, Any]], int]:
    """Return the items of the latest so many messages, and how many these are."""
    contents = await conversation.contents(limit=limit)
    if contents is not None:
        return items_of_contents(contents), len(contents)
    messages = await conversation.context(limit=limit, as_stored=True)
    return items_of_messages(messages), len(messages)


def last_item(message: Message) -> tuple[dict[str, Any], Message | None] | None:
    """Return a message's last item, and the message of its other ones; `None` if it has none."""
    items = items_of_message(message)
    if len(items) <= 1:
        return (items[0], None) if items else None
    metadata = {key: value for key, value in message.metadata.items() if key != KEY}  # it is no longer what that says
    shorter = (
        message.model_copy(update={"parts": message.parts[:size], "metadata": metadata})
        for size in range(len(message.parts) - 1, 0, -1)
    )
    return items[-1], next(rest for rest in shorter if items_of_message(rest) == items[:-1])
