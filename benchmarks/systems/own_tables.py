"""sessionstore's own tables, for its adapters and for the raw drivers, which write the same rows."""

import uuid
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar

from benchmarks import content
from benchmarks.content import Contents
from benchmarks.system import System
from benchmarks.target import Rows, Target
from sessionstore import SessionInfo, SessionTime, SQLSessionStore

TOKENS = "input_tokens, output_tokens, total_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens"
NO_TOKENS = ", ".join("0" for _ in TOKENS.split(","))
ADD_NO_TOKENS = ", ".join(f"{name} = {name} + 0" for name in TOKENS.split(", "))
"""Token counts change with every append, also where a message has none."""

MESSAGE_COLUMNS = (
    f"session_id, seq, id, role, turn, starts_turn, status, model, provider, {TOKENS}, usage, metadata, "
    "created_at, updated_at"
)
PART_COLUMNS = "session_id, message_seq, position, id, type, text, tool_call_id, tool_name, payload"

READ_MESSAGE = "seq, id, role, turn, status, model, provider, usage, metadata, created_at"
READ_PART = "message_seq, position, id, type, text, tool_call_id, tool_name, payload, extra"
READ_SESSION = (
    f"id, title, project_dir, working_dir, model_id, provider_id, root_session_id, parent_session_id, user_id, "
    f"message_count, {TOKENS}, metadata, created_at, updated_at, archived_at, (SELECT message_id FROM "
    "sessionstore_summaries m WHERE m.session_id = s.id AND m.active ORDER BY number DESC LIMIT 1)"
)
LIST = (
    f"SELECT {READ_SESSION} FROM sessionstore_sessions s WHERE tenant_id = '' AND archived_at IS NULL "
    "ORDER BY updated_at DESC, id DESC LIMIT"
)


def new_id() -> str:
    """Return an id for a row."""
    return uuid.uuid4().hex


def part_rows(number: int) -> list[tuple[Any, ...]]:
    """Return the parts of the n-th message, from `position` on."""
    v, call = content.variant(number), content.call_id(number)
    return [
        (0, new_id(), "text", content.TEXTS[v], None, None, None),
        (1, new_id(), "tool_call", None, call, content.TOOL_NAME, content.ARGUMENTS_JSON[v]),
        (2, new_id(), "tool_result", content.OUTPUTS[v], call, content.TOOL_NAME, None),
    ]


class OwnTables(System):
    """Makes, seeds and counts on sessionstore's tables."""

    tables: ClassVar[str] = "sessionstore"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._admin = SQLSessionStore.from_url(target.url())

    async def open(self) -> None:
        """Connect."""
        await self.connect()

    async def make_tables(self) -> None:
        """Migrate."""
        await self._admin.upgrade()

    async def close(self) -> None:
        """Disconnect."""
        await self.disconnect()
        await self._admin.close()

    @abstractmethod
    async def connect(self) -> None:
        """Connect what is measured."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Disconnect what is measured."""

    def given(self, session: str, number: int) -> tuple[str, list[tuple[Any, ...]]]:  # noqa: ARG002
        """Return the id of the n-th message as a raw driver writes it, and its parts, from `position` on."""
        return new_id(), part_rows(number)

    def told(self, session: str, messages: Sequence[Any], parts: Sequence[Any]) -> int:  # noqa: ARG002
        """Take what a raw driver has read, and return how many messages that is."""
        return len(messages)

    def listed(self, rows: Sequence[Any]) -> int:
        """Take the sessions that a raw driver has read, and return how many these are."""
        return len(rows)

    async def create(self, session: str) -> None:
        """Create a session through the public API."""
        await self._admin.create_session(SessionInfo(id=session, time=SessionTime()))

    async def count(self, session: str) -> int:
        """Count what is stored, past the API."""
        stored = await self._admin.get_messages(session)
        if [message.seq for message in stored] != list(range(1, len(stored) + 1)):
            raise AssertionError(f"the messages of {session!r} aren't numbered from 1 without a gap")
        return len(stored)

    async def seed(self, contents: Contents) -> None:
        """Insert sessions, messages and parts."""
        sessions = contents.sessions()
        as_stored = _microseconds if self.target.family == "sqlite" else _itself
        await self.target.insert(
            Rows("sessionstore_sessions", _SESSION_COLUMNS, _session_rows(sessions, as_stored)),
            Rows("sessionstore_messages", _split(MESSAGE_COLUMNS), _message_rows(sessions, as_stored)),
            Rows("sessionstore_parts", _split(PART_COLUMNS), _part_rows(sessions)),
        )


def _split(columns: str) -> tuple[str, ...]:
    return tuple(columns.split(", "))


_COUNTED = tuple(f"{base}{name}" for base in ("", "base_") for name in TOKENS.split(", "))
_SESSION_COLUMNS = (
    *("id", "tenant_id", "title", "last_seq", "last_message_at", "turn_count", "message_count"),
    *_COUNTED,
    *("metadata", "created_at", "updated_at"),
)


def _itself(time: datetime) -> Any:
    return time


def _microseconds(time: datetime) -> Any:
    return round(time.timestamp()) * 1_000_000


def _session_rows(sessions: dict[str, int], as_stored: Any) -> Iterator[tuple[Any, ...]]:
    for age, (session, length) in enumerate(sessions.items(), 1):
        last = as_stored(content.time_of(length)) if length else None
        used = as_stored(content.time_of(age))
        yield (session, "", "New Session", length, last, 0, length, *(0 for _ in _COUNTED), "{}", used, used)


def _message_rows(sessions: dict[str, int], as_stored: Any) -> Iterator[tuple[Any, ...]]:
    nothing = (None, None, *(0 for _ in TOKENS.split(",")), None, "{}")
    for session, length in sessions.items():
        for number in range(1, length + 1):
            time = as_stored(content.time_of(number))
            yield (session, number, new_id(), "assistant", 0, False, "complete", *nothing, time, time)


def _part_rows(sessions: dict[str, int]) -> Iterator[tuple[Any, ...]]:
    for session, length in sessions.items():
        for number in range(1, length + 1):
            for row in part_rows(number):
                yield (session, number, *row)
