"""The law of lists with a bad row: it is never skipped in silence, and the list can go on behind it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from sessionstore import SessionInfo, SQLSessionStore, doctor
from sessionstore.errors import CorruptRecord
from sessionstore.testing.build import ids

CHANGES = {
    "metadata": {"sqlite": "metadata = '{'", "postgresql": "metadata = '{'"},
    "created": {"sqlite": "created_at = 'abc'", "postgresql": "created_at = 'infinity'"},
    "updated": {"sqlite": "updated_at = 'abc'", "postgresql": "updated_at = 'infinity'"},
    "long ago": {"sqlite": "updated_at = -9223372036854775807", "postgresql": "updated_at = '-infinity'"},
    "id": {"sqlite": "id = ''", "postgresql": "id = ''"},
}
NAMES = tuple("abcdef")


@pytest.fixture(params=["sqlite", "postgresql", "psycopg"])
def url(request: pytest.FixtureRequest) -> str:
    name = "sqlite" if request.param == "sqlite" else "postgresql"
    url: str = request.getfixturevalue(f"{name}_url")
    return url.replace("asyncpg", "psycopg") if request.param == "psycopg" else url


@pytest.fixture
async def listed(url: str) -> AsyncIterator[SQLSessionStore]:
    """A store with six sessions."""
    async with SQLSessionStore.from_url(url) as store:
        for name in NAMES:
            await store.create_session(SessionInfo(id=name, user_id="u"))
        yield store


async def _spoil(store: SQLSessionStore, change: str, *names: str) -> None:
    statement = CHANGES[change][store.engine.dialect.name]
    async with store.engine.begin() as connection:
        for name in names:
            await connection.execute(text(f"UPDATE sessionstore_sessions SET {statement} WHERE id = '{name}'"))


async def _walk(store: SQLSessionStore, **filters: Any) -> tuple[list[str], list[object]]:
    """List as the interface's docstring says; return whom it gave and whom it named as bad."""
    read: list[str] = []
    bad: list[object] = []
    after: SessionInfo | None = None
    while True:
        try:
            page = await store.list_sessions(limit=1, after=after, **filters)
        except CorruptRecord as error:
            bad += error.key if error.table == "sessionstore_sessions" else [error]
            after = error.resume
            continue
        if not page:
            return read, bad
        read += ids(page)
        after = page[-1]


@pytest.mark.parametrize("change", CHANGES)
async def test_every_row_is_read_or_named(listed: SQLSessionStore, change: str) -> None:
    """Whatever is bad in a session's row: a whole list raises, and walking behind it reads all the others."""
    await _spoil(listed, change, "c")
    bad = "" if change == "id" else "c"
    for filters in ({}, {"user_id": "u"}, {"archived": False}):
        with pytest.raises(CorruptRecord) as raised:
            await listed.list_sessions(**filters)
        assert raised.value.key == (bad,)
        read, named = await _walk(listed, **filters)
        assert (sorted(read), named) == (sorted(set(NAMES) - {"c"}), [bad])


@pytest.mark.parametrize("change", ["metadata", "updated", "long ago"])
async def test_several_bad_rows(listed: SQLSessionStore, change: str) -> None:
    """Bad rows in a row, and as first and last, are each named once."""
    await _spoil(listed, change, "a", "c", "d", "f")
    read, named = await _walk(listed)
    assert read == ["e", "b"]
    assert sorted(map(str, named)) == ["a", "c", "d", "f"]


@pytest.mark.parametrize("change", ["metadata", "updated", "long ago"])
async def test_the_doctor_goes_on(listed: SQLSessionStore, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor looks at every session once, page by page, whichever rows are bad."""
    monkeypatch.setattr(doctor, "_PAGE", 2)
    await _spoil(listed, change, "a", "c", "d", "f")
    seen = [(session_id, len(problems)) async for session_id, problems in doctor.examine(listed)]
    assert sorted(seen) == [("a", 1), ("b", 0), ("c", 1), ("d", 1), ("e", 0), ("f", 1)]


async def test_a_bad_row_that_goes_meanwhile(listed: SQLSessionStore) -> None:
    """Behind a bad row that was deleted meanwhile the list starts anew: nothing is missed."""
    await _spoil(listed, "updated", "c")
    with pytest.raises(CorruptRecord) as raised:
        await listed.list_sessions()
    await listed.delete_session("c")
    assert ids(await listed.list_sessions(after=raised.value.resume)) == ["f", "e", "d", "b", "a"]


async def test_anothers_bad_row_is_nobodys(listed: SQLSessionStore) -> None:
    """A bad row of one tenant is in no other's way."""
    await _spoil(listed, "metadata", "c")
    assert await listed.for_tenant("other").list_sessions() == []
