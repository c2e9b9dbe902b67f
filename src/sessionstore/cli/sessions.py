"""`sessionstore ls`, `show` and `rm`."""

import sys
from typing import Annotated

import typer
from rich.table import Table

from sessionstore.cli import transcript
from sessionstore.cli.options import DEFAULT_URL, DatabaseUrl, Schema, Tenant, Yes
from sessionstore.cli.paging import sessions
from sessionstore.cli.running import absent, complain, confirm, failed, on_store
from sessionstore.cli.terminal import is_terminal, one_line, output, visible
from sessionstore.errors import CorruptRecord
from sessionstore.formats import info_line
from sessionstore.models import SessionInfo
from sessionstore.sql.store import SQLSessionStore

_ON_A_TERMINAL = 50
_MESSAGE_PAGE = 200

_Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        "-n",
        metavar="N",
        min=0,
        help=f"How many at most.  [default: {_ON_A_TERMINAL} on a terminal, else all]",
    ),
]
_User = Annotated[str | None, typer.Option("--user", metavar="ID", help="Only this user's.")]
_Archived = Annotated[bool, typer.Option("--archived", help="Only archived sessions; else those that aren't.")]
_Json = Annotated[bool, typer.Option("--json", help="A JSON object per session and line.")]


def ls(
    limit: _Limit = None,
    user: _User = None,
    archived: _Archived = False,
    json: _Json = False,
    database_url: DatabaseUrl = DEFAULT_URL,
    schema: Schema = None,
    tenant: Tenant = "",
) -> None:
    """List sessions, most recently used first.

    On a terminal they are a table; otherwise a line each, of id, title, messages, tokens and
    time of last use, separated by tabs.
    """
    as_table = is_terminal(sys.stdout) and not json
    most = _ON_A_TERMINAL if limit is None and as_table else limit

    unreadable: list[CorruptRecord] = []

    async def act(store: SQLSessionStore) -> None:
        listed = sessions(store, unreadable=unreadable.append, user_id=user, archived=archived, limit=most)
        if as_table:
            infos = [info async for info in listed]
            output().print(_table(infos), soft_wrap=False)
            if limit is None and len(infos) + len(unreadable) == most:
                typer.echo(f"(the first {most}; --limit shows more)", err=True)
            return
        async for info in listed:
            typer.echo(info_line(info) if json else "\t".join(_columns(info)))

    on_store(database_url, schema, tenant, act)
    for error in unreadable:
        complain(str(error))
    if unreadable:
        raise typer.Exit(1)


def show(
    session_id: Annotated[str, typer.Argument(metavar="ID")],
    database_url: DatabaseUrl = DEFAULT_URL,
    schema: Schema = None,
    tenant: Tenant = "",
) -> None:
    """Print a session's transcript to read."""

    async def act(store: SQLSessionStore) -> None:
        info = await store.get_session(session_id)
        if info is None:
            raise failed(absent(session_id))
        console = output()
        console.print(transcript.heading(info))
        seq = 0
        while messages := await store.get_messages_after(session_id, seq, limit=_MESSAGE_PAGE):
            for message in messages:
                console.print(transcript.entry(message))
            seq = messages[-1].seq or 0

    on_store(database_url, schema, tenant, act)


def rm(
    session_ids: Annotated[list[str], typer.Argument(metavar="ID")],
    yes: Yes = False,
    database_url: DatabaseUrl = DEFAULT_URL,
    schema: Schema = None,
    tenant: Tenant = "",
) -> None:
    """Delete sessions, with everything in them. Asks first when run on a terminal."""
    if is_terminal(sys.stdin) and not yes:
        confirm(f"Delete {len(session_ids)} session{'s' if len(session_ids) > 1 else ''} for good?")

    async def act(store: SQLSessionStore) -> bool:
        return all([await _delete(store, session_id) for session_id in session_ids])

    if not on_store(database_url, schema, tenant, act):
        raise typer.Exit(1)


async def _delete(store: SQLSessionStore, session_id: str) -> bool:
    if await store.delete_session(session_id):
        typer.echo(f"deleted {visible(session_id)}")
        return True
    complain(absent(session_id))
    return False


def _columns(info: SessionInfo) -> tuple[str, str, str, str, str]:
    used = info.time.updated.isoformat(timespec="seconds").replace("+00:00", "Z")
    return one_line(info.id), one_line(info.title), str(info.message_count), str(info.total_tokens), used


def _table(infos: list[SessionInfo]) -> Table:
    table = Table("id", "title", box=None, pad_edge=False)
    table.columns[0].overflow = "fold"
    for name in ("messages", "tokens"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("updated", no_wrap=True)
    for info in infos:
        table.add_row(*_columns(info))
    return table
