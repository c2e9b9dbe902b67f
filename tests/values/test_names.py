"""The laws of names: ids, owners, titles and folders are values, whatever is in them."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.errors import InvalidValue
from sessionstore.testing.build import ids, user
from sessionstore.testing.strategies import on_one_store

AWKWARD = {
    "quotes": "it's \"quoted\" `so` [and] ''so''",
    "a statement": "'; DROP TABLE sessionstore_sessions; --",
    "another": '"); DELETE FROM sessionstore_messages; /*',
    "wildcards": "%_*?\\%",
    "parameters": ":session $1 %(tenant)s %s ? {0} ${x}",
    "emoji": "\U0001f980\U0001f468\u200d\U0001f469\u200d\U0001f467\U0001f1f3\U0001f1f5",
    "right to left": "\u202e\u05e9\u05dc\u05d5\u05dd\u202c \u0645\u0631\u062d\u0628\u0627",
    "combining": "e\u0301\u0323",
    "lines": "a\r\nb\tc\u2028d",
    "blanks": "  \u00a0\u3000 ",
    "NULL": "NULL",
    "a number": "0123",
    "long": "\U0001f980" * 255,
    "long and plain": "x" * 255,
}

_names = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=60)


async def _holds(store: SQLSessionStore, name: str, tenant: str) -> None:
    """See that a name works wherever a name may stand, and is found by nothing else."""
    owner = store.for_tenant(tenant)
    info = SessionInfo(
        id=name,
        title=name,
        project_dir=name,
        working_dir=name,
        model_id=name,
        provider_id=name,
        user_id=name,
        parent_session_id=name,
        root_session_id=name,
        metadata={name: name},
    )
    await owner.create_session(info)
    saved = await owner.save_message(user(name, name, id=name, model=name, provider=name))
    await owner.update_session_summary(name, name, covers_through=name)
    await owner.track_read_file(name, name, content_hash=name)
    found = await owner.get_session(name)
    assert found is not None
    assert (found.title, found.project_dir, found.working_dir) == (name, name, name)
    assert (found.user_id, found.parent_session_id, found.root_session_id) == (name, name, name)
    assert (found.summary_message_id, found.metadata) == (name, {name: name})
    assert await owner.get_message(name, name) == saved
    assert await owner.get_messages_after(name, name) == []
    assert await owner.save_messages([saved]) == [saved]
    assert await owner.has_read_file(name, name)
    assert ids(await owner.list_sessions(user_id=name, parent_session_id=name)) == [name]
    assert await owner.list_sessions(user_id=f"{name[:254]}!") == []
    assert await owner.delete_messages(name, after=name) == 0
    await owner.update_session_title(name, f"{name}{name}")
    assert await owner.delete_session(name)


@pytest.mark.parametrize("what", AWKWARD)
async def test_awkward_names(store: SQLSessionStore, what: str) -> None:
    """Quotes, SQL, emoji, right-to-left text and 255 characters are ids, owners, titles and folders like others."""
    await _holds(store, AWKWARD[what], AWKWARD[what][:60])
    assert await store.list_sessions() == []


@on_one_store
@given(name=_names, tenant=_names)
async def test_any_name(store: SQLSessionStore, name: str, tenant: str) -> None:
    """So is any text of 1 to 255 characters without NUL and lone surrogates."""
    assume(len(tenant.encode()) <= 255)
    await _holds(store, name, tenant)


@pytest.mark.parametrize("what", sorted(AWKWARD.keys() - {"NULL"}))  # which is a plain name, and quoted
def test_schema_names_stand_in_sql(sqlite_url: str, what: str) -> None:
    """A schema's name stands in SQL as it is: anything but a plain name is refused before any."""
    with pytest.raises(InvalidValue, match="schema"):
        SQLSessionStore.from_url(sqlite_url, schema=AWKWARD[what])
