"""The command line, run inside the test's process."""

import io
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from sessionstore import SQLSessionStore
from sessionstore.cli import main
from tests import databases


class Result(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


class CommandLine:
    """Runs commands on one database, as its URL in the environment says."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.url = url
        self._monkeypatch = monkeypatch
        self._capture = capture

    def __call__(self, *arguments: str, input: str | bytes = "") -> Result:
        """Run a command to its end."""
        given = input.encode() if isinstance(input, str) else input
        with self._monkeypatch.context() as patch:
            patch.setenv("SESSIONSTORE_DATABASE_URL", self.url)
            patch.setattr(sys, "argv", ["sessionstore", *arguments])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), encoding="utf-8"))
            with pytest.raises(SystemExit) as exited:
                main()
        logging.getLogger("sessionstore").setLevel(logging.NOTSET)  # as it was before `main`
        captured = self._capture.readouterr()
        code = exited.value.code
        return Result(0 if code is None else int(code), captured.out, captured.err)

    def ok(self, *arguments: str, input: str | bytes = "") -> str:
        """Run a command that must succeed, and return its output."""
        result = self(*arguments, input=input)
        assert result.code == 0, result.err
        return result.out

    def failing(self, *arguments: str, input: str | bytes = "") -> str:
        """Run a command that must fail, and return its errors, none of which may be a traceback."""
        result = self(*arguments, input=input)
        assert result.code == 1
        assert "Traceback" not in result.err
        return result.err

    def on_store(self, act: Callable[[SQLSessionStore], Awaitable[Any]], **options: Any) -> Any:
        """Do something on the database without the command line."""

        async def whole() -> Any:
            async with SQLSessionStore.from_url(self.url, **options) as store:
                return await act(store)

        return databases.run(whole())


@pytest.fixture
def cli(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line on an upgraded database."""
    return CommandLine(database_url, monkeypatch, capsys)


@pytest.fixture
def cli_on_nothing(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line on a database without tables."""
    return CommandLine(empty_database_url, monkeypatch, capsys)
