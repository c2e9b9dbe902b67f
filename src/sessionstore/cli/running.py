"""How a command runs: on an open store, with every expected error as one line and an exit code."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import typer

from sessionstore.cli.terminal import visible
from sessionstore.errors import SessionStoreError
from sessionstore.sql.store import SQLSessionStore

T = TypeVar("T")


def on_store(
    database_url: str, schema: str | None, tenant: str, act: Callable[[SQLSessionStore], Coroutine[Any, Any, T]]
) -> T:
    """Open the store, act on it, close it, and return what came of it."""
    with opened(database_url, schema, tenant) as (store, runner):
        return runner.run(act(store))


@contextmanager
def opened(
    database_url: str, schema: str | None, tenant: str
) -> Generator[tuple[SQLSessionStore, asyncio.Runner], None, None]:
    """Open a store for code that isn't asynchronous, such as a loop that waits for input.

    Ctrl-C ends such a wait, but lets what the runner runs come to its end.
    """
    with plain_errors(), asyncio.Runner() as runner:
        store = SQLSessionStore.from_url(database_url, schema=schema, tenant_id=tenant)
        try:
            yield store, runner
        finally:
            runner.run(store.close())


@contextmanager
def plain_errors() -> Generator[None, None, None]:
    """Tell expected errors in one line each and exit: 1, or 130 after Ctrl-C.

    A pipe that nobody reads any more is left to Typer, which exits quietly.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except SessionStoreError as error:
        raise failed(str(error)) from error
    except OSError as error:
        raise failed(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def failed(message: str) -> typer.Exit:
    """Report an error; the result is to be raised, and exits with 1."""
    complain(message)
    return typer.Exit(1)


def complain(message: str) -> None:
    """Report an error on stderr."""
    typer.echo(f"error: {visible(message)}", err=True)


def absent(session_id: str) -> str:
    """Return the words for a session that isn't there."""
    return f"there is no session {session_id!r}"


def confirm(question: str) -> None:
    """Ask on the terminal whether to go on, and exit with 1 unless the answer is yes."""
    typer.echo(f"{question} [y/N] ", nl=False, err=True)
    with plain_errors():
        agreed = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not agreed:
        raise failed("nothing was changed; answer y, or use --yes")
