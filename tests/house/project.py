"""The project's own files, as the tests of its rules read them."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "sessionstore"

_FOLDERS = ("benchmarks", "docs", "examples", "migrations", "src", "tests")


def files() -> list[Path]:
    """Return the project's text files, but for what tools leave behind."""
    top = (path for path in ROOT.iterdir() if path.is_file() and path.suffix not in (".db", ".lock"))
    deep = (path for folder in _FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file())
    return sorted(path for path in (*top, *deep) if "__pycache__" not in path.parts and path.suffix != ".pyc")


def modules() -> Iterator[tuple[str, str, ast.Module]]:
    """Give each module under src as its path there, its text and its syntax tree."""
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text()
        yield path.relative_to(SOURCE).as_posix(), text, ast.parse(text)


def configuration() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())
