"""Where things are: dialects in one file, and nothing that outgrows its page."""

import ast
import re
from collections.abc import Iterator

from .project import modules

DIALECT_FILE = "sql/dialect.py"
URL_FILES = {
    "sql/engine.py": "it makes engines from URLs, and so knows the drivers' names",
    "defaults.py": "it has the default URL",
}
LONG_FILES: dict[str, str] = {}
"""Files that may have more than 300 lines, and why."""
LONG_FUNCTIONS: dict[str, str] = {}
"""Functions that may have more than 40 lines, as `file:name`, and why."""

_DIALECT_NAME = re.compile(r"(sqlite|postgres(ql)?)(_\w+)?", re.IGNORECASE)
_DRIVER = re.compile(r"(sqlite|postgres(ql)?)\+\w+", re.IGNORECASE)


def _strings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Give the strings of the code, but for those on their own: documentation may name what it likes."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node


def _dialects_named(tree: ast.Module) -> Iterator[str]:
    """Give each place where code names a dialect, looks at its name other than to show it, or imports one."""
    shown = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.FormattedValue)}
    for string in _strings(tree):
        if _DIALECT_NAME.fullmatch(str(string.value)):
            yield f"{string.lineno}: the string {string.value!r}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node).endswith("dialect.name") and id(node) not in shown:
            yield f"{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy.dialects"):
            yield f"{node.lineno}: an import from {node.module}"


def _urls_named(tree: ast.Module) -> Iterator[str]:
    """Give each place where code names a driver, as a URL does."""
    for string in _strings(tree):
        if _DRIVER.search(str(string.value)):
            yield f"{string.lineno}: {string.value!r}"


def test_dialects_are_named_in_one_file() -> None:
    """Branch on what a database can do, which `sql/dialect.py` says, and not on who it is."""
    allowed = {DIALECT_FILE, "sql/engine.py"}
    assert [
        f"{file}:{found}" for file, _, tree in modules() if file not in allowed for found in _dialects_named(tree)
    ] == []


def test_drivers_are_named_where_urls_are_read() -> None:
    assert [
        f"{file}:{found}" for file, _, tree in modules() if file not in URL_FILES for found in _urls_named(tree)
    ] == []


def test_files_fit_on_a_page() -> None:
    long = {file: len(text.splitlines()) for file, text, _ in modules() if len(text.splitlines()) > 300}
    assert {file: size for file, size in long.items() if file not in LONG_FILES} == {}
    assert set(LONG_FILES) <= set(long), "what has shrunk needs no exception"


def test_functions_fit_on_a_screen() -> None:
    sizes = {
        f"{file}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for file, _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    long = {name: size for name, size in sizes.items() if size > 40}
    assert {name: size for name, size in long.items() if name not in LONG_FUNCTIONS} == {}
    assert set(LONG_FUNCTIONS) <= set(long), "what has shrunk needs no exception"
