"""The laws of read files: a path never read must never look read."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import pytest

from sessionstore.errors import InvalidValue, SessionNotFound
from sessionstore.models import ReadFile
from sessionstore.store import SessionStore
from sessionstore.testing.build import new_session, refused, seconds, snapshot, user


async def test_track(store: SessionStore) -> None:
    """A tracked file is recorded with the present time and what is known of it."""
    info = await new_session(store)
    before = datetime.now(UTC)
    file = await store.track_read_file(info.id, "/a/b", mtime_ns=1_753_000_000_123_456_789, size=5, content_hash="h")
    assert before - seconds(5) <= file.read_at <= datetime.now(UTC) + seconds(5)
    expected = ReadFile(path="/a/b", read_at=file.read_at, mtime_ns=1_753_000_000_123_456_789, size=5, content_hash="h")
    assert file == expected
    assert await store.get_read_file(info.id, "/a/b") == expected
    assert await store.list_read_files(info.id) == [expected]
    assert await store.has_read_file(info.id, "/a/b") is True


async def test_track_again(store: SessionStore) -> None:
    """Tracking a file again replaces what is known of it, and `read_at` moves forward."""
    info = await new_session(store)
    first = await store.track_read_file(info.id, "/a", mtime_ns=1, size=1, content_hash="1")
    second = await store.track_read_file(info.id, "/a", mtime_ns=-5, size=0)
    assert second.read_at > first.read_at
    assert (second.mtime_ns, second.size, second.content_hash) == (-5, 0, None)
    assert await store.list_read_files(info.id) == [second]


async def test_an_unknown_session(store: SessionStore) -> None:
    """Tracking in an unknown session raises `SessionNotFound`; there, no file was read."""
    with pytest.raises(SessionNotFound):
        await store.track_read_file("missing", "/a")
    assert await store.has_read_file("missing", "/a") is False
    assert await store.get_read_file("missing", "/a") is None
    assert await store.list_read_files("missing") == []
    await new_session(store, id="missing")
    assert await store.list_read_files("missing") == []


async def test_the_latest_first(store: SessionStore) -> None:
    """Files are listed by when they were last read, the latest first."""
    info = await new_session(store)
    for path in ("/1", "/2", "/3", "/1", "/2", "/4", "/2"):
        await store.track_read_file(info.id, path)
    assert [file.path for file in await store.list_read_files(info.id)] == ["/2", "/4", "/1", "/3"]


async def test_reads_are_the_sessions_own(store: SessionStore) -> None:
    """A file that was read in one session wasn't read in another."""
    one, two = await new_session(store), await new_session(store)
    await store.track_read_file(one.id, "/a")
    assert await store.has_read_file(two.id, "/a") is False
    assert await store.get_read_file(two.id, "/a") is None
    assert await store.list_read_files(two.id) == []


async def test_messages_and_files_are_apart(store: SessionStore) -> None:
    """Files stay read when messages are deleted."""
    info = await new_session(store)
    await store.save_message(user(info.id))
    await store.track_read_file(info.id, "/a")
    await store.delete_messages(info.id)
    assert await store.has_read_file(info.id, "/a")


SAME = [
    ("/a/b", ["/a/b", "/a//b", "//a/b", "///a///b", "/a/./b", "/./a/b", "/a/b/", "/a/b//", "/a/b/.", "/a/././b/./"]),
    ("a/b", ["a/b", "./a/b", "a//b", "a/./b", "a/b/", ".//a/b/."]),
    ("/", ["/", "//", "/.", "/./"]),
    (".", [".", "./", "././/."]),
    ("..", ["..", "../", "./..", "../."]),
    ("/a/../b", ["/a/../b", "/a//../b", "/a/.././b/"]),
    ("/...", ["/...", "/.../"]),
    ("\udcff/a", ["\udcff/a", "./\udcff//a"]),
]


async def test_spellings_of_one_path(store: SessionStore) -> None:
    """`.` segments, doubled and trailing slashes are removed before paths are compared."""
    for normal, spellings in SAME:
        info = await new_session(store)
        for spelling in spellings:
            file = await store.track_read_file(info.id, spelling)
            assert file.path == normal
            assert await store.list_read_files(info.id) == [file]
        files = await store.list_read_files(info.id)
        for spelling in spellings:
            assert await store.has_read_file(info.id, spelling) is True, spelling
            assert [await store.get_read_file(info.id, spelling)] == files


TWINS = [
    ("/a/b", ["a/b", "/a", "/a/b/c", "/b", "/A/b", "/a/B", "/a/b ", " /a/b", "/a /b", "/a\\b", "/a/b\n", "/a/b%00"]),
    ("/b", ["/a/../b", "/../b", "/b/..", "/b/../b", "../b", "b", "\\b"]),
    ("/caf\u00e9", ["/cafe\u0301", "/cafe", "/CAF\u00c9", "/caf\udce9"]),
    ("/\u2126", ["/\u03a9", "/\u03c9"]),
    ("/stra\u00dfe", ["/strasse", "/STRASSE"]),
    ("/\udcff", ["/\udcfe", "/\u00ff", "/\ufffd", "/?"]),
    ("..", [".", "...", "/..", "../.."]),
    ("/~", ["~", "/root"]),
    ("/%", ["/a", "/_", "/%%"]),
    ("/100", ["/0100", "/100.0", "/1e2"]),
    ("/" + "x" * 5000, ["/" + "x" * 4999, "/" + "x" * 4999 + "y", "/" + "x" * 5001]),
]


async def test_twins_are_other_files(store: SessionStore) -> None:
    """Nothing else is folded: no `..`, case, Unicode form, space or separator; in doubt a file wasn't read."""
    for path, twins in TWINS:
        info = await new_session(store)
        await store.track_read_file(info.id, path)
        for twin in twins:
            assert await store.has_read_file(info.id, twin) is False, (path, twin)
            assert await store.get_read_file(info.id, twin) is None, (path, twin)
        for twin in twins:
            await store.track_read_file(info.id, twin)
        assert len(await store.list_read_files(info.id)) == 1 + len(twins)


async def test_names_that_are_no_utf8(store: SessionStore) -> None:
    """Any file name that the operating system has comes back as Python has it."""
    info = await new_session(store)
    names = [b"\xff", b"caf\xe9", b"\xc3", b"\x80\x81 \n", b"\xed\xa0\x80", "\U0001f986".encode()]
    paths = ["/" + name.decode("utf-8", "surrogateescape") for name in names]
    for path in paths:
        assert (await store.track_read_file(info.id, path)).path == path
    assert [file.path for file in await store.list_read_files(info.id)] == paths[::-1]
    for path in paths:
        file = await store.get_read_file(info.id, path)
        assert file is not None
        assert os.fsencode(file.path) == os.fsencode(path)


async def test_paths_of_any_kind(store: SessionStore) -> None:
    """Paths have any length and any characters."""
    for path in ("/" + "a/" * 20_000, "/" + "\U0001f986" * 3_000, "/'\"`;--%s:x?$1{}\\", " ", "\n", "\x01"):
        info = await new_session(store)
        file = await store.track_read_file(info.id, path)
        assert file.path == path.rstrip("/")
        assert await store.has_read_file(info.id, path)
        assert await store.list_read_files(info.id) == [file]


async def test_path_objects(store: SessionStore) -> None:
    """A path object is what its text is."""
    info = await new_session(store)
    await store.track_read_file(info.id, PurePosixPath("/a/b"))
    assert await store.has_read_file(info.id, "/a/b")
    assert await store.has_read_file(info.id, PurePosixPath("/a/b"))
    assert await store.get_read_file(info.id, PurePosixPath("/a/b")) is not None


async def test_what_is_no_path(store: SessionStore) -> None:
    """NUL, text that no file name decodes to, and what is no text at all is `InvalidValue`, also to ask for."""
    info = await new_session(store)
    bad: list[Any] = ["", "/a\0b", "\0", "/\ud800", "/\udc7f", "/a\udfff", b"/a", None, 5]
    for path in bad:
        for call in (store.track_read_file, store.has_read_file, store.get_read_file):
            await refused(call(info.id, path), InvalidValue, path)
    assert await store.list_read_files(info.id) == []


BAD_FACTS: list[dict[str, Any]] = [
    {"mtime_ns": 2**63},
    {"mtime_ns": 1.5},
    {"mtime_ns": True},
    {"mtime_ns": "1"},
    {"size": 2**63},
    {"size": -(2**63) - 1},
    {"size": 1.0},
    {"content_hash": "a\0b"},
    {"content_hash": "\ud800"},
    {"content_hash": 5},
    {"content_hash": b"h"},
]


async def test_bad_facts(store: SessionStore) -> None:
    """A time, size or hash that no database holds is `InvalidValue`, and the record stays as it was."""
    info = await new_session(store)
    await store.track_read_file(info.id, "/a", size=1)
    before = await snapshot(store, info.id)
    for facts in BAD_FACTS:
        await refused(store.track_read_file(info.id, "/a", **facts), InvalidValue, facts)
    assert await snapshot(store, info.id) == before


async def test_at_once(store: SessionStore) -> None:
    """Those who track the same file at once all succeed, and it is recorded once."""
    info = await new_session(store)
    tracked = await asyncio.gather(*(store.track_read_file(info.id, "/a", size=size) for size in range(10)))
    (file,) = await store.list_read_files(info.id)
    assert file in tracked
    assert file.read_at == max(each.read_at for each in tracked)
