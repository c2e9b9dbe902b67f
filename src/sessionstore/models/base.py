"""What the models share: their configuration, ids, text that databases hold, and times."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, NoReturn, TypeVar

import uuid_utils
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StrictInt, StrictStr
from typing_extensions import override

EARLIEST = datetime(1, 1, 3, tzinfo=UTC)
LATEST = datetime(9999, 12, 29, tzinfo=UTC)
"""The times that every driver holds: psycopg gives them in the connection's time zone, and asyncpg
takes the ends of Python's range for infinity."""

_OUTSIDE = f"is outside {EARLIEST.isoformat()} to {LATEST.isoformat()}"


def new_id() -> str:
    """Return a new id: a UUIDv7 as text, so that ids sort by the time they were made."""
    return str(uuid_utils.uuid7())


def utcnow() -> datetime:
    """Return the present time, aware, in UTC."""
    return datetime.now(UTC)


def _clean(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError("must not contain lone surrogates") from error
    return text


def _to_utc(time: datetime) -> datetime:
    try:
        utc = time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(_OUTSIDE) from error
    if not EARLIEST <= utc <= LATEST:
        raise ValueError(_OUTSIDE)
    return utc


Text = StrictStr
"""Any Python string; bytes aren't turned into one."""

CleanText = Annotated[Text, AfterValidator(_clean)]
"""Unicode text without NUL or lone surrogates: what every database holds."""

LONGEST_ID = 255

Id = Annotated[Text, Field(min_length=1, max_length=LONGEST_ID), AfterValidator(_clean)]
"""1 to 255 characters of clean text."""

UTCDatetime = Annotated[AwareDatetime, AfterValidator(_to_utc)]
"""An aware datetime, brought to UTC; a naive one is refused."""

Metadata = dict[Text, Any]
"""A JSON object, kept exactly."""

Count = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]
"""A whole number that a database's 64-bit integer holds."""


ModelT = TypeVar("ModelT", bound=BaseModel)


# Descriptors of the model's slots: two thirds of what object.__setattr__ costs.
_set_fields, _set_fields_set, _set_extra, _set_private = (
    BaseModel.__dict__[name].__set__
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


class _EveryField(set[str]):
    """The names of all of a model's fields, as the set of those that were given: one set for all such models.

    Nothing is left to be added to it, and nobody may take from it; a copy, as `model_copy` makes, is a set like others.
    """

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError("it is shared by all models that were read from a store; change a model_copy()")

    clear = discard = pop = remove = difference_update = intersection_update = symmetric_difference_update = _refuse
    __isub__ = __iand__ = __ixor__ = _refuse

    @override
    def __reduce__(self) -> tuple[type[set[str]], tuple[list[str]]]:
        return set, ([*self],)


@cache
def maker(kind: type[ModelT]) -> Callable[[dict[str, Any]], ModelT]:
    """Return what makes models of values that need no check, all fields in their order; the dict becomes the model's.

    `model_construct` does the same at ten times the cost.
    """
    new = object.__new__
    every_field = _EveryField(kind.model_fields)

    def made(fields: dict[str, Any]) -> ModelT:
        model = new(kind)
        _set_fields(model, fields)
        _set_fields_set(model, every_field)
        _set_extra(model, None)
        _set_private(model, None)
        return model

    return made


class Model(BaseModel):
    """A pydantic model that checks assignments too and knows all of its fields."""

    model_config = ConfigDict(
        extra="forbid",
        validate_assignment=True,
        protected_namespaces=(),
        hide_input_in_errors=True,  # errors go to logs and trackers; what people said doesn't
    )
