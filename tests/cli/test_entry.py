"""The installed command, as a process of its own."""

import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.cli.test_import import TRANSCRIPT, line

SCRIPT = Path(sysconfig.get_path("scripts")) / "sessionstore"


def environment(url: str) -> dict[str, str]:
    return {**os.environ, "SESSIONSTORE_DATABASE_URL": url}


def run(url: str, *arguments: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [SCRIPT, *arguments], env=environment(url), input=input, capture_output=True, check=False, timeout=120
    )


def out(url: str, *arguments: str) -> str:
    result = run(url, *arguments)
    assert (result.returncode, result.stderr.decode()) == (0, "")
    return result.stdout.decode()


def test_a_first_look_at_every_command(empty_sqlite_url: str) -> None:
    url = empty_sqlite_url
    assert "CREATE TABLE sessionstore_sessions" in out(url, "db", "sql")
    head = out(url, "db", "upgrade")
    assert out(url, "db", "current") == head
    assert out(url, "db", "check") == "up to date\n"
    imported = run(url, "import", str(TRANSCRIPT))
    assert (imported.returncode, imported.stdout, imported.stderr) == (0, b"", b"imported 2 conversations\n")
    assert [row.split("\t")[0] for row in out(url, "ls").splitlines()] == ["haiku", "weather"]
    assert "get_weather" in out(url, "show", "weather")
    assert out(url, "export", "--format", "openai-chat") == TRANSCRIPT.read_text()
    assert out(url, "rm", "weather") == "deleted weather\n"
    assert out(url, "db", "downgrade", "base", "--yes") == "no tables\n"
    failed = run(url, "ls")
    assert (failed.returncode, failed.stdout) == (1, b"")
    assert b"sessionstore db upgrade" in failed.stderr
    assert b"Traceback" not in failed.stderr


def test_a_reader_that_goes_away_is_no_error_to_tell(sqlite_url: str) -> None:
    lines = "".join(line(f"s{number}", "x" * 100_000) for number in range(20))
    assert run(sqlite_url, "import", "-", input=lines.encode()).returncode == 0
    for command in (["export"], ["show", "s1"], ["ls"]):
        with subprocess.Popen(
            [SCRIPT, *command], env=environment(sqlite_url), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(60) == 1


def test_an_interrupt_ends_an_import_that_waits_for_input(sqlite_url: str) -> None:
    with subprocess.Popen(
        [SCRIPT, "import", "-"], env=environment(sqlite_url), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(line("a").encode() + b"{oops\n")
        process.stdin.flush()
        assert process.stderr.readline().startswith(b"error: line 2: ")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b"imported 1 conversation, 1 bad line\n"
    assert out(sqlite_url, "ls").startswith("a\t")


@pytest.mark.parametrize("library", ["typer", "rich"])
def test_without_the_extra_the_remedy_is_one_line(library: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; from sessionstore.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=120)
    assert result.returncode == 1
    assert result.stderr.decode().count("\n") == 1
    assert "pip install 'sessionstore[cli]'" in result.stderr.decode()


def test_what_the_terminal_has_no_characters_for_is_spelled_out(sqlite_url: str) -> None:
    run(sqlite_url, "import", "-", input=line("a", "æ").encode())
    environ = environment(sqlite_url) | {"PYTHONIOENCODING": "ascii"}
    show, export = (
        subprocess.run([SCRIPT, command, "a"], env=environ, capture_output=True, check=True, timeout=120).stdout
        for command in ("show", "export")
    )
    assert rb"\xe6" in show
    assert "æ".encode() in export
