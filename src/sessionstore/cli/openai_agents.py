"""`sessionstore import --from-openai-agents`: conversations from the OpenAI Agents SDK's own tables."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Row

from sessionstore import jsontext
from sessionstore.cli.agents_tables import Source, Tables, opened
from sessionstore.errors import CorruptRecord, InvalidValue, SessionExists
from sessionstore.formats import openai_responses
from sessionstore.models import Message, SessionArchive, SessionInfo, SessionTime
from sessionstore.sql.store import SQLSessionStore


class Counts(NamedTuple):
    """What became of the conversations, and how many bad rows were left out of them."""

    stored: int = 0
    known: int = 0
    bad: int = 0
    left_out: int = 0


async def import_all(
    source: Source,
    store: SQLSessionStore,
    *,
    complain: Callable[[str], None],
    leave_out: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None],
) -> Counts:
    """Import all conversations, each whole or not at all; `progress` is told how many of how many are done.

    One that was imported before is passed over; `complain` is told of what can't be imported. Where there is a
    `leave_out`, that is told of each row that can't be read, and its conversation is imported without it.
    """
    counts = Counts()
    async with opened(source) as tables:
        total = await tables.count()
        async for session in tables.sessions():
            try:
                came = await _import(tables, store, session, leave_out)
            except (InvalidValue, SessionExists, CorruptRecord) as error:
                complain(f"session {session.session_id!r}: {error}")
                came = Counts(bad=1)
            counts = Counts(*(old + new for old, new in zip(counts, came, strict=True)))
            progress(counts.stored + counts.known + counts.bad, total)
    return counts


async def _import(
    tables: Tables, store: SQLSessionStore, session: Row[Any], leave_out: Callable[[str], None] | None
) -> Counts:
    """Store a session, or find it there with these items."""
    await _refuse_branches(tables, session.session_id)
    rows = await tables.items(session.session_id)
    read = _read(tables, rows, leave_out)
    items = [item for _, item in read]
    archive = openai_responses.parse({"id": session.session_id, "messages": items})
    times = [_time(row.created_at, tables.place(row)) for row, _ in read]
    created, updated = (_time(time, "its row") for time in (session.created_at, session.updated_at))
    left_out = len(rows) - len(read)
    try:
        await store.import_session(_dated(archive, SessionTime(created=created, updated=max(created, updated)), times))
    except SessionExists as error:
        await _compare(store, session.session_id, items, error)
        return Counts(known=1, left_out=left_out)
    return Counts(stored=1, left_out=left_out)


async def _refuse_branches(tables: Tables, session_id: str) -> None:
    branches = await tables.branches(session_id)
    if branches:
        raise InvalidValue(
            f"message_structure has branches of it besides main, {', '.join(branches)}; delete_branch those, or add "
            "the items of the one to keep (AdvancedSQLiteSession.get_items(branch_id=…)) to an SQLSession yourself"
        )


async def _compare(store: SQLSessionStore, session_id: str, items: list[dict[str, Any]], error: SessionExists) -> None:
    """Raise `SessionExists`, saying what to do, unless the stored session begins with the items."""
    if await store.get_session(session_id) is None:
        raise error  # another tenant's
    stored = [jsontext.dumps(item) for item in openai_responses.items_of_messages(await store.get_messages(session_id))]
    given = [jsontext.dumps(item) for item in items]
    if stored[: len(given)] == given:
        return
    if given[: len(stored)] == stored:
        raise SessionExists(
            f"{len(given) - len(stored)} of its {len(given)} items aren't here: it went on there since it was "
            "imported, or they were taken away here; delete it here (sessionstore rm) to import it again"
        ) from error
    raise SessionExists(
        "its id is taken by a conversation with other items, perhaps because it went on since it was imported; "
        "delete that one to import it again"
    ) from error


def _read(
    tables: Tables, rows: Sequence[Row[Any]], leave_out: Callable[[str], None] | None
) -> list[tuple[Row[Any], dict[str, Any]]]:
    """Return the rows with their items, without those that are left out."""
    read: list[tuple[Row[Any], dict[str, Any]]] = []
    for row in rows:
        try:
            read.append((row, _item(row.message_data, tables.place(row))))
        except InvalidValue as error:
            if leave_out is None:
                raise InvalidValue(f"{error}; mend that row, delete it, or leave it out with --skip-bad") from error
            leave_out(str(error))
    return read


def _item(data: Any, place: str) -> dict[str, Any]:
    try:
        item: Any = json.loads(data)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidValue(f"{place}: message_data is no JSON") from error
    if not isinstance(item, dict):
        raise InvalidValue(f"{place}: message_data is no JSON object")
    jsontext.dumps(item, place)
    return item  # pyright: ignore[reportUnknownVariableType] - JSON


def _time(value: Any, place: str) -> datetime:
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (ValueError, TypeError) as error:
        raise InvalidValue(f"{place}: its time can't be read; mend that row") from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)


def _dated(archive: SessionArchive, time: SessionTime, times: Sequence[datetime]) -> SessionArchive:
    messages: list[Message] = [
        message.model_copy(update={"created_at": at}) for message, at in zip(archive.messages, times, strict=True)
    ]
    info: SessionInfo = archive.info.model_copy(update={"time": time})
    return archive.model_copy(update={"info": info, "messages": messages})
