"""A session as a whole, brought to what is given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, update

from sessionstore.errors import InvalidValue, MessageNotFound
from sessionstore.models import Message, Session, SessionInfo, Summary
from sessionstore.models.usage import MAX_TOTAL, TOKEN_FIELDS, Tokens
from sessionstore.sql import changing, sessions
from sessionstore.sql import messages as reading
from sessionstore.sql import summaries as summary_records
from sessionstore.sql.checks import check_model, own_metadata
from sessionstore.sql.dialect import Instant
from sessionstore.sql.prepared import Prepared, prepare
from sessionstore.sql.rows import grouped
from sessionstore.sql.schema import messages, parts, summaries
from sessionstore.sql.transaction import Transaction

_AT = (messages.c.session_id == bindparam("session"), messages.c.seq == bindparam("at_seq"))
_MOVE = (
    update(messages).where(*_AT).values(turn=bindparam("new_turn"), created_at=bindparam("new_time", type_=Instant()))
)
_DELETE_ONE = (
    delete(messages).where(*_AT),  # first: a draft's writer locks its message and then its parts
    delete(parts).where(parts.c.session_id == bindparam("session"), parts.c.message_seq == bindparam("at_seq")),
    delete(summaries).where(
        summaries.c.session_id == bindparam("session"), summaries.c.message_id == bindparam("message")
    ),
)
_DELETE_SUMMARIES_BEHIND = delete(summaries).where(
    summaries.c.session_id == bindparam("session"), summaries.c.at_seq > bindparam("keep")
)


@dataclass(frozen=True)
class Whole:
    """A session and its messages, checked and ready to be written, every message with the time it has."""

    info: SessionInfo
    messages: list[Prepared]

    @property
    def tokens(self) -> Tokens:
        """The sums over the messages."""
        return Tokens(*(sum(counts) for counts in zip(*(m.tokens for m in self.messages), strict=True)))


def check_whole(session: Session) -> Whole:
    """Check an aggregate. Raises `InvalidValue`, and `MessageNotFound` for a summary that isn't in it."""
    checked = check_model(session, Session, "session")
    info = own_metadata(check_model(checked.info, SessionInfo, "session.info"), "session")
    prepared: list[Prepared] = []
    ids: set[str] = set()
    for index, message in enumerate(checked.messages):
        place = f"session.messages[{index}]"
        one = prepare(message, place)
        if one.message.session_id != info.id:
            raise InvalidValue(f"{place}.session_id: is {one.message.session_id!r}, and the session is {info.id!r}")
        if one.message.id in ids:
            raise InvalidValue(f"{place}.id: {one.message.id!r} occurs twice in the session")
        ids.add(one.message.id)
        prepared.append(replace(one, time=one.message.created_at))
    for field in TOKEN_FIELDS:
        if abs(getattr(info, field)) > MAX_TOTAL:
            raise InvalidValue(f"session.info.{field}: is beyond {MAX_TOTAL}: not a count of tokens")
    if info.summary_message_id is not None and info.summary_message_id not in ids:
        raise MessageNotFound(f"session.info.summary_message_id: {info.summary_message_id!r} is none of the messages")
    return Whole(info, prepared)


async def save(t: Transaction, whole: Whole) -> Session:
    """Insert the session, or bring the stored one to it. Raises `SessionExists` for another tenant's id."""
    info = whole.info
    locked = await sessions.lock(t, info.id)
    if locked is None:
        stored = await insert(t, whole)
        if stored is not None:
            t.announce("session.created", session_id=info.id, title=info.title)
            return await _result(t, info.id, _announced(t, stored))
        locked = await sessions.lock(t, info.id)  # made by another writer just now, unless it is another tenant's
    if locked is None:
        raise sessions.taken(info.id)
    stored = await _bring(t, whole, locked)
    await point(t, info)
    t.announce("session.updated", session_id=info.id)
    return await _result(t, info.id, stored)


async def insert(t: Transaction, whole: Whole) -> list[Message] | None:
    """Insert a new session with its messages; return `None` when the id is taken."""
    now = await sessions.clock(t)
    placed = changing.place(whole.messages, 0, 0, None, now)
    if not await insert_placed(t, whole, placed, now, last_seq=len(placed)):
        return None
    await point(t, whole.info)
    return [message for _, message in placed]


async def insert_placed(
    t: Transaction, whole: Whole, placed: list[tuple[Prepared, Message]], now: datetime, last_seq: int
) -> bool:
    """Insert a new session with messages whose `seq` is known; return `False` when the id is taken."""
    contents = sessions.Contents(
        last_seq=last_seq,
        last_message_at=changing.latest(message.created_at for _, message in placed),
        turn_count=(placed[-1][1].turn or 0) if placed else 0,
        message_count=len(placed),
        tokens=whole.tokens,
    )
    if not await sessions.insert(t, whole.info, contents):
        return False
    await changing.insert_placed(t, whole.info.id, placed, now)
    return True


async def point(t: Transaction, info: SessionInfo) -> None:
    """Bring the summary pointer to what the session's metadata says."""
    stored = await sessions.get(t, info.id)
    if stored is not None and stored.summary_message_id != info.summary_message_id:
        await summary_records.set_pointer(t, info.id, info.summary_message_id)


async def _bring(t: Transaction, whole: Whole, locked: Row[Any]) -> list[Message]:
    """Bring the stored messages of a locked session to those given; keep the `seq` of those that stay in place."""
    session_id = whole.info.id
    stored = grouped(await reading.rows_of_all(t, session_id))
    kept = _kept(whole.messages, stored)
    records = await _taken_out(t, session_id, stored, whole.messages[len(kept) :])
    await _delete_others(t, session_id, stored, kept)
    result: list[Message] = []
    moved: list[dict[str, Any]] = []
    turn = 0
    for prepared, (row, part_rows) in zip(whole.messages, kept, strict=False):
        turn += prepared.starts_turn
        message = prepared.message.model_copy(update={"seq": row.seq, "turn": turn})
        if not prepared.is_stored_as(row, part_rows):
            await changing.rewrite(t, session_id, row.seq, prepared, locked.now)
            _announced(t, [message])
        if (row.turn, row.created_at) != (turn, message.created_at):
            moved.append({"session": session_id, "at_seq": row.seq, "new_turn": turn, "new_time": message.created_at})
        result.append(message)
    await t.run_many(_MOVE, moved)
    new = changing.place(whole.messages[len(kept) :], locked.last_seq, turn, None, locked.now)
    await changing.insert_placed(t, session_id, new, locked.now)
    result += _announced(t, [message for _, message in new])
    await _put_back(t, session_id, records, stored, result)
    await sessions.overwrite(
        t,
        whole.info,
        sessions.Contents(
            last_seq=locked.last_seq + len(new),
            last_message_at=changing.latest([locked.last_message_at, *(message.created_at for message in result)]),
            turn_count=(result[-1].turn or 0) if result else 0,
            message_count=len(result),
            tokens=whole.tokens,
        ),
    )
    return result


def _kept(
    given: Sequence[Prepared], stored: Sequence[tuple[Row[Any], list[Row[Any]]]]
) -> list[tuple[Row[Any], list[Row[Any]]]]:
    """Return the stored rows of the longest start of the given messages that are stored in that order."""
    position = {row.id: index for index, (row, _) in enumerate(stored)}
    kept: list[tuple[Row[Any], list[Row[Any]]]] = []
    last = -1
    for prepared in given:
        at = position.get(prepared.message.id, -1)
        if at <= last:
            break
        kept.append(stored[at])
        last = at
    return kept


async def _delete_others(
    t: Transaction,
    session_id: str,
    stored: Sequence[tuple[Row[Any], list[Row[Any]]]],
    kept: Sequence[tuple[Row[Any], list[Row[Any]]]],
) -> None:
    staying = {row.seq for row, _ in kept}
    gone: list[dict[str, Any]] = [
        {"session": session_id, "at_seq": row.seq, "message": row.id} for row, _ in stored if row.seq not in staying
    ]
    last = max(staying, default=-1)
    if gone and gone[-1]["at_seq"] > last:
        await t.run(_DELETE_SUMMARIES_BEHIND, session=session_id, keep=last)
    for statement in _DELETE_ONE:
        await t.run_many(statement, gone)


async def _taken_out(
    t: Transaction,
    session_id: str,
    stored: Sequence[tuple[Row[Any], list[Row[Any]]]],
    new: Sequence[Prepared],
) -> list[Summary]:
    """Take the summary records out, and return them, if messages that are stored are to be numbered anew."""
    if {row.id for row, _ in stored}.isdisjoint(prepared.message.id for prepared in new):
        return []
    records = await summary_records.list_all(t, session_id)
    await t.run(_DELETE_SUMMARIES_BEHIND, session=session_id, keep=-1)
    return records


async def _put_back(
    t: Transaction,
    session_id: str,
    records: Sequence[Summary],
    stored: Sequence[tuple[Row[Any], list[Row[Any]]]],
    result: Sequence[Message],
) -> None:
    """Have summaries cover what they covered, by the numbers that it has now."""
    old = {row.seq: row.id for row, _ in stored}
    new = {message.id: message.seq or 0 for message in result}
    moved = (summary_records.renumbered(record, old, new) for record in records)
    await summary_records.restore(t, session_id, [record for record in moved if record is not None])


def _announced(t: Transaction, saved: list[Message]) -> list[Message]:
    for message in saved:
        t.announce("message.saved", session_id=message.session_id, message_id=message.id, seq=message.seq)
    return saved


async def _result(t: Transaction, session_id: str, stored: list[Message]) -> Session:
    return Session(info=await sessions.get_existing(t, session_id), messages=stored)
