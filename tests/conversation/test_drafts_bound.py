"""The laws of a draft in the caller's transaction."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sessionstore import Event, SessionInfo, SQLSessionStore
from sessionstore.conversation import upkeep
from sessionstore.conversation.draft import stream
from sessionstore.errors import MessageConflict, MessageNotFound
from tests.sql.invariants import broken

from .drafting import stored, watched


@pytest.fixture(autouse=True)
async def session(store: SQLSessionStore) -> None:
    await store.create_session(SessionInfo(id="s"))


async def test_the_caller_commits(store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent between the caller's calls; what was streamed is there once he commits, and announced by him."""
    monkeypatch.setattr(upkeep, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(upkeep, "FLUSH_SECONDS", 0.02)
    heard: list[Event] = []
    store.events.subscribe(heard.append)
    async with store.engine.connect() as connection:
        bound = store.bind(connection)
        async with stream(bound, "s") as draft:
            async with watched(store.engine) as sent:
                await draft.append_text("Hel")
                await asyncio.sleep(0.2)
                assert sent == []
                await draft.flush()
                assert len(sent) == 2
            await draft.append_text("lo")
        assert await bound.get_messages("s") == [draft.message]
        await connection.commit()
        assert heard == []
        await bound.publish_events()
    assert [event.type for event in heard] == ["message.saved"]
    message = await stored(store, draft.message.id)
    assert (message.status, message.get_text_content()) == ("complete", "Hello")
    assert await broken(store.engine) == []


async def test_the_caller_rolls_back(store: SQLSessionStore) -> None:
    """After a rollback nothing was streamed."""
    async with store.engine.connect() as connection:
        async with stream(store.bind(connection), "s") as draft:
            await draft.append_text("a")
            await draft.flush()
        await connection.rollback()
    assert await store.get_messages("s") == []
    assert await broken(store.engine) == []


async def test_errors_leave_the_transaction_usable(store: SQLSessionStore) -> None:
    """A taken id, a draft that the caller popped, an exception: the transaction goes on as the caller likes."""
    async with store.engine.connect() as connection:
        bound = store.bind(connection)
        draft = stream(bound, "s", id="m")
        async with draft:
            with pytest.raises(MessageConflict):
                async with stream(bound, "s", id="m"):
                    pytest.fail("it was entered")
            await draft.append_text("kept")
            await draft.flush()
        lost = await stream(bound, "s").__aenter__()
        await bound.pop_message("s")
        with pytest.raises(MessageNotFound):
            await lost.flush()
        failed = await stream(bound, "s").__aenter__()
        await failed.append_text("so far")
        await failed.__aexit__(KeyError, KeyError(), None)
        await connection.commit()
    found = [(message.status, message.get_text_content()) for message in await store.get_messages("s")]
    assert found == [("complete", "kept"), ("interrupted", "so far")]
    assert await broken(store.engine) == []


async def test_a_broken_transaction(store: SQLSessionStore) -> None:
    """An error that broke the caller's transaction is raised as it is, though the draft can't be stored."""
    async with store.engine.connect() as connection:
        draft = stream(store.bind(connection), "s")

        async def failing() -> None:
            async with draft:
                await draft.append_text("a")
                await connection.execute(text("SELECT nonsense"))

        with pytest.raises(DBAPIError):
            await failing()
        await connection.rollback()
    assert await store.get_messages("s") == []
