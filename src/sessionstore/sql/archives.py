"""A session with everything that hangs on it, taken out whole and put back exactly."""

from collections.abc import Iterable
from dataclasses import dataclass

from sessionstore import jsontext
from sessionstore.errors import InvalidValue, SessionExists
from sessionstore.models import ReadFile, Session, SessionArchive, SessionInfo, Summary
from sessionstore.models.read_file import normalize_path
from sessionstore.sql import changing, read_files, saving, sessions, summaries
from sessionstore.sql import messages as reading
from sessionstore.sql.checks import check_model
from sessionstore.sql.saving import Whole
from sessionstore.sql.transaction import Transaction

_MAX_SEQ = 2**62


@dataclass(frozen=True)
class Checked:
    """An archive, checked and ready to be written."""

    whole: Whole
    seqs: list[int]
    last_seq: int
    read_files: list[ReadFile]
    summaries: list[Summary]


async def export(t: Transaction, session_id: str) -> SessionArchive | None:
    """Take a session out as it is at one moment: its row is locked, and so it changes for nobody."""
    locked = await sessions.lock(t, session_id)
    info = None if locked is None else await sessions.get(t, session_id)
    if locked is None or info is None:
        return None
    return SessionArchive(
        info=info,
        messages=await reading.read(t, session_id),
        read_files=await read_files.list_all(t, session_id),
        summaries=await summaries.list_all(t, session_id),
        last_seq=locked.last_seq,
    )


async def restore(t: Transaction, archive: Checked) -> SessionInfo:
    """Put a session back. Raises `SessionExists`."""
    info = archive.whole.info
    now = await sessions.clock(t)
    placed = [
        (prepared, message.model_copy(update={"seq": seq}))
        for seq, (prepared, message) in zip(
            archive.seqs, changing.place(archive.whole.messages, 0, 0, None, now), strict=True
        )
    ]
    if not await saving.insert_placed(t, archive.whole, placed, now, archive.last_seq):
        raise SessionExists(
            f"the session id {info.id!r} is taken, perhaps by another tenant: ids are unique in a schema; "
            "delete that session first or import under another id"
        )
    await summaries.restore(t, info.id, archive.summaries)
    await read_files.restore(t, info.id, archive.read_files)
    await saving.point(t, info)
    t.announce("session.created", session_id=info.id, title=info.title)
    return await sessions.get_existing(t, info.id)


def check(archive: SessionArchive) -> Checked:
    """Check an archive. Raises `InvalidValue`, which names the place."""
    checked = check_model(archive, SessionArchive, "archive")
    whole = saving.check_whole(Session(info=checked.info, messages=checked.messages))
    seqs = _seqs(whole)
    last_seq = max([checked.last_seq or 0, *seqs])
    if last_seq > _MAX_SEQ:
        raise InvalidValue(f"archive.last_seq: {last_seq} is beyond {_MAX_SEQ}, and leaves no room for more messages")
    ids = (prepared.message.id for prepared in whole.messages)
    seq_of: dict[str | None, int] = dict(zip(ids, seqs, strict=True))
    records = [
        check_model(record, Summary, f"archive.summaries[{index}]") for index, record in enumerate(checked.summaries)
    ]
    for index, record in enumerate(records):
        place = f"archive.summaries[{index}]"
        record.details = jsontext.copied(record.details, f"{place}.details")  # its caller's no longer
        if record.message_id is not None and record.message_id not in seq_of:
            raise InvalidValue(f"{place}.message_id: {record.message_id!r} is none of the messages")
        if not seq_of.get(record.message_id, 0) <= record.at_seq <= last_seq:
            raise InvalidValue(f"{place}.at_seq: {record.at_seq} is before its message or behind last_seq {last_seq}")
        if not 0 < record.number <= _MAX_SEQ:
            raise InvalidValue(f"{place}.number: {record.number} isn't between 1 and {_MAX_SEQ}")
    files = [
        check_model(file, ReadFile, f"archive.read_files[{index}]").model_copy(
            update={"path": normalize_path(file.path)}
        )
        for index, file in enumerate(checked.read_files)
    ]
    _refuse_repeats((record.number for record in records), "archive.summaries", "number")
    _refuse_repeats((file.path for file in files), "archive.read_files", "path")
    return Checked(whole, seqs, last_seq, files, records)


def _seqs(whole: Whole) -> list[int]:
    given = [prepared.message.seq for prepared in whole.messages]
    seqs = [seq for seq in given if seq is not None]
    if not seqs:
        return list(range(1, len(given) + 1))
    if len(seqs) != len(given):
        raise InvalidValue(f"archive.messages[{given.index(None)}].seq: is missing; give all messages one or none")
    for index, (before, seq) in enumerate(zip([0, *seqs], seqs, strict=False)):
        if seq <= before:
            raise InvalidValue(f"archive.messages[{index}].seq: {seq} doesn't come after {before}")
    return seqs


def _refuse_repeats(values: Iterable[object], place: str, name: str) -> None:
    seen: set[object] = set()
    for index, value in enumerate(values):
        if value in seen:
            raise InvalidValue(f"{place}[{index}].{name}: {value!r} occurs twice")
        seen.add(value)
