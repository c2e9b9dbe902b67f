"""Every error that this package raises on purpose.

One base, `SessionStoreError`; where a driver was involved, the error is raised
from the driver's. Messages name places and remedies, and carry no message
content and no password.
"""

from typing import Any, Self


class SessionStoreError(Exception):
    """The session store could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n", 1)[0])


class InvalidValue(SessionStoreError, ValueError):
    """A value can't be stored without loss, or breaks a rule of the interface; nothing was written."""


class SessionNotFound(SessionStoreError):
    """There is no session with this id."""


class SessionExists(SessionStoreError):
    """A session with this id exists already; it is unchanged."""


class MessageNotFound(SessionStoreError):
    """The session has no message with this id."""


class MessageConflict(SessionStoreError):
    """A message with this id is stored with other content; nothing was written."""


class CorruptRecord(SessionStoreError):
    """A row in the database can't be read: its table and key are in the message.

    From `list_sessions`, `resume` is what to give as `after` to go on behind the bad row.
    """

    def __init__(self, table: str, key: tuple[object, ...], reason: str, resume: Any = None) -> None:
        self.table = table
        self.key = key
        self.reason = reason
        self.resume = resume
        super().__init__(f"{table} {key!r}: {reason}")

    def __reduce__(self) -> tuple[type[Self], tuple[str, tuple[object, ...], str, Any]]:
        return type(self), (self.table, self.key, self.reason, self.resume)


class SchemaOutOfDate(SessionStoreError):
    """The tables are missing or older than this version of sessionstore."""


class StoreUnavailable(SessionStoreError):
    """The database can't be reached, stayed locked, or lost the connection; try again later.

    `maybe_applied` is true when the connection was lost while the write was being committed, so
    that it may or may not be there. Only appends and others that are idempotent are safe to repeat.
    """

    def __init__(self, message: str | None = None, *, maybe_applied: bool = False) -> None:
        self.maybe_applied = maybe_applied
        super().__init__(message)


class CompactionFailed(SessionStoreError):
    """The compaction's strategy failed; the conversation is unchanged."""


class CompactionConflict(SessionStoreError):
    """Another compaction of this session was recorded, or undone, while the strategy ran; nothing was changed."""
