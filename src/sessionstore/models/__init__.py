"""The nouns, as pydantic models; they know no SQL."""

from sessionstore.models.archive import SessionArchive
from sessionstore.models.base import new_id
from sessionstore.models.message import Message
from sessionstore.models.parts import (
    ImagePart,
    Part,
    RawPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
)
from sessionstore.models.read_file import ReadFile
from sessionstore.models.session import Session, SessionInfo, SessionTime
from sessionstore.models.summary import Summary
from sessionstore.models.turn import ContextUsage, ToolUse, Turn

__all__ = [
    "ContextUsage",
    "ImagePart",
    "Message",
    "Part",
    "RawPart",
    "ReadFile",
    "ReasoningPart",
    "Session",
    "SessionArchive",
    "SessionInfo",
    "SessionTime",
    "Summary",
    "TextPart",
    "ToolCallPart",
    "ToolResultPart",
    "ToolUse",
    "Turn",
    "UnknownPart",
    "new_id",
]
