"""README.md is true, and the pages like it: their code runs and shows what they say, and their commands exist."""

import ast
import contextlib
import inspect
import io
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from . import readme
from .project import ROOT, configuration


def test_it_is_short() -> None:
    assert len(readme.TEXT.splitlines()) <= 150


@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
@pytest.mark.parametrize("page", readme.PAGES)
async def test_the_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples run in order, as in one file, and each prints exactly what is shown behind it."""
    monkeypatch.chdir(tmp_path)
    examples = readme.examples(page)
    assert examples
    assert sum(bool(example.output) for example in examples) == readme.outputs(page)
    names: dict[str, Any] = {"__name__": "readme"}
    for example in examples:
        printed = io.StringIO()
        source = "\n" * example.line + example.code
        code = compile(source, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with contextlib.redirect_stdout(printed):
            result = types.FunctionType(code, names)()
            if inspect.iscoroutine(result):
                await result
        assert printed.getvalue() == example.output, f"{page}:{example.line}"


def _run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the README with the `sessionstore` that is installed with this Python."""
    program = Path(sys.executable).with_name("sessionstore")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SESSIONSTORE_")}
    return subprocess.run([program, *words[1:]], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_commands_run(tmp_path: Path) -> None:
    """Whoever types the README's `sessionstore` commands in a checkout sees each of them succeed."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    commands = [words for words in readme.commands() if Path(words[0]).name == "sessionstore"]
    assert len(commands) >= 3
    for words in commands:
        done = _run(words, tmp_path)
        assert done.returncode == 0, (words, done.stderr)
        assert done.stdout.strip() or words[1] not in ("show", "--help"), words


def test_the_commands_install_what_there_is() -> None:
    """Each extra that a command of the README installs exists, and so does each program that it runs."""
    extras = configuration()["project"]["optional-dependencies"]
    asked = [word for words in readme.commands() for word in words if word.startswith(".[")]
    assert asked
    assert {extra for word in asked for extra in word[2:-1].split(",")} <= set(extras)
    programs = {Path(words[0]).name for words in readme.commands()}
    assert programs <= {"python3", "pip", "pytest", "sessionstore", "make", "git", "cd"}


def test_its_links_lead_somewhere() -> None:
    assert readme.links()
    assert [target for target in readme.links() if not (ROOT / target).exists()] == []
