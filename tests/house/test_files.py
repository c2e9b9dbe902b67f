"""What no file of the project says: where it was written, and where packages came from."""

import re

import pytest

from .project import ROOT, files

FORBIDDEN = {
    "a path of one machine": r"(?<![\w.:/])/(root|work|opt|Users|home/(?!me\b|user\b|you\b))[/\w]*\w/\w+|/tmp/\w",
    "a package index": r"index-url|find-links|/simple\b|\bpypi\.(?!org)\w+|artifactory|devpi",
    "a secret": r"-----BEGIN [A-Z ]*PRIVATE KEY|ghp_\w{20}|AKIA[0-9A-Z]{16}",
    "an unfinished merge": r"^(<<<<<<<|>>>>>>>) ",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what], re.MULTILINE)
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in files()
        if path.name != "test_files.py"
        for match in pattern.finditer(path.read_text(errors="replace"))
    ]
    assert found == []


def test_text_files_end_with_a_newline() -> None:
    texts = {path: path.read_text(errors="replace") for path in files()}
    assert [str(path.relative_to(ROOT)) for path, text in texts.items() if text and not text.endswith("\n")] == []


def test_no_folder_is_a_link() -> None:
    """A symlink to `migrations` would ship nothing in the wheel, in silence."""
    assert [path for path in files() if path.is_symlink()] == []
    assert not (ROOT / "src" / "sessionstore" / "migrations").exists()
