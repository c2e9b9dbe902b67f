"""Arguments of the store's methods, checked before anything is sent to the database."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, TypeAdapter, ValidationError

from sessionstore import jsontext
from sessionstore.errors import InvalidValue
from sessionstore.models import SessionInfo
from sessionstore.models.base import EARLIEST, LATEST, CleanText, Count, Id
from sessionstore.models.message import Role
from sessionstore.models.usage import Tokens, Usage, count_tokens

_LONGEST_TENANT = 255

ModelT = TypeVar("ModelT", bound=BaseModel)


def _short(tenant_id: str) -> str:
    # With a user's and a session's id of 255 characters each, an entry of Postgres' listing index is full.
    if len(tenant_id.encode()) > _LONGEST_TENANT:
        raise ValueError(f"is longer than {_LONGEST_TENANT} bytes")
    return tenant_id


_QUIET = ConfigDict(hide_input_in_errors=True)  # as the models are

ID: TypeAdapter[str] = TypeAdapter(Id, config=_QUIET)
TEXT: TypeAdapter[str] = TypeAdapter(CleanText, config=_QUIET)
TENANT: TypeAdapter[str] = TypeAdapter(Annotated[CleanText, AfterValidator(_short)], config=_QUIET)
_Size = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
SIZE: TypeAdapter[int] = TypeAdapter(_Size, config=_QUIET)
LIMIT: TypeAdapter[int | None] = TypeAdapter(_Size | None, config=_QUIET)
NUMBER: TypeAdapter[int] = TypeAdapter(StrictInt, config=_QUIET)
ROLE: TypeAdapter[Role] = TypeAdapter(Role, config=_QUIET)
PERCENT: TypeAdapter[float] = TypeAdapter(Annotated[float, Field(ge=0, allow_inf_nan=False)], config=_QUIET)
COUNT: TypeAdapter[int | None] = TypeAdapter(Count | None, config=_QUIET)
FLAG: TypeAdapter[bool | None] = TypeAdapter(StrictBool | None, config=_QUIET)
SECONDS: TypeAdapter[float] = TypeAdapter(Annotated[float, Field(ge=0, allow_inf_nan=False, le=1e9)], config=_QUIET)
_USAGE: TypeAdapter[dict[str, int]] = TypeAdapter(Usage, config=_QUIET)


def check(adapter: TypeAdapter[Any], value: Any, place: str) -> Any:
    """Return the value as its type has it. Raises `InvalidValue`, which names the place."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise invalid(error, place) from None


def check_model(model: ModelT, kind: type[ModelT], place: str) -> ModelT:
    """Return a checked copy of a model, which may have been changed since it was made."""
    if not isinstance(model, kind):  # pyright: ignore[reportUnnecessaryIsInstance] - callers aren't all typed
        raise InvalidValue(f"{place}: is {type(model).__name__}, not {kind.__name__}")
    try:
        return kind.model_validate(dict(vars(model)))
    except ValidationError as error:
        raise invalid(error, place) from None


def own_metadata(info: SessionInfo, place: str) -> SessionInfo:
    """Return a session's checked metadata with values that its caller can't change while another thread writes them."""
    return info.model_copy(update={"metadata": jsontext.copied(info.metadata, f"{place}.metadata")})


def check_position(after: Any) -> datetime | str | int:
    """Return a place in a conversation: a time, a message's id or a `seq`."""
    if not isinstance(after, datetime):
        return check_place(after)
    if after.utcoffset() is None:
        raise InvalidValue("after: is a datetime without a time zone; give an aware one, such as datetime.now(UTC)")
    beginning = EARLIEST - timedelta(microseconds=1)  # datetime.min is how people say "from the beginning"
    return beginning if after < EARLIEST else min(after, LATEST).astimezone(UTC)


def check_place(after: Any) -> str | int:
    """Return a place in a conversation: a message's id, or a `seq`, brought within 64 bits."""
    if isinstance(after, str):
        return check(ID, after, "after")
    if isinstance(after, int) and not isinstance(after, bool):
        return max(-1, min(after, 2**63 - 1))
    raise InvalidValue(f"after: is {type(after).__name__}; give a message's id or seq (or, to read, an aware datetime)")


def check_usage(usage: Mapping[str, int]) -> Tokens:
    """Return the recognised counts of a usage dict."""
    if not isinstance(usage, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers aren't all typed
        raise InvalidValue(f"usage: is {type(usage).__name__}, not a dict of ints")
    return count_tokens(check(_USAGE, dict(usage), "usage"))


def invalid(error: ValidationError, place: str) -> InvalidValue:
    """Return our error for pydantic's: where and why, without the value."""
    first = error.errors(include_input=False, include_url=False)[0]
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"])
    return InvalidValue(f"{place}{path}: {first['msg'].removeprefix('Value error, ')}")
