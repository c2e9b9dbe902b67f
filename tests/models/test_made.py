"""The law of models that are made without checks: they are as pydantic makes them, and have nothing in common."""

import copy
import pickle
from collections.abc import Callable

import pytest

from sessionstore.models import Message, TextPart
from sessionstore.models.base import maker

FIELDS = {"id": "p", "metadata": {}, "type": "text", "content": "a"}


def a_part() -> TextPart:
    return maker(TextPart)(copy.deepcopy(FIELDS))


def test_they_are_as_pydantic_makes_them() -> None:
    part = a_part()
    assert part == TextPart(**FIELDS)
    assert part.model_dump() == part.model_dump(exclude_unset=True) == FIELDS
    assert list(part.model_dump()) == list(TextPart(**FIELDS).model_dump())


def test_a_change_shows_in_one_only() -> None:
    """Also what was given is known to all of them in one set; it can't be changed."""
    part, other = a_part(), a_part()
    part.content = "b"
    part.metadata["k"] = 1
    assert other == TextPart(**FIELDS)
    for change in ("clear", "pop"):
        with pytest.raises(TypeError, match="model_copy"):
            getattr(part.model_fields_set, change)()
    with pytest.raises(TypeError, match="model_copy"):
        part.model_fields_set.discard("content")
    assert other.model_fields_set == set(FIELDS)


def pickled(part: TextPart) -> TextPart:
    return pickle.loads(pickle.dumps(part))  # noqa: S301 - its own


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, TextPart.model_copy, pickled])
def test_a_copy_is_a_model_like_others(copied: Callable[[TextPart], TextPart]) -> None:
    part = copied(a_part())
    assert part == a_part()
    part.model_fields_set.discard("content")
    assert part.model_dump(exclude_unset=True) == {"id": "p", "metadata": {}, "type": "text"}
    assert "content" in a_part().model_fields_set


def test_a_message_that_was_changed_is_checked() -> None:
    message = Message(session_id="s", role="user")
    again = maker(Message)(dict(vars(message)))
    with pytest.raises(ValueError, match="role"):
        again.role = "nobody"
    again.role = "tool"
    assert (again.role, message.role) == ("tool", "user")
