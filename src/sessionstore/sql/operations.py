"""The interface's methods: each checks its arguments, then runs one operation in a transaction.

The laws are in the docstrings of `sessionstore.store.SessionStore`.
"""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from typing_extensions import override

from sessionstore.errors import InvalidValue
from sessionstore.models import Message, ReadFile, Session, SessionArchive, SessionInfo, SessionTime
from sessionstore.models.read_file import normalize_path
from sessionstore.sql import (
    appending,
    archives,
    changing,
    checks,
    listing,
    messages,
    read_files,
    saving,
    sessions,
    summaries,
)
from sessionstore.sql.checks import check, check_model, own_metadata
from sessionstore.sql.prepared import Prepared, prepare
from sessionstore.sql.transaction import Runner, Transaction
from sessionstore.store import SessionStore

Append = Callable[[Transaction, str, Sequence[Prepared]], Awaitable[list[Message]]]


class Operations(SessionStore):
    """A `SessionStore` whose transactions are a runner's."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @property
    def runner(self) -> Runner:
        """What runs this store's operations, for the other modules of this package."""
        return self._runner

    # Sessions

    @override
    async def create_session(self, session: SessionInfo) -> SessionInfo:
        info = own_metadata(_check_info(session), "session")
        return await self._runner.write(lambda t: sessions.create(t, info), repeatable=True)

    @override
    async def get_session(self, session_id: str) -> SessionInfo | None:
        session_id = _check_id(session_id)
        return await self._runner.read(lambda t: sessions.get(t, session_id))

    @override
    async def list_sessions(
        self,
        *,
        user_id: str | None = None,
        parent_session_id: str | None = None,
        archived: bool | None = None,
        limit: int | None = None,
        after: SessionInfo | None = None,
    ) -> list[SessionInfo]:
        filters = {
            "user_id": None if user_id is None else _check_id(user_id, "user_id"),
            "parent_session_id": None
            if parent_session_id is None
            else _check_id(parent_session_id, "parent_session_id"),
        }
        check(checks.FLAG, archived, "archived")
        check(checks.LIMIT, limit, "limit")
        if after is not None and not isinstance(after, listing.Unreadable):
            after = _check_info(after, "after")
        return await self._runner.read(
            lambda t: listing.page(t, **filters, archived=archived, limit=limit, after=after)
        )

    @override
    async def update_session(self, session: SessionInfo) -> SessionInfo:
        info = own_metadata(_check_info(session), "session")
        return await self._runner.write(lambda t: sessions.modify(t, info))

    @override
    async def add_usage(self, session_id: str, usage: Mapping[str, int]) -> None:
        session_id = _check_id(session_id)
        tokens = checks.check_usage(usage)
        await self._runner.write(lambda t: sessions.add_usage(t, session_id, tokens))

    @override
    async def save_session(self, session: Session) -> Session:
        whole = saving.check_whole(session)
        return await self._runner.write(lambda t: saving.save(t, whole))

    @override
    async def update_session_title(self, session_id: str, title: str) -> None:
        session_id = _check_id(session_id)
        title = check(checks.TEXT, title, "title")
        await self._runner.write(lambda t: sessions.set_title(t, session_id, title))

    @override
    async def update_session_summary(
        self, session_id: str, summary_message_id: str | None, *, covers_through: str | None = None
    ) -> None:
        session_id = _check_id(session_id)
        if summary_message_id is not None:
            summary_message_id = _check_id(summary_message_id, "summary_message_id")
        if covers_through is not None:
            covers_through = _check_id(covers_through, "covers_through")
            if summary_message_id is None:
                raise InvalidValue("covers_through: goes with a summary message; clearing the pointer covers nothing")
        await self._runner.write(lambda t: summaries.point(t, session_id, summary_message_id, covers_through))

    @override
    async def delete_session(self, session_id: str) -> bool:
        session_id = _check_id(session_id)
        return await self._runner.write(lambda t: sessions.remove(t, session_id))

    # Messages

    @override
    async def save_message(self, message: Message) -> Message:
        return (await self._append([prepare(message)]))[0]

    @override
    async def save_messages(self, messages: Sequence[Message]) -> list[Message]:
        return await self._save(messages, changing.append)

    async def save_messages_anyway(self, messages: Sequence[Message]) -> list[Message]:
        """Save messages as `save_messages` does, and make their session in the same transaction if there is none.

        Raises `SessionExists` when another tenant has a session with this id.
        """
        return await self._save(messages, changing.append_anyway)

    async def _save(self, messages: Sequence[Message], append: Append) -> list[Message]:
        batch = [prepare(message, f"messages[{index}]") for index, message in enumerate(messages)]
        if not batch:
            return []
        session_id = batch[0].message.session_id
        for index, prepared in enumerate(batch):
            if prepared.message.session_id != session_id:
                raise InvalidValue(
                    f"messages[{index}].session_id: is {prepared.message.session_id!r}, and the first one's is "
                    f"{session_id!r}; save one session's messages at a time"
                )
        return await self._append(batch, append)

    async def _append(self, batch: list[Prepared], append: Append = changing.append) -> list[Message]:
        session_id = batch[0].message.session_id
        return await self._runner.write(
            lambda t: append(t, session_id, batch),
            quick=lambda t: appending.append(t, session_id, batch),
            repeatable=True,
        )

    @override
    async def replace_message(self, message: Message) -> Message:
        prepared = prepare(message)
        return await self._runner.write(lambda t: changing.replace(t, prepared.message.session_id, prepared))

    @override
    async def get_message(self, session_id: str, message_id: str) -> Message | None:
        session_id, message_id = _check_id(session_id), _check_id(message_id, "message_id")
        return await self._runner.read(lambda t: messages.get(t, session_id, message_id))

    @override
    async def get_messages(self, session_id: str, *, limit: int | None = None) -> list[Message]:
        session_id = _check_id(session_id)
        check(checks.LIMIT, limit, "limit")
        return await self._runner.read(lambda t: messages.read(t, session_id, limit))

    @override
    async def get_messages_after(
        self, session_id: str, after: datetime | str | int, *, limit: int | None = None
    ) -> list[Message]:
        session_id = _check_id(session_id)
        place = checks.check_position(after)
        check(checks.LIMIT, limit, "limit")
        return await self._runner.read(lambda t: messages.read_after(t, session_id, place, limit))

    @override
    async def pop_message(self, session_id: str) -> Message | None:
        session_id = _check_id(session_id)
        return await self._runner.write(lambda t: changing.pop(t, session_id))

    @override
    async def delete_messages(self, session_id: str, *, after: str | int | None = None) -> int:
        session_id = _check_id(session_id)
        place = None if after is None else checks.check_place(after)
        return await self._runner.write(lambda t: changing.delete_after(t, session_id, place))

    @override
    async def recover(self, *, stale_after: float = 60.0) -> list[Message]:
        seconds = check(checks.SECONDS, stale_after, "stale_after")
        return await self._runner.write(lambda t: messages.recover(t, seconds))

    # Read files

    @override
    async def track_read_file(
        self,
        session_id: str,
        path: str | os.PathLike[str],
        *,
        mtime_ns: int | None = None,
        size: int | None = None,
        content_hash: str | None = None,
    ) -> ReadFile:
        session_id, path = _check_id(session_id), normalize_path(path)
        check(checks.COUNT, mtime_ns, "mtime_ns")
        check(checks.COUNT, size, "size")
        if content_hash is not None:
            check(checks.TEXT, content_hash, "content_hash")
        return await self._runner.write(
            lambda t: read_files.track(t, session_id, path, mtime_ns, size, content_hash), repeatable=True
        )

    @override
    async def has_read_file(self, session_id: str, path: str | os.PathLike[str]) -> bool:
        return await self.get_read_file(session_id, path) is not None

    @override
    async def get_read_file(self, session_id: str, path: str | os.PathLike[str]) -> ReadFile | None:
        session_id, path = _check_id(session_id), normalize_path(path)
        return await self._runner.read(lambda t: read_files.get(t, session_id, path))

    @override
    async def list_read_files(self, session_id: str) -> list[ReadFile]:
        session_id = _check_id(session_id)
        return await self._runner.read(lambda t: read_files.list_all(t, session_id))

    # Archives

    async def export_session(self, session_id: str) -> SessionArchive | None:
        """Return the session with everything that hangs on it, as of one moment; `None` when there is none."""
        session_id = _check_id(session_id)
        return await self._runner.write(lambda t: archives.export(t, session_id), repeatable=True)

    async def import_session(self, archive: SessionArchive) -> SessionInfo:
        """Put an archive back, all or nothing: ids, times, `seq`, totals and records as they were.

        Raises `SessionExists` when the session's id is taken, and `InvalidValue`, which names
        the place, for an archive that contradicts itself.
        """
        checked = archives.check(archive)
        return await self._runner.write(lambda t: archives.restore(t, checked))


def _check_id(value: str, place: str = "session_id") -> str:
    return check(checks.ID, value, place)


def _check_info(session: SessionInfo, place: str = "session") -> SessionInfo:
    info = check_model(session, SessionInfo, place)
    check_model(info.time, SessionTime, f"{place}.time")
    return info
