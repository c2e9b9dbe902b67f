"""Responses items straight from stored columns, without models on the way where they are as usual."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

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
    """What a stored message says; a part's columns are those of the table, by name."""

    @property
    def role(self) -> Role:
        """The role."""
        ...

    @property
    def metadata_text(self) -> str:
        """The metadata as JSON."""
        ...

    @property
    def part_rows(self) -> Sequence[Any]:
        """The parts' columns, in order."""
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
        items = [*_foreign_items(content.role, content.part_rows)]
        told = [item for item in items if item is not None]
        return told if len(told) == len(items) else None
    template = kept_in(content.metadata(), KEY)
    if template is None or len(content.part_rows) != 1:
        return None
    item = _filled(template, content.part_rows[0])
    return None if item is None else [item]


def _foreign_items(role: Role, rows: Sequence[Any]) -> Iterator[dict[str, Any] | None]:
    """Give the items that tell these parts, and `None` for what has to be looked at as a part."""
    texts: list[str] = []
    for row in rows:
        if row.type == "text" and _is_text(row):
            texts.append(row.text)
            continue
        if texts:
            yield _message(role, texts)
            texts = []
        if row.type == "tool_call" and _is_call(row):
            yield call_item(row.tool_call_id, row.tool_name, row.payload)
        elif row.type == "tool_result" and _is_output(row):
            yield output_item(row.tool_call_id, row.text)
        else:
            yield None
    if texts:
        yield _message(role, texts)


def _message(role: Role, texts: list[str]) -> dict[str, Any] | None:
    return message_item(role, joined(texts)) if role == "assistant" or len(texts) == 1 else None


def _filled(template: dict[str, Any], row: Any) -> dict[str, Any] | None:
    """Return the item of a template and a part of its kind."""
    match kind_of_item(template), row.type:
        case "function_call", "tool_call" if template.get("arguments", PLAIN_ARGUMENTS) == PLAIN_ARGUMENTS:
            ours = {"call_id": row.tool_call_id, "name": row.tool_name, "arguments": row.payload}
            return fill(template, ours) if _is_call(row) else None
        case "function_call_output", "tool_result" if isinstance(template.get("output"), str):
            return fill(template, {"call_id": row.tool_call_id, "output": row.text}) if _is_output(row) else None
        case _:
            return None


def _is_text(row: Any) -> bool:
    return row.payload is None and row.extra is None and type(row.text) is str


def _is_output(row: Any) -> bool:
    return _is_text(row) and type(row.tool_call_id) is str and type(row.tool_name) is str


def _is_call(row: Any) -> bool:
    payload = row.payload
    if row.extra is not None or {type(row.tool_call_id), type(row.tool_name), type(payload)} != _TEXT:
        return False
    try:  # arguments are given as their text, which must be an object's, and one of form 1 of `jsontext`
        return not payload.startswith(" ") and type(jsontext.loads(payload)) is dict
    except ValueError:
        return False
