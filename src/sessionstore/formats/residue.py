"""What typed fields don't hold, kept beside them, so that what was read comes back exactly.

What is kept of an object is its template: the object itself, its keys in their order, with the
values that typed fields hold blanked: ``{"id": "msg_1", "role": "", "content": [], …}``. A blank
is of the kind that the value was, so it also tells which form it had. Templates stand in the
``metadata`` of the message or part, under the format's name, and never hold a second copy of
a typed value: what is edited later shows in what `fill` gives.
"""

from collections.abc import Collection
from typing import Any, cast

from sessionstore import jsontext
from sessionstore.errors import InvalidValue

WHOLE = True
"""Stands for the template of a message that is kept as one raw part: the object whole."""

_SILENT: tuple[Any, ...] = (None, "", "auto", "{}", [], {})


def template_of(given: dict[str, Any], typed: Collection[str]) -> dict[str, Any]:
    """Return the object with the values of the `typed` keys blanked."""
    return {key: _blank(value) if key in typed else value for key, value in given.items()}


def fill(template: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Return the template with our values in their places.

    Values that have no place stand at the end, unless they say nothing: a key that was absent
    stays so while its value is what absence meant.
    """
    result = {**template}
    for key, value in ours.items():
        if key in template:
            result[key] = _filled(template[key], value)
        elif value not in _SILENT:
            result[key] = value
    return result


def keep(key: str, template: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata that holds the template under the format's name; `{}` when it is the plain one."""
    if len(template) == len(plain) and repr(template) == repr(plain):
        return {}
    return {key: template}


def kept_in(metadata: dict[str, Any], key: str) -> dict[str, Any] | None:
    """Return the template that a format keeps in a metadata dict under its name, if it does."""
    kept = metadata.get(key)
    return cast("dict[str, Any]", kept) if isinstance(kept, dict) else None


def fits(metadata: dict[str, Any]) -> bool:
    """Whether templates are no deeper than can be kept: what they wrap may have all the depth by itself."""
    if not any(_is_nested(template) for template in metadata.values()):
        return True
    try:
        jsontext.dumps(metadata)
    except InvalidValue:
        return False
    return True


def _is_nested(template: Any) -> bool:
    values = cast("dict[str, Any]", template).values() if isinstance(template, dict) else ()
    return any(isinstance(value, dict | list) and bool(cast("Any", value)) for value in values)


def _filled(template: Any, ours: Any) -> Any:
    if template and isinstance(template, dict) and isinstance(ours, dict):  # an empty one is a blank
        return fill(cast("dict[str, Any]", template), cast("dict[str, Any]", ours))
    return ours


def _blank(value: Any) -> Any:
    if isinstance(value, str):
        return ""
    if isinstance(value, list):
        return []
    return {} if isinstance(value, dict) else value
