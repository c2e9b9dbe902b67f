"""The raw drivers with models: the same rows, made of sessionstore's models and made into them, and nothing else.

Messages that are models when they come, and when they go, are part of what a store like this one is asked for. Here
they are made by the fastest way that sessionstore knows, JSON included, and nothing is checked: not what is given, nor
what was stored.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from pydantic_core import from_json, to_json

from benchmarks.systems.limit_postgresql import AsyncpgLimit
from benchmarks.systems.limit_sqlite import SqliteThread
from benchmarks.systems.own_tables import OwnTables
from benchmarks.systems.sessionstore import message_of
from sessionstore import Message, SessionInfo, SessionTime
from sessionstore.collecting import collector_paused
from sessionstore.models import Part, TextPart, ToolCallPart, ToolResultPart
from sessionstore.models.base import maker

_message, _info, _time = maker(Message), maker(SessionInfo), maker(SessionTime)
_text, _call, _result = maker(TextPart), maker(ToolCallPart), maker(ToolResultPart)
_COLUMNS = [name for name in SessionInfo.model_fields if name not in ("time", "metadata", "summary_message_id")]
_EPOCH, _MICROSECOND = datetime.fromtimestamp(0, UTC), timedelta(microseconds=1)


def _itself(time: Any) -> Any:
    return time


def _of_microseconds(time: int | None) -> Any:
    return None if time is None else _EPOCH + time * _MICROSECOND


class WithModels(OwnTables):
    """Takes and gives models."""

    as_time: ClassVar[Callable[[Any], Any]] = staticmethod(_itself)

    def given(self, session: str, number: int) -> tuple[str, list[tuple[Any, ...]]]:
        """Build the n-th message as sessionstore's callers do, and return its columns."""
        message = message_of(session, number)
        text, call, result = (vars(part) for part in message.parts)
        call_id, name, arguments = call["tool_call_id"], call["tool_name"], to_json(call["arguments"]).decode()
        return message.id, [
            (0, text["id"], "text", text["content"], None, None, None),
            (1, call["id"], "tool_call", None, call_id, name, arguments),
            (2, result["id"], "tool_result", result["output"], result["tool_call_id"], result["tool_name"], None),
        ]

    def told(self, session: str, messages: Sequence[Any], parts: Sequence[Any]) -> int:
        """Make models of messages and parts."""
        with collector_paused(len(parts)):
            found: dict[int, Message] = {}
            for seq, id_, role, turn, status, model, provider, usage, metadata, created in messages:
                found[seq] = _message(
                    {
                        "id": id_,
                        "session_id": session,
                        "role": role,
                        "parts": [],
                        "created_at": self.as_time(created),
                        "model": model,
                        "provider": provider,
                        "usage": None if usage is None else from_json(usage),
                        "status": status,
                        "metadata": {} if metadata == "{}" else from_json(metadata),
                        "seq": seq,
                        "turn": turn,
                    }
                )
            for row in parts:
                found[row[0]].parts.append(_part(*row[2:8]))
            return len([*found.values()])

    def listed(self, rows: Sequence[Any]) -> int:
        """Make models of sessions."""
        found: list[SessionInfo] = []
        for *columns, metadata, created, updated, archived, summary in rows:
            fields: dict[str, Any] = dict(zip(_COLUMNS, columns, strict=True))
            times = {"created": created, "updated": updated, "archived": archived}
            fields["time"] = _time({name: self.as_time(time) for name, time in times.items()})
            fields["summary_message_id"] = summary
            fields["metadata"] = {} if metadata == "{}" else from_json(metadata)
            found.append(_info(fields))
        return len(found)


def _part(id_: str, type_: str, text: str, call_id: str, name: str, payload: str) -> Part:
    if type_ == "text":
        return _text({"id": id_, "metadata": {}, "type": type_, "content": text})
    if type_ == "tool_call":
        arguments = from_json(payload, cache_strings="keys")
        return _call(
            {
                "id": id_,
                "metadata": {},
                "type": type_,
                "tool_call_id": call_id,
                "tool_name": name,
                "arguments": arguments,
            }
        )
    return _result(
        {
            "id": id_,
            "metadata": {},
            "type": type_,
            "tool_call_id": call_id,
            "tool_name": name,
            "title": "",
            "output": text,
            "error": None,
        }
    )


class AsyncpgModels(WithModels, AsyncpgLimit):
    """asyncpg."""

    name: ClassVar[str] = "asyncpg, with models"


class SqliteModels(WithModels, SqliteThread):
    """`sqlite3` in another thread, with one hop an operation."""

    name: ClassVar[str] = "sqlite3, one thread hop, with models"
    as_time = staticmethod(_of_microseconds)
