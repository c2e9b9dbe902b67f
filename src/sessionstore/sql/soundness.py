"""Whether values are as nearly all are: a quick yes, or else pydantic says whether they'll do, and what is wrong.

On the way of every message in and out, pydantic's own checks would cost more than all else that is done in Python.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from sessionstore.models.base import EARLIEST, LATEST, LONGEST_ID
from sessionstore.models.message import ROLES, STATUSES
from sessionstore.models.usage import MAX_TOKENS


def is_id(value: Any) -> bool:
    """Whether a value is an id."""
    return is_text(value) and 0 < len(value) <= LONGEST_ID


def is_text(value: Any) -> bool:
    """Whether a value is text that every database holds."""
    if type(value) is not str or "\0" in value:
        return False
    return value.isascii() or is_storable(value)


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
    usage = fields["usage"]
    return (
        is_id(fields["id"])
        and fields["role"] in ROLES
        and fields["status"] in STATUSES
        and _is_clean(fields["model"])
        and _is_clean(fields["provider"])
        and (usage is None or is_usage(usage))
        and is_object(fields["metadata"])
        and _is_time(fields["created_at"])
        and _is_number(fields["seq"])
        and _is_number(fields["turn"])
    )


_NUMBERS, _TEXTS, _TIMES = {int}, {str}, {datetime}


def messages_sound(
    ids: Sequence[Any],
    roles: Iterable[Any],
    statuses: Iterable[Any],
    texts: Iterable[Any],
    times: Sequence[Any],
    numbers: Iterable[Any],
) -> bool:
    """Whether columns of stored messages, and their parts' ids, are what the models allow."""
    return (
        _are_ids(ids)
        and ROLES.issuperset(roles)
        and STATUSES.issuperset(statuses)
        and _are_times(times)
        and {*map(type, numbers)} <= _NUMBERS
        and _are_clean([text for text in texts if text is not None])
    )


def infos_sound(ids: Iterable[Any], times: Iterable[Any], texts: Iterable[Any], counts: Iterable[Any]) -> bool:
    """Whether columns of stored sessions are what their model allows, but for the metadata, and where NULL isn't."""
    return (
        _are_ids([id_ for id_ in ids if id_ is not None])
        and _are_times([time for time in times if time is not None])
        and _are_clean([text for text in texts if text is not None])
        and {*map(type, counts)} <= _NUMBERS
    )


def _are_ids(values: Sequence[Any]) -> bool:
    if {*map(type, values)} != _TEXTS:
        return False
    return all(values) and max(map(len, values)) <= LONGEST_ID and is_storable("".join(values))


def _are_clean(texts: Sequence[Any]) -> bool:
    return {*map(type, texts)} <= _TEXTS and is_storable("".join(texts))


def _are_times(values: Sequence[Any]) -> bool:
    if not values:
        return True
    if {*map(type, values)} != _TIMES or any(time.tzinfo is not UTC for time in values):
        return False
    return min(values) >= EARLIEST and max(values) <= LATEST


def _is_clean(text: Any) -> bool:
    return text is None or is_text(text)


def _is_time(value: Any) -> bool:
    return type(value) is datetime and value.tzinfo is UTC and EARLIEST <= value <= LATEST


def is_object(value: Any) -> bool:
    """Whether a value is a JSON object, its keys' texts and its values aside."""
    return type(value) is dict and (not value or {*map(type, cast("dict[Any, Any]", value))} == {str})


def is_usage(value: Any) -> bool:
    """Whether a value is a message's usage."""
    return is_object(value) and all(map(_is_count, value.values()))


def _is_number(value: Any) -> bool:
    return value is None or type(value) is int


def _is_count(value: Any) -> bool:
    return type(value) is int and -MAX_TOKENS <= value <= MAX_TOKENS
