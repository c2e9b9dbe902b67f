"""Durable AI-agent conversations in the database that your application already has."""

from sessionstore.conversation import Conversation, Draft
from sessionstore.events import Event
from sessionstore.models import (
    ContextUsage,
    ImagePart,
    Message,
    Part,
    RawPart,
    ReadFile,
    ReasoningPart,
    Session,
    SessionArchive,
    SessionInfo,
    SessionTime,
    Summary,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    ToolUse,
    Turn,
    UnknownPart,
    new_id,
)
from sessionstore.sql.store import SQLSessionStore
from sessionstore.store import SessionStore

__all__ = [
    "ContextUsage",
    "Conversation",
    "Draft",
    "Event",
    "ImagePart",
    "Message",
    "Part",
    "RawPart",
    "ReadFile",
    "ReasoningPart",
    "SQLSessionStore",
    "Session",
    "SessionArchive",
    "SessionInfo",
    "SessionStore",
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
