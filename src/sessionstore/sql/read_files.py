"""Files that were read, by the hash of their path: a path may be longer than an index entry."""

import hashlib
from functools import cache
from typing import Any

from sqlalchemy import Executable, bindparam, insert, select

from sessionstore.models import ReadFile
from sessionstore.models.read_file import path_bytes
from sessionstore.sql import sessions as session_statements
from sessionstore.sql.dialect import Capabilities, now, strictly_after
from sessionstore.sql.part_rows import storable
from sessionstore.sql.rows import read_file_of
from sessionstore.sql.schema import read_files, sessions
from sessionstore.sql.transaction import Transaction

_IN_SESSION = (read_files.c.session_id == bindparam("session"), session_statements.OWNED)
_GET = select(read_files).where(*_IN_SESSION, read_files.c.path_hash == bindparam("hash"))
_LIST = select(read_files).where(*_IN_SESSION).order_by(read_files.c.read_at.desc(), read_files.c.path_hash)
_INSERT = insert(read_files)


@cache
def _track(capabilities: Capabilities) -> Executable:
    """Insert or update, from the session's row, which is locked against deletion meanwhile."""
    given = ("path_hash", "path_bytes", "path", "mtime_ns", "size", "content_hash")
    values = {name: bindparam(f"new_{name}", type_=read_files.c[name].type) for name in given}
    session = (
        select(sessions.c.id, now(), *values.values())
        .where(*session_statements.THIS)
        .with_for_update(read=True, key_share=True)
    )
    statement = capabilities.insert(read_files).from_select(["session_id", "read_at", *given], session)
    updated = {name: statement.excluded[name] for name in ("mtime_ns", "size", "content_hash")}
    return statement.on_conflict_do_update(
        index_elements=["session_id", "path_hash"],
        set_={"read_at": strictly_after(statement.excluded.read_at, read_files.c.read_at), **updated},
    ).returning(read_files)


async def track(
    t: Transaction, session_id: str, path: str, mtime_ns: int | None, size: int | None, content_hash: str | None
) -> ReadFile:
    """Record that a file was read, now. Raises `SessionNotFound`."""
    row = await t.row(
        _track(t.capabilities),
        session=session_id,
        new_path_hash=_hash(path),
        new_path_bytes=path_bytes(path),
        new_path=storable(path),
        new_mtime_ns=mtime_ns,
        new_size=size,
        new_content_hash=content_hash,
    )
    if row is None:
        raise session_statements.not_found(session_id)
    return read_file_of(row)


async def get(t: Transaction, session_id: str, path: str) -> ReadFile | None:
    """Return the record of a file."""
    row = await t.row(_GET, session=session_id, hash=_hash(path))
    return None if row is None else read_file_of(row)


async def list_all(t: Transaction, session_id: str) -> list[ReadFile]:
    """Return all records, the latest first."""
    return [read_file_of(row) for row in await t.rows(_LIST, session=session_id)]


async def restore(t: Transaction, session_id: str, files: list[ReadFile]) -> None:
    """Insert records as they are."""
    rows: list[dict[str, Any]] = [
        {
            "session_id": session_id,
            "path_hash": _hash(file.path),
            "path_bytes": path_bytes(file.path),
            "path": storable(file.path),
            "read_at": file.read_at,
            "mtime_ns": file.mtime_ns,
            "size": file.size,
            "content_hash": file.content_hash,
        }
        for file in files
    ]
    await t.run_many(_INSERT, rows)


def _hash(path: str) -> bytes:
    return hashlib.sha256(path_bytes(path)).digest()
