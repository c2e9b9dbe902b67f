"""`sessionstore doctor`: a database's health."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from sessionstore import doctor as health
from sessionstore.cli.options import DEFAULT_URL, DatabaseUrl, Schema, Tenant
from sessionstore.cli.running import on_store
from sessionstore.cli.terminal import counted, one_line
from sessionstore.errors import InvalidValue
from sessionstore.sql.store import SQLSessionStore


def doctor(
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only sessions used since then: 2026-01-31T12:00Z.")
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Bring counters and records to the messages.")] = False,
    database_url: DatabaseUrl = DEFAULT_URL,
    schema: Schema = None,
    tenant: Tenant = "",
) -> None:
    """Check that every session is whole, and list what isn't.

    Counters and totals equal the rows, turn numbers and positions are right, every row can be
    read, summaries point to living messages. One problem is one line: table, key, message. The
    exit code is 1 when something is wrong, after a repair when something still is. Nothing is
    changed without --repair, and that deletes nothing that was said.
    """
    seen, wrong = on_store(database_url, schema, tenant, lambda store: _examine(store, since, repair))
    typer.echo(f"{counted(seen, 'session')}, {counted(wrong, 'problem')}", err=True)
    if wrong:
        raise typer.Exit(1)


async def _examine(store: SQLSessionStore, since: str | None, repair: bool) -> tuple[int, int]:
    """Print what is wrong; return how many sessions there are, and how much is wrong in the end."""
    seen = wrong = 0
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("checking", total=None)
        async for session_id, problems in health.examine(store, since=_time(since)):
            for problem in problems:
                _tell(problem)
            if problems and repair:
                problems = await health.repair(store, session_id)
                typer.echo(f"repaired {one_line(session_id)}, {len(problems)} left", err=True)
            seen += 1
            wrong += len(problems)
            progress.advance(task)
    return seen, wrong


def _tell(problem: health.Problem) -> None:
    key = " ".join(str(part) for part in problem.key)
    typer.echo("\t".join(one_line(text) for text in (problem.table, key, problem.message)))


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidValue(f"--since: {text!r} isn't a time; write 2026-01-31 or 2026-01-31T12:00Z") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
