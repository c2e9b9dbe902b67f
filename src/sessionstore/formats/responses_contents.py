"""Responses items straight from stored columns, without models on the way where they are as usual."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

from sessionstore import jsontext
from sessionstore.collecting import collector_paused
from sessionstore.formats.openai_responses import Telling
from sessionstore.formats.pieces import PLAIN_ARGUMENTS
from sessionstore.formats.residue import fill, kept_in
from sessionstore.formats.responses_items import KEY, call_item, joined, kind_of_item, message_item, output_item
from sessionstore.models import Part
from sessionstore.models.message import Role

_TEXT = {str}


class Content(Protocol):
    """What a stored message says."""

    @property
    def role(self) -> Role:
        """The role."""
        ...

    @property
    def metadata_text(self) -> str:
        """The metadata as JSON."""
        ...

    @property
    def part_rows(self) -> Sequence[Sequence[Any]]:
        """The parts, in order: their seq, position, id, type, text, tool_call_id, tool_name, payload and extra."""
        ...

    def metadata(self) -> dict[str, Any]:
        """Return the metadata."""
        ...

    def parts(self) -> list[Part]:
        """Return the parts."""
        ...


def items_of_contents(contents: Sequence[Content]) -> list[dict[str, Any]]:
    """Return the items of a conversation, as `openai_responses.items_of_messages` does for messages."""
    items: list[dict[str, Any]] = []
    telling = Telling()
    with collector_paused(len(contents)):
        for content in contents:
            found = None if telling.custom else _directly(content)
            if found is None:
                found = telling.items_of(content.role, content.parts(), content.metadata())
            items += found
    return items


def _directly(content: Content) -> list[dict[str, Any]] | None:
    """Return the items of a message whose parts are calls, outputs and texts as usual, or `None`."""
    if content.metadata_text == "{}":
        return _foreign_items(content.role, content.part_rows)
    template = kept_in(content.metadata(), KEY)
    if template is None or len(content.part_rows) != 1:
        return None
    item = _filled(template, content.part_rows[0])
    return None if item is None else [item]


def _foreign_items(role: Role, rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]] | None:
    """Return the items that tell these parts, or `None` if one of them has to be looked at as a part."""
    items: list[dict[str, Any] | None] = []
    texts: list[str] = []
    for _, _, _, type_, text, call_id, name, payload, extra in rows:
        if type_ == "text" and _is_text(text, payload, extra):
            texts.append(text)
            continue
        if texts:
            items.append(_message(role, texts))
            texts = []
        if type_ == "tool_call" and _is_call(call_id, name, payload, extra):
            items.append(call_item(call_id, name, payload))
        elif type_ == "tool_result" and _is_output(text, call_id, name, payload, extra):
            items.append(output_item(call_id, text))
        else:
            return None
    if texts:
        items.append(_message(role, texts))
    return None if None in items else cast("list[dict[str, Any]]", items)


def _message(role: Role, texts: list[str]) -> dict[str, Any] | None:
    return message_item(role, joined(texts)) if role == "assistant" or len(texts) == 1 else None


def _filled(template: dict[str, Any], row: Sequence[Any]) -> dict[str, Any] | None:
    """Return the item of a template and a part of its kind."""
    _, _, _, type_, text, call_id, name, payload, extra = row
    match kind_of_item(template), type_:
        case "function_call", "tool_call" if template.get("arguments", PLAIN_ARGUMENTS) == PLAIN_ARGUMENTS:
            if _is_call(call_id, name, payload, extra):
                return fill(template, {"call_id": call_id, "name": name, "arguments": payload})
        case "function_call_output", "tool_result" if isinstance(template.get("output"), str):
            if _is_output(text, call_id, name, payload, extra):
                return fill(template, {"call_id": call_id, "output": text})
        case _:
            pass
    return None


def _is_text(text: Any, payload: Any, extra: Any) -> bool:
    return payload is None and extra is None and type(text) is str


def _is_output(text: Any, call_id: Any, name: Any, payload: Any, extra: Any) -> bool:
    return _is_text(text, payload, extra) and type(call_id) is str and type(name) is str


def _is_call(call_id: Any, name: Any, payload: Any, extra: Any) -> bool:
    if extra is not None or {type(call_id), type(name), type(payload)} != _TEXT:
        return False
    try:  # arguments are given as their text, which must be an object's, and one of form 1 of `jsontext`
        return not payload.startswith(" ") and type(jsontext.loads(payload)) is dict
    except ValueError:
        return False
