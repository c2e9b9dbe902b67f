"""Whether values are as nearly all are: a quick yes, or else pydantic says whether they'll do, and what is wrong.

On the way of every message in and out, pydantic's own checks would cost more than all else that is done in Python.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, cast

from sessionstore.models.base import EARLIEST, LATEST, LONGEST_ID
from sessionstore.models.message import ROLES, STATUSES
from sessionstore.models.usage import MAX_TOKENS, TOKEN_FIELDS


def is_id(value: Any) -> bool:
    """Whether a value is an id; those beyond ASCII are left to pydantic."""
    return type(value) is str and 0 < len(value) <= LONGEST_ID and value.isascii() and "\0" not in value


def is_storable(text: str) -> bool:
    """Whether every database holds a text: it has no NUL and no lone surrogate."""
    if "\0" in text:
        return False
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True


def is_sound(fields: Mapping[str, Any]) -> bool:
    """Whether a message's fields are what its model allows, but for its session and its parts."""
    usage, created_at = fields["usage"], fields["created_at"]
    return (
        is_id(fields["id"])
        and fields["role"] in ROLES
        and fields["status"] in STATUSES
        and _is_clean(fields["model"])
        and _is_clean(fields["provider"])
        and (usage is None or (is_object(usage) and all(map(_is_count, usage.values()))))
        and is_object(fields["metadata"])
        and _is_time(created_at)
        and _is_number(fields["seq"])
        and _is_number(fields["turn"])
    )


_ids_of = itemgetter("root_session_id", "parent_session_id", "user_id", "summary_message_id")
_texts_of = itemgetter("title", "project_dir", "working_dir", "model_id", "provider_id")
_counts_of = cast("Callable[[Any], tuple[Any, ...]]", itemgetter("message_count", *TOKEN_FIELDS))
_NUMBERS, _TEXTS = {int}, {str}


def info_is_sound(fields: Mapping[str, Any], time: Mapping[str, Any]) -> bool:
    """Whether a stored session's fields, and its times, are what their models allow."""
    return (
        is_id(fields["id"])
        and fields["title"] is not None
        and all(map(is_id, [id_ for id_ in _ids_of(fields) if id_ is not None]))
        and _are_clean([text for text in _texts_of(fields) if text is not None])
        and {*map(type, _counts_of(fields))} == _NUMBERS
        and is_object(fields["metadata"])
        and _is_time(time["created"])
        and _is_time(time["updated"])
        and (time["archived"] is None or _is_time(time["archived"]))
    )


def _is_clean(text: Any) -> bool:
    return text is None or (type(text) is str and is_storable(text))


def _are_clean(texts: Sequence[Any]) -> bool:
    return {*map(type, texts)} <= _TEXTS and is_storable("".join(texts))


def _is_time(value: Any) -> bool:
    return type(value) is datetime and value.tzinfo is UTC and EARLIEST <= value <= LATEST


def is_object(value: Any) -> bool:
    """Whether a value is a JSON object, its keys' texts and its values aside."""
    return type(value) is dict and (not value or {*map(type, cast("dict[Any, Any]", value))} == {str})


def _is_number(value: Any) -> bool:
    return value is None or type(value) is int


def _is_count(value: Any) -> bool:
    return type(value) is int and -MAX_TOKENS <= value <= MAX_TOKENS
