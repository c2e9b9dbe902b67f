"""`normalize_path`: what is removed before paths are compared, and nothing else."""

import os
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import InvalidValue
from sessionstore.models.read_file import normalize_path, path_bytes, path_text

NORMAL = {
    "/": "/",
    "//": "/",
    "/.": "/",
    "/./": "/",
    ".": ".",
    "./": ".",
    "././.": ".",
    "a": "a",
    "./a": "a",
    "a/": "a",
    "a/.": "a",
    "/a//b///c/": "/a/b/c",
    "//a": "/a",
    "/a/./b": "/a/b",
    "..": "..",
    "../..": "../..",
    "a/../b": "a/../b",
    "/..": "/..",
    "...": "...",
    "/.a": "/.a",
    "/a./b": "/a./b",
    " /a": " /a",
    "/a ": "/a ",
    "A/\u00e9/e\u0301": "A/\u00e9/e\u0301",
    "a\\b": "a\\b",
    "\udcff": "\udcff",
}


@pytest.mark.parametrize(("path", "normal"), NORMAL.items())
def test_normal_forms(path: str, normal: str) -> None:
    assert normalize_path(path) == normal
    assert normalize_path(PurePosixPath(path)) == normalize_path(str(PurePosixPath(path)))


NO_PATHS: list[Any] = ["", "\0", "a\0b", "\ud800", "/\udbff/\udfff", "\udc7f", b"a", None, 5]


@pytest.mark.parametrize("path", NO_PATHS, ids=ascii)
def test_what_is_no_path(path: Any) -> None:
    with pytest.raises(InvalidValue):
        normalize_path(path)


segments = st.sampled_from(["", ".", "..", "a", "A", " ", "...", "\udcff", "\u00e9"]) | st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=3
)
paths = st.lists(segments, min_size=1, max_size=8).map("/".join).filter(bool)


@given(path=paths)
def test_the_normal_form_is_normal(path: str) -> None:
    normal = normalize_path(path)
    assert normalize_path(normal) == normal
    assert normal.startswith("/") == path.startswith("/")
    kept = [segment for segment in path.split("/") if segment not in ("", ".")]
    assert [segment for segment in normal.split("/") if segment not in ("", ".")] == kept


@given(name=st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_every_file_name_has_its_bytes(name: bytes) -> None:
    assert path_bytes(path_text(name)) == name
    assert path_text(name) == name.decode("utf-8", "surrogateescape")
    assert path_bytes(normalize_path(path_text(b"/" + name))) == os.fsencode(normalize_path(os.fsdecode(b"/" + name)))
