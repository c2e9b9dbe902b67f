"""`sessionstore import`: conversations from lines of JSON."""

import os
import stat
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import Progress

from sessionstore.cli import openai_agents
from sessionstore.cli.agents_tables import MESSAGES_TABLE, SESSIONS_TABLE, Source
from sessionstore.cli.options import DEFAULT_URL, FORMAT, STANDARD, DatabaseUrl, Schema, Tenant
from sessionstore.cli.running import complain, on_store, opened, plain_errors
from sessionstore.cli.terminal import counted, visible
from sessionstore.errors import InvalidValue, SessionExists
from sessionstore.formats import parse_line
from sessionstore.sql.store import SQLSessionStore

_THEIRS = typer.Option(metavar="URL", help="In place of a file: the OpenAI Agents SDK's database, or its SQLite file.")
_TABLE = typer.Option(metavar="NAME", help="What that table of the SDK's is called.")
_SKIP_BAD = typer.Option("--skip-bad", help="Leave out rows of the SDK's that can't be read.")
_BOM = b"\xef\xbb\xbf"


def import_(
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="A file of JSON lines, or - for stdin.")] = None,
    format: Annotated[str | None, FORMAT] = None,
    from_openai_agents: Annotated[str | None, _THEIRS] = None,
    sessions_table: Annotated[str, _TABLE] = SESSIONS_TABLE,
    messages_table: Annotated[str, _TABLE] = MESSAGES_TABLE,
    skip_bad: Annotated[bool, _SKIP_BAD] = False,
    database_url: DatabaseUrl = DEFAULT_URL,
    schema: Schema = None,
    tenant: Tenant = "",
) -> None:
    """Import conversations, one a line, or from another system's tables.

    Each is stored whole or not at all. A line that is bad, or whose session exists already, is
    reported with its number; the others are stored all the same, and the exit code is 1.

    Without --format, lines in the sessionstore format are recognised as such, and all others are
    read as OpenAI chat messages: {"id": ..., "messages": [{"role": ..., "content": ...}, ...]}.
    The messages are OpenAI Responses items with --format openai-responses, and Anthropic's with
    --format anthropic. Nothing of them is dropped, whatever they hold.

    --from-openai-agents reads agent_sessions and agent_messages. What was imported before is
    passed over, so that it can be run again. A row that can't be read keeps its conversation
    from being imported; with --skip-bad it is told and left out, as the SDK does in silence.
    """
    if (file is None) == (from_openai_agents is None):
        raise typer.BadParameter("give a FILE or --from-openai-agents, one of the two")
    if file is None:
        tables = Source(str(from_openai_agents), sessions_table, messages_table)
        all_good = on_store(database_url, schema, tenant, lambda store: _from_tables(tables, store, skip_bad=skip_bad))
        if not all_good:
            raise typer.Exit(1)
        return
    with plain_errors(), _opened(file) as source, opened(database_url, schema, tenant) as (store, runner):
        all_good = _import(source, lambda line: runner.run(store.import_session(parse_line(_text(line), format))))
    if not all_good:
        raise typer.Exit(1)


async def _from_tables(source: Source, store: SQLSessionStore, *, skip_bad: bool) -> bool:
    """Import from the SDK's tables, and return whether all could be."""
    with _bar() as progress:
        task = None if progress is None else progress.add_task("importing", total=None)

        def done(count: int, total: int) -> None:
            if progress is not None and task is not None:
                progress.update(task, completed=count, total=total)

        counts = await openai_agents.import_all(
            source, store, complain=complain, leave_out=_leave_out if skip_bad else None, progress=done
        )
    known = [f"{counts.known} already there"] if counts.known else []
    bad = [counted(counts.bad, "bad conversation")] if counts.bad else []
    left_out = [f"{counted(counts.left_out, 'bad row')} left out"] if counts.left_out else []
    typer.echo(f"imported {', '.join([counted(counts.stored, 'conversation'), *known, *bad, *left_out])}", err=True)
    return not counts.bad


def _leave_out(what: str) -> None:
    typer.echo(f"left out: {visible(what)}", err=True)


def _import(source: BinaryIO, store: Callable[[bytes], object]) -> bool:
    """Store each line, tell of those that can't be, and return whether there were none."""
    stored = bad = 0
    try:
        with _progress(source) as advance:
            for number, line in enumerate(source, 1):
                if line.strip():
                    try:
                        store(line)
                        stored += 1
                    except (InvalidValue, SessionExists) as error:
                        bad += 1
                        complain(f"line {number}: {error}")
                advance(len(line))
    finally:
        counts = [counted(stored, "conversation"), *([counted(bad, "bad line")] if bad else [])]
        typer.echo(f"imported {', '.join(counts)}", err=True)
    return not bad


def _text(line: bytes) -> str:
    try:
        return line.removeprefix(_BOM).rstrip(b"\r\n").decode()
    except UnicodeDecodeError as error:
        raise InvalidValue(f"isn't UTF-8 at byte {error.start + 1}; convert the file") from error


@contextmanager
def _opened(file: str) -> Generator[BinaryIO, None, None]:
    if file == STANDARD:
        yield sys.stdin.buffer
    else:
        with open(file, "rb") as source:
            yield source


@contextmanager
def _progress(source: BinaryIO) -> Generator[Callable[[int], None], None, None]:
    """Show how much of the file has been read, on a terminal; give what to call with more bytes."""
    with _bar(hidden=source.isatty()) as progress:
        if progress is None:
            yield lambda _: None
        else:
            task = progress.add_task("importing", total=_size(source))
            yield lambda count: progress.advance(task, count)


@contextmanager
def _bar(*, hidden: bool = False) -> Generator[Progress | None, None, None]:
    """Give a progress bar on a terminal, `None` elsewhere."""
    console = Console(stderr=True)
    if hidden or not console.is_terminal:
        yield None
        return
    with Progress(console=console, transient=True) as progress:
        yield progress


def _size(source: BinaryIO) -> int | None:
    """Return the size of a file, `None` for a pipe."""
    try:
        status = os.fstat(source.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
