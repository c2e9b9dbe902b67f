"""A message: one entry of a conversation, made of parts."""

from typing import Any, Literal, TypeVar, get_args

from pydantic import Field

from sessionstore.models import llm_format
from sessionstore.models.base import CleanText, Id, Metadata, Model, UTCDatetime, new_id, utcnow
from sessionstore.models.parts import BasePart, ImagePart, Part, TextPart, ToolCallPart, ToolResultPart
from sessionstore.models.usage import Usage

Role = Literal["user", "assistant", "system", "developer", "tool"]
Status = Literal["complete", "in_progress", "interrupted"]

ROLES: frozenset[str] = frozenset(get_args(Role))
STATUSES: frozenset[str] = frozenset(get_args(Status))

_PartT = TypeVar("_PartT", bound=BasePart)


class Message(Model):
    """One entry of a conversation.

    `seq` and `turn` are set by the store, and so is `created_at` unless it was given. The
    order of a conversation is that of `seq`, never of a clock.
    """

    id: Id = Field(default_factory=new_id)
    session_id: Id
    role: Role
    parts: list[Part] = Field(default_factory=list[Part])
    created_at: UTCDatetime = Field(default_factory=utcnow)
    model: CleanText | None = None
    provider: CleanText | None = None
    usage: Usage | None = None
    status: Status = "complete"
    metadata: Metadata = Field(default_factory=dict)
    seq: int | None = None
    turn: int | None = None

    @property
    def starts_turn(self) -> bool:
        """Whether this is a user message that carries no tool result."""
        return self.role == "user" and not self.get_tool_results()

    def add_text(self, content: str) -> TextPart:
        """Append text, and return the part."""
        return self._add(TextPart(content=content))

    def add_image(
        self, media_type: str, data: str | None = None, url: str | None = None, detail: str = "auto"
    ) -> ImagePart:
        """Append an image, as base64 `data` or a `url`, and return the part."""
        return self._add(ImagePart(media_type=media_type, data=data, url=url, detail=detail))

    def add_tool_call(self, tool_call_id: str, tool_name: str, arguments: dict[str, Any]) -> ToolCallPart:
        """Append a tool call, and return the part."""
        return self._add(ToolCallPart(tool_call_id=tool_call_id, tool_name=tool_name, arguments=arguments))

    def add_tool_result(
        self, tool_call_id: str, tool_name: str, output: str, *, title: str = "", error: str | None = None
    ) -> ToolResultPart:
        """Append a tool's result, and return the part."""
        return self._add(
            ToolResultPart(tool_call_id=tool_call_id, tool_name=tool_name, title=title, output=output, error=error)
        )

    def _add(self, part: _PartT) -> _PartT:
        self.parts.append(part)  # pyright: ignore[reportArgumentType] - a union is no TypeVar's bound
        return part

    def get_text_content(self) -> str:
        r"""Return the text parts, joined with ``\n``."""
        return "\n".join(part.content for part in self.parts if isinstance(part, TextPart))

    def get_images(self) -> list[ImagePart]:
        """Return the images, in order."""
        return [part for part in self.parts if isinstance(part, ImagePart)]

    def has_images(self) -> bool:
        """Whether there is an image among the parts."""
        return any(isinstance(part, ImagePart) for part in self.parts)

    def get_tool_calls(self) -> list[ToolCallPart]:
        """Return the tool calls, in order."""
        return [part for part in self.parts if isinstance(part, ToolCallPart)]

    def get_tool_results(self) -> list[ToolResultPart]:
        """Return the tool results, in order."""
        return [part for part in self.parts if isinstance(part, ToolResultPart)]

    def to_llm_format(self) -> dict[str, Any]:
        """Return the message in the chat format of OpenAI's API, without its tool results.

        Text parts are joined into one; a user's images follow it. `to_llm_messages` gives the
        results too.
        """
        return llm_format.one(self)

    def to_llm_messages(self) -> list[dict[str, Any]]:
        """Return the message in the chat format, each tool result behind it as a message of its own."""
        return llm_format.all_of(self)
