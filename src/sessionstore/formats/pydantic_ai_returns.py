"""What a tool of Pydantic AI's returned: any JSON, perhaps with files in it, as the text that others read."""

import json
from typing import Any, cast

from sessionstore import jsontext
from sessionstore.formats.pieces import json_text

_FILES = ("binary", "image-url", "audio-url", "video-url", "document-url", "uploaded-file")


def read_return(content: Any) -> tuple[str, Any]:
    """Return the text of it and a note: `""` for a text, `None` for JSON, and itself with files in it."""
    if isinstance(content, str):
        return content, ""
    text = json_text(content)
    told = _without_files(text)
    return (text, None) if told is None else (told, content)


def write_return(text: str, noted: Any) -> Any:
    """Return what the text was read from, as the note says; the text itself when it has been edited."""
    if noted:
        return noted if _without_files(json_text(noted)) == text else text
    try:
        return text if noted == "" else jsontext.loads(text)
    except ValueError:  # it has been edited
        return text


def _without_files(text: str) -> str | None:
    """Return a line for each piece, a text or JSON, in which files are what they are; `None` if there are no files."""
    files: list[str] = []

    def replaced(item: dict[str, Any]) -> Any:
        if item.get("kind") not in _FILES or item.keys().isdisjoint(("data", "url", "file_id")):
            return item
        files.append(f"({item.get('media_type') or item['kind']})")
        return files[-1]

    content: Any = json.loads(text, object_hook=replaced) if '"kind"' in text else None
    pieces = cast("list[Any]", content) if isinstance(content, list) else [content]
    return "\n".join(piece if isinstance(piece, str) else json_text(piece) for piece in pieces) if files else None
