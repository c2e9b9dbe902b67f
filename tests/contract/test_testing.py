"""`sessionstore.testing`: every law is in the suite, a broken store fails it, and its page is true."""

import inspect
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from sessionstore.testing import SessionStoreLaws, laws

ROOT = Path(__file__).parents[2]
FILES = [import_module(f"{laws.__name__}.{file.name}") for file in pkgutil.iter_modules(laws.__path__)]
LAWS = [law for file in FILES for name, law in vars(file).items() if name.startswith("test_")]


def _run(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with what a host has: pytest and its plugins as they come, and none of this project's settings."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def _run_tests(file: Path, chosen: str, folder: Path) -> subprocess.CompletedProcess[str]:
    settings = ("-c", folder / "pytest.ini", "-p", "no:cacheprovider", "-p", "no:xdist", "-rA", "-W", "error")
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    return _run("-m", "pytest", *settings, "-k", chosen, file, folder=folder)


def _ids(done: subprocess.CompletedProcess[str], outcome: str) -> set[str]:
    """Return the tests that ended so, without their file."""
    return set(re.findall(rf"^{outcome} \S*?::(\S+)", done.stdout, re.MULTILINE))


def test_every_law_is_in_the_suite() -> None:
    """Each function of the laws' files is in a group of `SessionStoreLaws`, under its own name."""
    groups = [group for name, group in vars(SessionStoreLaws).items() if name.startswith("Test")]
    tests = [test for group in groups for name, test in inspect.getmembers(group) if name.startswith("test_")]
    assert len(LAWS) > 200
    assert sorted(map(id, tests)) == sorted(map(id, LAWS))


def test_a_law_is_a_line() -> None:
    """The docstring of each test is its law, in one line."""
    assert [law for law in LAWS if not re.fullmatch(r"\S.*\.", inspect.getdoc(law) or "")] == []


def test_broken_stores_fail(tmp_path: Path) -> None:
    """A store that breaks a law fails exactly where that law is tested, and the failure shows what was compared."""
    chosen = "test_other_content_is_a_conflict or test_seq_counts_from_one"
    done = _run_tests(Path(__file__).with_name("broken_stores.py"), chosen, tmp_path)
    conflict, seq = "TestIdempotency::test_other_content_is_a_conflict", "TestMessages::test_seq_counts_from_one"
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert _ids(done, "FAILED") == {f"TestOverwriting::{conflict}", f"TestCountingFromZero::{seq}"}
    assert _ids(done, "PASSED") == {
        f"TestKeeping::{conflict}",
        f"TestKeeping::{seq}",
        f"TestOverwriting::{seq}",
        f"TestCountingFromZero::{conflict}",
        f"TestLeavingOut::{seq}",
    }
    assert "assert ([0, 1, 2], [1, 2, 3]) == ([1, 2, 3], [1, 2, 3])" in done.stdout


def test_the_page_is_true(tmp_path: Path) -> None:
    """The file that docs/testing.md shows runs as it stands, in a project without settings of its own."""
    (shown,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/testing.md").read_text(), re.MULTILINE | re.DOTALL)
    (file := tmp_path / "test_our_store.py").write_text(shown)
    done = _run_tests(file, "TestBatches or TestRecover", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    groups = {test.split("::")[1] for test in _ids(done, "PASSED")}
    assert groups == {"TestBatches", "TestRecover"}


@pytest.mark.parametrize("missing", ["pytest", "pytest_asyncio", "hypothesis"])
def test_a_missing_extra_is_named(missing: str, tmp_path: Path) -> None:
    """Without what the suite needs, importing it says in one line what to install."""
    program = f"import sys; sys.modules[{missing!r}] = None; import sessionstore.testing"
    done = _run("-c", program, folder=tmp_path)
    expected = f"ModuleNotFoundError: sessionstore.testing needs {missing}: pip install 'sessionstore[testing]'"
    assert done.stderr.splitlines()[-1] == expected
