"""`sessionstore export`: conversations as lines of JSON."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from sessionstore.cli.options import DEFAULT_URL, FORMAT, STANDARD, DatabaseUrl, Schema, Tenant
from sessionstore.cli.paging import all_ids
from sessionstore.cli.running import absent, complain, on_store, plain_errors
from sessionstore.errors import CorruptRecord, InvalidValue
from sessionstore.formats import NATIVE, render_line
from sessionstore.sql.store import SQLSessionStore


def export(
    session_ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="These, or else all.")] = None,
    format: Annotated[str, FORMAT] = NATIVE,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="A file, or - for stdout.")] = STANDARD,
    database_url: DatabaseUrl = DEFAULT_URL,
    schema: Schema = None,
    tenant: Tenant = "",
) -> None:
    """Export conversations, one a line, least recently used first.

    The sessionstore format holds everything, and `import` puts it back exactly. The others hold
    what those APIs have a place for, whoever wrote the messages; conversations that were
    imported from the same format come out as they went in.
    """
    with plain_errors():
        with _opened(output) as target:
            whole = on_store(database_url, schema, tenant, lambda store: _export(store, session_ids, format, target))
        if not whole:
            raise typer.Exit(1)


async def _export(store: SQLSessionStore, named: list[str] | None, format: str, target: BinaryIO) -> bool:
    """Write the sessions; return whether all could be."""
    whole = True
    for session_id in named or await all_ids(store):
        try:
            archive = await store.export_session(session_id)
            if archive is not None:
                target.write(render_line(archive, format).encode() + b"\n")
                continue
            problem = absent(session_id) if named else None  # of all sessions, one may have gone meanwhile
        except (CorruptRecord, InvalidValue) as error:
            problem = str(error)
        if problem:
            complain(problem)
            whole = False
    return whole


@contextmanager
def _opened(output: str) -> Generator[BinaryIO, None, None]:
    """Give a file to write to; one that exists is replaced only once everything has been written."""
    if output == STANDARD:
        yield sys.stdout.buffer
        return
    path = Path(os.path.realpath(output))
    if path.exists() and not path.is_file():  # a pipe or a device
        with path.open("wb") as target:
            yield target
        return
    unfinished = path.with_name(f"{path.name}.part")
    try:
        with unfinished.open("wb") as target:
            yield target
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
