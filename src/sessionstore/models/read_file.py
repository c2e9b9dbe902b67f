"""A file that was read in a session, and how paths are compared."""

import os

from sessionstore.errors import InvalidValue
from sessionstore.models.base import CleanText, Count, Model, Text, UTCDatetime


class ReadFile(Model):
    """A file as it was when it was last read; the path is in its compared form (`normalize_path`)."""

    path: Text
    read_at: UTCDatetime
    mtime_ns: Count | None = None
    size: Count | None = None
    content_hash: CleanText | None = None


def normalize_path(path: str | os.PathLike[str]) -> str:
    """Return the form in which paths are compared: without ``.`` segments, doubled or trailing slashes.

    Nothing else is folded, because paths decide permissions: ``..`` may cross a symlink, and
    case and Unicode forms name different files on most systems. Raises `InvalidValue` for an
    empty path, a NUL, and text that no file name decodes to.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str) or not text:  # pyright: ignore[reportUnnecessaryIsInstance] - or bytes
        raise InvalidValue(f"path: {text!r:.100} is not a path; give non-empty text")
    if "\0" in text:
        raise InvalidValue("path: contains NUL, which no file name can; was it cut out of binary data?")
    root = "/" if text.startswith("/") else ""
    normal = root + "/".join(segment for segment in text.split("/") if segment not in ("", "."))
    path_bytes(normal)
    return normal or "."


def path_bytes(path: str) -> bytes:
    """Return the path as the operating system has it. Raises `InvalidValue` for what is no file name."""
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidValue(f"path: has a lone surrogate at {error.start}, which no file name decodes to") from error


def path_text(path: bytes) -> str:
    """Return the text of `path_bytes`' result."""
    return path.decode("utf-8", "surrogateescape")
