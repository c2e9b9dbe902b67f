"""The interface: what a session store does, and the laws that every implementation keeps."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from sessionstore.models import Message, ReadFile, Session, SessionInfo


@runtime_checkable
class SessionStore(Protocol):
    """Durable conversations.

    Laws that hold for every method:

    - A write is all or nothing, also when its caller is cancelled: once it has begun it
      completes, and then the cancellation is raised. One that still waits for a connection is
      given up.
    - Messages are ordered by `seq`, a number per session from 1, gap-free as it is given and
      never reused. Whoever keeps the highest `seq` seen and asks for what comes after it
      misses no message, whatever the number of writers.
    - JSON values and message texts come back exactly as they were given. What can't is
      refused with `InvalidValue` before anything is written.
    - A bad argument (an id that is empty, longer than 255 characters or holds NUL or a lone
      surrogate; a negative `limit`; a naive datetime) raises `InvalidValue`, which is a
      `ValueError`.
    - Every error is a `sessionstore.errors.SessionStoreError`.
    """

    # Sessions

    async def create_session(self, session: SessionInfo) -> SessionInfo:
        """Store a new session and return it as stored.

        The given times are kept; counters start at 0 and the summary pointer is empty,
        whatever was given. Raises `SessionExists` when the id is taken; the stored session is
        unchanged then.
        """
        ...

    async def get_session(self, session_id: str) -> SessionInfo | None:
        """Return the session's metadata, or `None` when there is no such session."""
        ...

    async def list_sessions(
        self,
        *,
        user_id: str | None = None,
        parent_session_id: str | None = None,
        archived: bool | None = None,
        limit: int | None = None,
        after: SessionInfo | None = None,
    ) -> list[SessionInfo]:
        """Return sessions, most recently updated first, those of one instant by id, descending.

        `archived`: `True` gives only archived sessions, `False` only the others, `None` both.
        `after` continues behind that session, as an earlier page gave it. A page costs the same
        however many sessions there are. A session that is used while someone pages may move to
        the front and be missed.

        A row that can't be read raises `CorruptRecord`, which names it, for the whole page: read
        that page with `limit=1`, and go on behind the bad row with the error's `resume`.
        """
        ...

    async def update_session(self, session: SessionInfo) -> SessionInfo:
        """Store title, directories, model, provider, user, archive time and metadata; return the session.

        Counters, ids and the other times are the store's own: what is given for them is ignored.
        Moves `updated`. Raises `SessionNotFound`.
        """
        ...

    async def add_usage(self, session_id: str, usage: Mapping[str, int]) -> None:
        """Add token usage that belongs to no message to the session's totals.

        The keys are those of `Message.usage`; without `total_tokens` it is input + output.
        Moves `updated`. Raises `SessionNotFound`.
        """
        ...

    async def save_session(self, session: Session) -> Session:
        """Make the stored session what is given: insert it, or bring the stored one to it.

        One transaction. Afterwards the metadata, times and totals included, and the messages, in
        their order, are what was given. Messages that stand where they stood keep their `seq`;
        from the first inserted or moved one on they are numbered anew, and summaries go on
        covering what they covered. `message_count` is the number of messages. Raises
        `InvalidValue` for a message of another session or an id that occurs twice, and
        `MessageNotFound` when `summary_message_id` is none of the messages.
        """
        ...

    async def update_session_title(self, session_id: str, title: str) -> None:
        """Set the title and move `updated`. Raises `SessionNotFound`."""
        ...

    async def update_session_summary(
        self, session_id: str, summary_message_id: str | None, *, covers_through: str | None = None
    ) -> None:
        """Point at the message that stands in for earlier ones; moves `updated`.

        `covers_through` is the id of the last message that the summary replaces; left out, it
        covers everything before the summary message, from turn 1 on. It may come after the
        summary message, which stands in for what follows it then; one before turn 1, which is
        never collected, means that nothing is covered. `None` as the message
        clears the pointer: the records stay, no longer active. Raises `SessionNotFound`, and
        `MessageNotFound` when a message isn't of this session; the pointer is unchanged then.
        """
        ...

    async def delete_session(self, session_id: str) -> bool:
        """Delete the session and everything that hangs on it; `False` when there was none.

        Sessions that name it as their parent or root stay.
        """
        ...

    # Messages

    async def save_message(self, message: Message) -> Message:
        """Append a message; return it with `seq`, `turn` and `created_at` set.

        Moves the session's `updated`, message count and token totals in the same transaction.
        `created_at` is the store's, strictly increasing within the session, unless it was given
        explicitly.

        Idempotent: the same id with the same content returns the stored message and writes
        nothing; the same id with other content raises `MessageConflict`. Content is role, parts
        (but for their ids), model, provider, usage, status and metadata; not times.
        Raises `SessionNotFound`.
        """
        ...

    async def save_messages(self, messages: Sequence[Message]) -> list[Message]:
        """Append messages of one session, contiguously, all or none; return them in the order given.

        Those that are stored already with the same content come back as stored, the others are
        appended. Raises `InvalidValue` for messages of several sessions, `MessageConflict` as
        `save_message` does, and `SessionNotFound`; nothing is written then. `[]` gives `[]`.
        """
        ...

    async def replace_message(self, message: Message) -> Message:
        """Give a stored message new content; return it. Its `seq` and `created_at` stay.

        Token totals follow, and the turns behind it are renumbered when it starts or ceases to
        start one. Moves the session's `updated`. Raises `MessageNotFound`, also for an unknown
        session.
        """
        ...

    async def get_message(self, session_id: str, message_id: str) -> Message | None:
        """Return one message, or `None`."""
        ...

    async def get_messages(self, session_id: str, *, limit: int | None = None) -> list[Message]:
        """Return the messages by `seq`; with `limit`, the latest so many, still by `seq`.

        An unknown session gives `[]`.
        """
        ...

    async def get_messages_after(
        self, session_id: str, after: datetime | str | int, *, limit: int | None = None
    ) -> list[Message]:
        """Return the messages strictly after a time, a message's id or a `seq`, by `seq`.

        With `limit`, the first so many of them: the last one's `seq` is the cursor for the next
        page. Raises `MessageNotFound` for an unknown message id; an unknown session with a
        time or a `seq` gives `[]`.
        """
        ...

    async def pop_message(self, session_id: str) -> Message | None:
        """Take the last message away and return it; `None` when there is none.

        Concurrent calls each get another message. Counters, totals and summary records follow.
        """
        ...

    async def delete_messages(self, session_id: str, *, after: str | int | None = None) -> int:
        """Delete the messages behind that id or `seq`, or all of them; return how many went.

        Counters, totals and summary records follow. Raises `MessageNotFound` for an unknown
        message id; an unknown session gives 0.
        """
        ...

    async def recover(self, *, stale_after: float = 60.0) -> list[Message]:
        """Mark drafts of dead writers as interrupted, in every session of this tenant; return them.

        A draft is a message with status `in_progress`; its writer is taken for dead when it has
        given no sign of life for `stale_after` seconds, by the database's clock where it has one.
        """
        ...

    # Read files

    async def track_read_file(
        self,
        session_id: str,
        path: str | os.PathLike[str],
        *,
        mtime_ns: int | None = None,
        size: int | None = None,
        content_hash: str | None = None,
    ) -> ReadFile:
        """Record that a file was read, now; `read_at` moves forward. Raises `SessionNotFound`."""
        ...

    async def has_read_file(self, session_id: str, path: str | os.PathLike[str]) -> bool:
        """Whether exactly this file was read in the session.

        Paths are compared after removing ``.`` segments, doubled and trailing slashes, and
        nothing else: in doubt it was not read.
        """
        ...

    async def get_read_file(self, session_id: str, path: str | os.PathLike[str]) -> ReadFile | None:
        """Return the record of a file, or `None` when it was never read."""
        ...

    async def list_read_files(self, session_id: str) -> list[ReadFile]:
        """Return the files that were read in the session, the latest first."""
        ...
