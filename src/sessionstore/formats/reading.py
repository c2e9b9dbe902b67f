"""What formats share when they read: checks that name the place and a remedy."""

from typing import Any, TypeVar, cast

from pydantic import ValidationError

from sessionstore.errors import InvalidValue
from sessionstore.models.base import Model

_KINDS: dict[type, str] = {
    bool: "true or false",
    str: "text",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}
_ModelT = TypeVar("_ModelT", bound=Model)


def kind_of(value: Any) -> str:
    """Return what a JSON value is, in words."""
    for kind, words in _KINDS.items():
        if isinstance(value, kind):
            return words
    return "null"


def message_items(conversation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the conversation's ``messages``, each of which is an object. Raises `InvalidValue`."""
    if "messages" not in conversation:
        raise InvalidValue("messages: is missing; a conversation has a list of messages")
    items: Any = conversation["messages"]
    if not isinstance(items, list):
        raise InvalidValue(f"messages: is {kind_of(items)}, not a list; put the messages into a list")
    for index, item in enumerate(cast("list[Any]", items)):
        if not isinstance(item, dict):
            raise InvalidValue(f"messages[{index}]: is {kind_of(item)}, not an object; a message has a role")
    return cast("list[dict[str, Any]]", items)


def validated(model: type[_ModelT], fields: dict[str, Any], *place: str) -> _ModelT:
    """Return the model with these fields. Raises `InvalidValue`, which names the place and no content."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidValue(f"{_path((*place, *first['loc']))}: {first['msg']}") from error


def _path(steps: tuple[int | str, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")
