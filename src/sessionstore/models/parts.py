"""The typed pieces of a message."""

from typing import Annotated, Any, Literal, Self, cast

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from sessionstore.models.base import Id, Metadata, Model, Text, new_id


class BasePart(Model):
    """What every part has: an id, and `metadata` for what the typed fields don't hold."""

    id: Id = Field(default_factory=new_id)
    metadata: Metadata = Field(default_factory=dict)


class TextPart(BasePart):
    """Text: any Python string."""

    type: Literal["text"] = "text"
    content: Text


class ImagePart(BasePart):
    """An image, as base64 `data` or as a `url`: exactly one of the two."""

    type: Literal["image"] = "image"
    media_type: Text
    data: Text | None = None
    url: Text | None = None
    detail: Text = "auto"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.data is None) == (self.url is None):
            raise ValueError("an image has either data (base64) or a url")
        return self


class ToolCallPart(BasePart):
    """A model's request to run a tool. Ids of calls may repeat, also within one session."""

    type: Literal["tool_call"] = "tool_call"
    tool_call_id: Text
    tool_name: Text
    arguments: Metadata


class ToolResultPart(BasePart):
    """What a tool gave back; it answers the latest unanswered call with its id before it."""

    type: Literal["tool_result"] = "tool_result"
    tool_call_id: Text
    tool_name: Text
    title: Text = ""
    output: Text
    error: Text | None = None


class ReasoningPart(BasePart):
    """A model's reasoning, with the provider's signature where there is one."""

    type: Literal["reasoning"] = "reasoning"
    content: Text
    signature: Text | None = None


class RawPart(BasePart):
    """Any JSON value at all, kept exactly."""

    type: Literal["raw"] = "raw"
    data: Any


KNOWN_TYPES = frozenset({"text", "image", "tool_call", "tool_result", "reasoning", "raw"})


class UnknownPart(BasePart):
    """A part whose type this version doesn't know, as a newer one wrote it; saved again as it was.

    `data` is the payload as JSON; `text`, `tool_call_id` and `tool_name` are the columns beside it, and
    `extra` what else the newer version stored with the part.
    """

    type: Id
    data: Any = None
    text: Text | None = None
    tool_call_id: Text | None = None
    tool_name: Text | None = None
    extra: Metadata = Field(default_factory=dict)

    @field_validator("type")
    @classmethod
    def _not_known(cls, value: str) -> str:
        if value in KNOWN_TYPES:
            raise ValueError(f"{value!r} is a known part type with a class of its own")
        return value


def _type_of(value: Any) -> str:
    if isinstance(value, dict):
        kind: Any = cast("dict[str, Any]", value).get("type")
    else:
        kind = getattr(value, "type", None)
    return kind if isinstance(kind, str) and kind in KNOWN_TYPES else "unknown"


Part = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[ImagePart, Tag("image")]
    | Annotated[ToolCallPart, Tag("tool_call")]
    | Annotated[ToolResultPart, Tag("tool_result")]
    | Annotated[ReasoningPart, Tag("reasoning")]
    | Annotated[RawPart, Tag("raw")]
    | Annotated[UnknownPart, Tag("unknown")],
    Discriminator(_type_of),
]
"""The union of all parts, told apart by `type`."""
