"""The native format: everything that a session holds, without loss.

``{"format": "sessionstore", "version": 1, "id", "info", "messages", "read_files", "summaries",
"last_seq"}``: the models' fields under their own names, times as ISO 8601 in UTC with
microseconds. Messages don't repeat the session's id.
"""

from datetime import datetime
from typing import Any, cast

from sessionstore.errors import InvalidValue
from sessionstore.formats.reading import kind_of, message_items, validated
from sessionstore.models import SessionArchive, SessionInfo
from sessionstore.models.base import Model

_MARKER = "sessionstore"
_VERSION = 1


def is_marked(conversation: dict[str, Any]) -> bool:
    """Whether the conversation says that it is in this format."""
    return conversation.get("format") == _MARKER


def parse(conversation: dict[str, Any]) -> SessionArchive:
    """Return the archive that `render` was given. Raises `InvalidValue`, naming the place."""
    version = conversation.get("version", _VERSION)
    if version != _VERSION:
        raise InvalidValue(f"version: {version!r:.20} is not {_VERSION}; read it with the sessionstore that wrote it")
    given = conversation.get("info", {})
    if not isinstance(given, dict):
        raise InvalidValue(f"info: is {kind_of(given)}, not an object; it holds the title, times and counters")
    session_id = {"id": conversation["id"]} if "id" in conversation else {}
    info = validated(SessionInfo, cast("dict[str, Any]", given) | session_id, "info")
    archive = {key: value for key, value in conversation.items() if key not in ("format", "version", "id")}
    messages = [item | {"session_id": info.id} for item in message_items(conversation)]
    return validated(SessionArchive, archive | {"info": info, "messages": messages})


def render(archive: SessionArchive) -> dict[str, Any]:
    """Return the conversation with everything that the archive holds."""
    fields = fields_of(archive)
    session_id = fields["info"].pop("id")
    for message in fields["messages"]:
        del message["session_id"]
    return {"format": _MARKER, "version": _VERSION, "id": session_id, **fields}


def fields_of(value: Any) -> Any:
    """Return a model's fields as JSON values.

    JSON values among them stay as they are and aren't walked: pydantic's own dump gives up on
    deep ones, and in its JSON mode changes NaN, surrogates and large integers.
    """
    if isinstance(value, Model):
        return {name: fields_of(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, tuple):
        return list(cast("tuple[Any, ...]", value))
    if isinstance(value, list):
        return [fields_of(item) if isinstance(item, Model | tuple) else item for item in cast("list[Any]", value)]
    return value
