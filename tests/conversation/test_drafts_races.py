"""The laws of a draft that others get hold of: nothing is resurrected, mixed up or lost, and nobody deadlocks."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from sessionstore import Message, ReasoningPart, Session, SessionInfo, SessionStore, SQLSessionStore, TextPart
from sessionstore.conversation import upkeep
from sessionstore.conversation.draft import Draft, stream
from sessionstore.errors import MessageConflict, MessageNotFound, SessionNotFound, SessionStoreError
from tests.sql.invariants import broken

from .drafting import stored, until

Act = Callable[[SessionStore], Awaitable[Any]]


def _other(**fields: Any) -> Message:
    return Message(session_id="s", role="assistant", id="m", parts=[TextPart(content="other")], **fields)


async def _pop_and_save(store: SessionStore) -> None:
    await store.pop_message("s")
    await store.save_message(_other(status="in_progress"))


TAKEN: dict[str, tuple[Act, type[SessionStoreError]]] = {
    "pop": (lambda s: s.pop_message("s"), MessageNotFound),
    "delete_messages": (lambda s: s.delete_messages("s"), MessageNotFound),
    "delete after": (lambda s: s.delete_messages("s", after="first"), MessageNotFound),
    "save_session": (lambda s: s.save_session(Session(info=SessionInfo(id="s"))), MessageNotFound),
    "pop and save": (_pop_and_save, MessageNotFound),
    "replace": (lambda s: s.replace_message(_other()), MessageConflict),
    "replace by nothing": (lambda s: s.replace_message(_other().model_copy(update={"parts": []})), MessageConflict),
    "replace by a draft": (lambda s: s.replace_message(_other(status="in_progress")), MessageConflict),
    "delete_session": (lambda s: s.delete_session("s"), SessionNotFound),
}
"""What others may do to a draft, and what its writer is told."""


@pytest.fixture(autouse=True)
async def session(store: SQLSessionStore) -> None:
    await store.create_session(SessionInfo(id="s"))
    await store.save_message(Message(session_id="s", role="user", id="first", parts=[TextPart(content="?")]))


async def _begin(store: SQLSessionStore) -> Draft:
    draft = await stream(store, "s", id="m").__aenter__()
    await draft.append_text("so far")
    await draft.flush()
    await draft.append_reasoning("and more")
    return draft


async def _leave(draft: Draft) -> None:
    await draft.__aexit__(None, None, None)


async def _append_until_told(draft: Draft) -> None:
    async with asyncio.timeout(10):
        while True:
            await draft.append_text("x")
            await asyncio.sleep(0.01)


WAYS: dict[str, Callable[[Draft], Awaitable[Any]]] = {
    "flush": lambda draft: draft.flush(),
    "exit": _leave,
    "append": _append_until_told,
}


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("way", WAYS)
async def test_a_draft_that_is_gone(store: SQLSessionStore, name: str, way: str) -> None:
    """A draft that is popped, deleted or replaced stays so, and its writer is told, by the exit at the latest."""
    act, error = TAKEN[name]
    draft = await _begin(store)
    await act(store)
    left = repr((await store.get_session("s"), await store.get_messages("s")))
    with pytest.raises(error):
        await WAYS[way](draft)
    if way != "exit":
        with pytest.raises(error):
            await _leave(draft)
    assert repr((await store.get_session("s"), await store.get_messages("s"))) == left
    assert await broken(store.engine) == []


async def _save_whole(store: SessionStore, message: Message) -> None:
    info = await store.get_session("s")
    assert info is not None
    first = await store.get_messages("s", limit=2)
    await store.save_session(Session(info=info, messages=[first[0], message]))


@pytest.mark.parametrize("save", [_save_whole, lambda store, message: store.replace_message(message)])
@pytest.mark.parametrize("text", ["so", "\ud800"])  # in a column of its own, and in the payload
@pytest.mark.parametrize("more", [False, True])
async def test_an_older_copy_of_a_draft(
    store: SQLSessionStore, save: Callable[[SessionStore, Message], Awaitable[Any]], text: str, more: bool
) -> None:
    """A draft that somebody has put back to what it was earlier isn't completed as that: its writer is told."""
    draft = await stream(store, "s", id="m").__aenter__()
    await draft.append_text(text)
    await draft.flush()
    older = await stored(store, "m")
    await draft.append_text(" far")
    await draft.flush()
    await save(store, older)
    if more:
        await draft.add_part(ReasoningPart(content="and more"))
    with pytest.raises(MessageConflict):
        await _leave(draft)
    left = await stored(store, "m")
    assert (left.get_text_content(), left.status) == (text, "in_progress")
    assert await broken(store.engine) == []


@pytest.mark.parametrize("status", ["complete", "in_progress"])
async def test_an_empty_draft_is_replaced(store: SQLSessionStore, status: str) -> None:
    """A complete message that took the place of a draft without parts stays complete; in a draft the writer goes on."""
    draft = await stream(store, "s", id="m").__aenter__()
    await store.replace_message(_other().model_copy(update={"status": status}))
    if status == "complete":
        with pytest.raises(MessageConflict):
            await draft.flush()
        assert (await stored(store, "m")).get_text_content() == "other"
    else:
        await draft.append_text("mine")
        await _leave(draft)
        assert await stored(store, "m") == draft.message
    assert (await stored(store, "m")).status == "complete"
    assert await broken(store.engine) == []


async def test_an_exception_outranks(store: SQLSessionStore) -> None:
    """An exception in the block is raised, although the draft is gone too."""
    draft = stream(store, "s")

    async def failing() -> None:
        async with draft:
            await store.delete_session("s")
            raise KeyError

    with pytest.raises(KeyError):
        await failing()
    assert await broken(store.engine) == []


@pytest.mark.parametrize("flushed", [False, True])
async def test_a_writer_comes_back(store: SQLSessionStore, flushed: bool) -> None:
    """A writer that was taken for dead takes its draft back, and completes it with all that came."""
    draft = await _begin(store)
    (recovered,) = await store.recover(stale_after=0)
    assert (recovered.id, recovered.status) == ("m", "interrupted")
    if flushed:
        await draft.flush()
        assert (await stored(store, "m")).status == "in_progress"
    await draft.append_text("!")
    await _leave(draft)
    message = await stored(store, "m")
    assert message == draft.message
    assert (message.status, len(message.parts)) == ("complete", 3)
    assert await broken(store.engine) == []


async def test_silence_after_recovery(store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign of life takes a recovered draft back too."""
    monkeypatch.setattr(upkeep, "HEARTBEAT_SECONDS", 0.2)
    draft = await _begin(store)
    await draft.flush()
    assert len(await store.recover(stale_after=0)) == 1

    async def taken_back() -> bool:
        return (await stored(store, "m")).status == "in_progress"

    await until(taken_back)
    await _leave(draft)


async def _replace_last(store: SessionStore, **fields: Any) -> None:
    for message in await store.get_messages("s", limit=1):
        with suppress(MessageNotFound):
            await store.replace_message(_other().model_copy(update={"id": message.id, **fields}))


RIVALS: tuple[Act, ...] = (
    lambda s: s.save_message(Message(session_id="s", role="user", parts=[TextPart(content="more")])),
    lambda s: s.recover(stale_after=0),
    _replace_last,
    lambda s: s.update_session_title("s", "t"),
    lambda s: _replace_last(s, status="in_progress", parts=[TextPart(content="other")] * 2),
    lambda s: s.pop_message("s"),
    lambda s: s.save_session(Session(info=SessionInfo(id="s"), messages=[_other(status="in_progress")])),
    lambda s: s.delete_messages("s"),
)


async def _stream_on(store: SQLSessionStore, ended: asyncio.Event) -> int:
    """Stream drafts with a flush a delta, one after the other; return how many were completed."""
    completed, last = 0, False
    while not last:
        last = ended.is_set()
        try:
            async with stream(store, "s") as draft:
                for number in range(8):
                    await draft.append_text(f"{number} ")
                    await (draft.append_reasoning("r") if number % 3 == 2 else asyncio.sleep(0))
                    await draft.flush()
            completed += 1
        except (MessageNotFound, MessageConflict):
            continue
    return completed


async def test_rivals(store: SQLSessionStore) -> None:
    """Writers that stream while others append, replace, recover and delete meet no other error, and all stays sound."""
    ended = asyncio.Event()
    writers = [asyncio.ensure_future(_stream_on(store, ended)) for _ in range(3)]
    for number in range(80):
        await RIVALS[number % len(RIVALS)](store)
        await asyncio.sleep(0.01)
    ended.set()
    async with asyncio.timeout(30):
        completed = sum(await asyncio.gather(*writers))
    assert completed
    assert await broken(store.engine) == []
