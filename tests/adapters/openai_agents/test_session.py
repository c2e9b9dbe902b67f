"""The SDK's `Session` protocol, and what `SQLAlchemySession` has beside it."""

import asyncio
from typing import Any

import pytest
from agents.memory import (
    OpenAIResponsesCompactionAwareSession,
    Session,
    SessionABC,
    SessionSettings,
)
from agents.memory.session import _session_accepts_wrapper  # what the SDK's runner asks
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.adapters.openai_agents import SQLSession
from sessionstore.errors import InvalidValue, SchemaOutOfDate, SessionExists
from tests.reliability.drivers import count_round_trips
from tests.sql.round_trips import counted, given_back

from .build import again, said, texts


@pytest.mark.parametrize("hook", ["_serialize_item", "_deserialize_item"])
def test_hooks_that_would_not_be_called_are_refused(hook: str) -> None:
    """Of a subclass, also by way of a mixin: what they are to hide would be stored as it is."""
    mixin = type("Redacting", (), {hook: lambda self, item: item})
    with pytest.raises(TypeError, match=rf"Redacted\.{hook} would never be called: wrap .* EncryptedSession"):
        type("Redacted", (mixin, SQLSession), {})
    type("Plain", (SQLSession,), {})


async def test_it_is_a_session(session: SQLSession) -> None:
    """Of the SDK's types, and its runner may give a context to all of its methods."""
    assert isinstance(session, Session)
    assert isinstance(session, SessionABC)
    assert isinstance(session, OpenAIResponsesCompactionAwareSession)
    assert session.session_id == "s"
    assert _session_accepts_wrapper(session)


async def test_the_session_is_made_with_its_first_items(session: SQLSession, store: SQLSessionStore) -> None:
    """Reading and popping make nothing."""
    assert (await session.get_items(), await session.pop_item()) == ([], None)
    await session.clear_session()
    assert await store.get_session("s") is None
    await session.add_items(texts("a", "b"))
    info = await store.get_session("s")
    assert info is not None
    assert info.message_count == 2


async def test_a_cleared_session_is_gone_and_can_be_used(session: SQLSession, store: SQLSessionStore) -> None:
    """Clearing twice is as good as once."""
    await session.add_items(texts("a"))
    await session.clear_session()
    await session.clear_session()
    assert await store.get_session("s") is None
    await session.add_items(texts("b"))
    assert said(await session.get_items()) == ["b"]


async def test_limits(session: SQLSession) -> None:
    """An explicit one wins over the settings', which may be a dict or nothing; none below one gives items."""
    await session.add_items(texts("a", "b", "c"))
    assert session.session_settings == SessionSettings()
    for limit, found in ((0, []), (-1, []), (2, ["b", "c"]), (9, ["a", "b", "c"]), (2**31 - 1, ["a", "b", "c"])):
        assert said(await session.get_items(limit)) == found
    settings: Any
    for settings in ({"limit": 1}, SessionSettings(limit=1)):
        session.session_settings = settings
        assert said(await session.get_items()) == ["c"]
        assert said(await session.get_items(2)) == ["b", "c"]
        assert said(await session.get_items(limit=0)) == []
    session.session_settings = None
    assert said(await session.get_items()) == ["a", "b", "c"]


async def test_settings_may_be_given_as_a_dict(store: SQLSessionStore) -> None:
    """They become the SDK's; what it doesn't know is an error."""
    assert again(store, session_settings={"limit": 2}).session_settings == SessionSettings(limit=2)
    with pytest.raises((TypeError, ValueError)):
        again(store, session_settings={"limitt": 2})


async def test_concurrent_first_items_are_all_kept(store: SQLSessionStore) -> None:
    """25 objects add to a session that isn't there; each batch stays together."""
    await asyncio.gather(*(again(store).add_items(texts(f"{n} a", f"{n} b")) for n in range(25)))
    found = said(await again(store).get_items())
    assert sorted(found) == sorted(f"{n} {name}" for n in range(25) for name in "ab")
    assert [text.removesuffix(" a") for text in found[::2]] == [text.removesuffix(" b") for text in found[1::2]]


async def test_concurrent_pops_each_get_another_item(session: SQLSession, store: SQLSessionStore) -> None:
    """And those too many get none."""
    await session.add_items(texts(*"abcdefgh"))
    popped: list[Any] = await asyncio.gather(*(again(store).pop_item() for _ in range(10)))
    assert sorted(said([item for item in popped if item is not None])) == list("abcdefgh")
    assert popped.count(None) == 2


async def test_sessions_are_apart(session: SQLSession, store: SQLSessionStore) -> None:
    """On one engine, also those of another tenant."""
    await session.add_items(texts("a"))
    await again(store, "other").add_items(texts("b"))
    acme = SQLSession("s", store=store.for_tenant("acme"))
    assert await acme.get_items() == []
    with pytest.raises(SessionExists):
        await acme.add_items(texts("c"))
    assert (await acme.pop_item(), said(await session.get_items())) == (None, ["a"])
    assert said(await again(store, "other").get_items()) == ["b"]


@pytest.mark.parametrize("commits", [True, False])
async def test_inside_the_callers_transaction(store: SQLSessionStore, commits: bool) -> None:
    """A bound store's items are committed with the caller's rows, or not at all."""
    async with store.engine.connect() as connection:
        session = SQLSession("s", store=store.bind(connection))
        await session.add_items(texts("a", "b"))
        assert await session.pop_item() == texts("b")[0]
        assert said(await session.get_items()) == ["a"]
        assert not hasattr(session, "engine")
        await (connection.commit() if commits else connection.rollback())
        await session.close()
    assert said(await again(store).get_items()) == (["a"] if commits else [])


async def test_an_append_completes_although_its_caller_is_cancelled(store: SQLSessionStore) -> None:
    """Also the first one, which makes the session."""
    for number in range(10):
        session = again(store, f"s{number}")
        task = asyncio.ensure_future(session.add_items(texts("a", "b")))
        await asyncio.sleep(number / 2000)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            assert said(await session.get_items()) in ([], ["a", "b"])
            assert (await store.get_session(session.session_id) is None) == (await session.get_items() == [])
        else:
            assert said(await session.get_items()) == ["a", "b"]


async def test_one_append_is_one_round_trip(
    session: SQLSession, store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so is reading the latest items, however many there are."""
    trips = count_round_trips(monkeypatch)
    for _ in range(2):  # a statement is prepared at its first time on a connection
        await session.add_items(texts(*"abcdefgh"))
        await session.get_items(limit=3)
        await session.get_items()
    back = await given_back(trips, store)
    hops = 4 if store.engine.dialect.name == "sqlite" else 1
    assert await counted(trips, session.add_items(texts(*"abcdefgh"))) - back == hops
    assert await counted(trips, session.get_items(limit=3)) - back == 1
    assert await counted(trips, session.get_items()) - back == 1


# Construction


async def test_from_url_makes_tables_and_an_engine(empty_database_url: str) -> None:
    """`create_tables` is safe from many sessions at once; `close`, or leaving the context, disposes of the engine."""
    sessions = [SQLSession.from_url(f"s{n}", url=empty_database_url, create_tables=True) for n in range(8)]
    await asyncio.gather(*(session.add_items(texts(session.session_id)) for session in sessions))
    for session in sessions:
        assert said(await session.get_items()) == [session.session_id]
        pool = session.engine.pool
        await session.close()
        assert session.engine.pool is not pool
    async with SQLSession.from_url("s1", url=empty_database_url) as session:
        assert said(await session.get_items()) == ["s1"]
        pool = session.engine.pool
    assert session.engine.pool is not pool


async def test_without_tables_the_error_says_what_helps(empty_database_url: str) -> None:
    """Unless `create_tables` is given nothing is made."""
    session = SQLSession.from_url("s", url=empty_database_url)
    with pytest.raises(SchemaOutOfDate, match="sessionstore db upgrade"):
        await session.add_items(texts("a"))
    await session.close()


async def test_the_applications_engine_stays_open(database_url: str) -> None:
    """So does the application's store."""
    engine = create_async_engine(database_url)
    session = SQLSession("s", engine=engine, create_tables=True)
    await session.add_items(texts("a"))
    pool = engine.pool
    await session.close()
    assert session.engine is engine
    assert engine.pool is pool
    async with SQLSessionStore.from_url(database_url) as store:
        session = SQLSession("s", store=store)
        await session.get_items()
        pool = store.engine.pool
        await session.close()
        assert session.engine.pool is pool
    await engine.dispose()


async def test_the_sdks_other_options(store: SQLSessionStore) -> None:
    """Its tables' default names and its storage's form are taken; names of one's own can't be had."""
    session = SQLSession(
        "s",
        engine=store.engine,
        sessions_table="agent_sessions",
        messages_table="agent_messages",
        ensure_ascii=False,
    )
    await session.add_items(texts("é"))
    assert said(await session.get_items()) == ["é"]
    for option in ("sessions_table", "messages_table"):
        with pytest.raises(InvalidValue, match=f"{option}: .*schema="):
            again(store, **{option: "mine"})


async def test_bad_arguments_are_refused(store: SQLSessionStore) -> None:
    """As soon as the session is constructed."""
    with pytest.raises(InvalidValue, match="a store or an engine"):
        SQLSession("s")
    with pytest.raises(InvalidValue, match="a store or an engine"):
        SQLSession("s", store=store, engine=store.engine)
    with pytest.raises(InvalidValue, match="session_id"):
        SQLSession("", store=store)
    with pytest.raises(InvalidValue, match=r"sqlite\+aiosqlite"):
        SQLSession.from_url("s", url="sqlite:///a.db")
    async with store.engine.connect() as connection:
        with pytest.raises(InvalidValue, match="create_tables"):
            SQLSession("s", store=store.bind(connection), create_tables=True)


async def test_a_session_of_the_store_can_be_gone_on_with(session: SQLSession, store: SQLSessionStore) -> None:
    """Its title and owner stay."""
    await store.create_session(SessionInfo(id="s", title="Weather", user_id="u"))
    await session.add_items(texts("a"))
    info = await store.get_session("s")
    assert info is not None
    assert (info.title, info.user_id, info.message_count) == ("Weather", "u", 1)
