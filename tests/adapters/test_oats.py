"""oats' storage: what is given comes back equal, whole or not at all."""

import asyncio
from collections.abc import Callable

import pytest

from sessionstore import Event, Message, Session, SessionInfo, SessionTime, SQLSessionStore, TextPart
from sessionstore.adapters.oats import SessionStorage
from sessionstore.errors import InvalidValue, MessageNotFound, SessionExists
from sessionstore.testing.build import LONG_AGO, TOKENS, ids, seconds, tool_call, tool_result, user
from tests.sql.invariants import broken


@pytest.fixture
def storage(store: SQLSessionStore) -> SessionStorage:
    return SessionStorage(store)


def conversation(session_id: str = "s") -> Session:
    """Return a session with text, an image, tool calls, usage and totals of its own."""
    time = SessionTime(created=LONG_AGO, updated=LONG_AGO + seconds(5))
    info = SessionInfo(
        id=session_id,
        title="Weather",
        time=time,
        project_dir="/p",
        working_dir="/p/w",
        metadata={"z": [1, 2.0], "a": "\0"},
    )
    session = Session(info=info)
    session.create_user_message("hello", [{"media_type": "image/png", "data": "aGVsbG8="}])
    answer = session.create_assistant_message()
    answer.add_tool_call("c", "read", {"path": "/a", "lines": [1, None]})
    answer.usage = {"input_tokens": 3, "output_tokens": 4}
    session.add_message(tool_result(session_id, "c"))
    session.create_system_message("be brief")
    session.info.time.updated = LONG_AGO + seconds(7)
    for position, name in enumerate(TOKENS):
        setattr(session.info, name, 100 + position)
    return session


async def test_create_keeps_everything(storage: SessionStorage) -> None:
    """A created session comes back equal: totals, times, messages and their parts."""
    session = conversation()
    before = session.model_copy(deep=True)
    assert await storage.create(session) == session == before
    assert await storage.get("s") == session
    assert await broken(storage.store.engine) == []


async def test_a_duplicate_is_an_error(storage: SessionStorage) -> None:
    """Creating a taken id is SessionExists; the stored session is unchanged."""
    session = await storage.create(conversation())
    with pytest.raises(SessionExists):
        await storage.create(Session(info=SessionInfo(id="s", title="other"), messages=[user("s")]))
    assert await storage.get("s") == session


async def test_creating_at_once(storage: SessionStorage) -> None:
    """Of many that create one id at once one does, and its messages alone are there."""
    sessions = [Session(info=SessionInfo(id="s"), messages=[user("s", f"{n}", id=f"m{n}")]) for n in range(8)]
    outcomes = await asyncio.gather(*map(storage.create, sessions), return_exceptions=True)
    (created,) = [outcome for outcome in outcomes if isinstance(outcome, Session)]
    assert [type(outcome) for outcome in outcomes].count(SessionExists) == 7
    assert await storage.get("s") == created


async def test_messages_that_nobody_counted(storage: SessionStorage) -> None:
    """A session whose list of messages was given or changed directly comes back equal; a refused one isn't touched."""
    session = Session(info=SessionInfo(id="s"), messages=[user("s", id="m")])
    await storage.create(session)
    assert await storage.get("s") == session
    session.messages.append(user("s", id="m"))
    with pytest.raises(InvalidValue):
        await storage.update(session)
    assert session.info.message_count == 1


async def test_a_copy_under_another_id(storage: SessionStorage) -> None:
    """Messages that are stored already can begin another session."""
    session = await storage.create(conversation())
    await storage.update(session)
    stored = await storage.store.get_messages("s")
    messages = [message.model_copy(update={"session_id": "t"}) for message in stored[1:]]
    copy = Session(info=SessionInfo(id="t", message_count=4), messages=[*messages, user("t")])
    await storage.create(copy)
    assert [message.seq for message in await storage.store.get_messages("t")] == [1, 2, 3, 4]


async def test_what_is_missing_is_none(storage: SessionStorage) -> None:
    """A session that isn't there is None, and deleting it is False."""
    assert await storage.get("s") is None
    assert await storage.delete("s") is False
    await storage.create(conversation())
    assert await storage.delete("s") is True
    assert (await storage.get("s"), await storage.list()) == (None, [])


def _insert(session: Session) -> None:
    session.messages.insert(1, user("s", "between", id="between"))


def _change(session: Session) -> None:
    session.messages[0].parts = [TextPart(content="changed")]
    session.messages[1].usage = {"input_tokens": 9}
    session.update_title("changed")


CHANGES: list[Callable[[Session], object]] = [
    lambda session: session.create_user_message("more"),
    _insert,
    _change,
    lambda session: session.messages.pop(0),
    lambda session: session.messages.reverse(),
    lambda session: session.messages.clear(),
    lambda session: session.add_usage({"input_tokens": 5, "total_tokens": 5}),
    lambda session: setattr(session.info, "summary_message_id", session.messages[-1].id),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_update_brings_it_to_what_is_given(storage: SessionStorage, change: Callable[[Session], object]) -> None:
    """After an update `get` equals what was given: messages added, changed, moved and removed."""
    await storage.create(conversation())
    session = await storage.get("s")
    assert session is not None
    change(session)
    assert await storage.update(session) == session
    assert await storage.get("s") == session


async def test_update_stores_what_is_not_there(storage: SessionStorage) -> None:
    """An update of a session that isn't there stores it, totals included."""
    session = conversation()
    assert await storage.update(session) == session
    assert await storage.get("s") == session


async def test_what_is_refused(storage: SessionStorage) -> None:
    """A message of another session, an id twice and a summary from nowhere are refused; nothing is written."""
    session = await storage.create(conversation())
    for write in (storage.update, storage.create):
        for messages in ([user("s"), user("t")], [user("s", id="m"), user("s", "b", id="m")]):
            with pytest.raises(InvalidValue):
                await write(Session(info=SessionInfo(id="s"), messages=messages))
        with pytest.raises(InvalidValue, match="session: is dict, not Session"):
            await write({"info": {"id": "s"}})  # pyright: ignore[reportArgumentType]
        broken_info = session.info.model_copy(update={"title": "\0"})
        with pytest.raises(InvalidValue, match=r"info\.title"):
            await write(Session.model_construct(info=broken_info, messages=[]))
        with pytest.raises(MessageNotFound):
            await write(Session(info=SessionInfo(id="s", summary_message_id="m")))
    assert await storage.get("s") == session


async def test_lists(storage: SessionStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions are listed most recently updated first; for their metadata no message is read."""
    sessions = [conversation(name) for name in "ab"]
    sessions[0].update_title("later")
    for session in sessions:
        await storage.create(session)
    assert await storage.list() == sessions
    monkeypatch.setattr(SQLSessionStore, "get_messages", None)
    assert await storage.list_infos() == [session.info for session in sessions]


async def test_a_session_deleted_meanwhile(storage: SessionStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that goes while sessions are listed isn't among them."""
    sessions = [await storage.create(conversation(name)) for name in "ab"]
    listed = SQLSessionStore.list_sessions

    async def deleting(store: SQLSessionStore) -> list[SessionInfo]:
        infos = await listed(store)
        await store.delete_session("a")
        return infos

    monkeypatch.setattr(SQLSessionStore, "list_sessions", deleting)
    assert await storage.list() == sessions[1:]


async def test_events(storage: SessionStorage) -> None:
    """Each write is announced after its commit, a deletion only when there was something to delete."""
    heard: list[Event] = []

    async def hear(event: Event) -> None:
        heard.append(event)
        assert (await storage.get("s") is None) == (event.type == "session.deleted")
        raise RuntimeError("a handler that fails breaks nothing")

    types = ("session.created", "session.updated", "session.deleted")
    storage.store.events.subscribe(hear, *types)
    await storage.delete("s")
    session = await storage.create(conversation())
    await storage.update(session)
    await storage.delete("s")
    await storage.delete("s")
    assert heard == [
        Event("session.created", {"session_id": "s", "title": "Weather"}),
        Event("session.updated", {"session_id": "s"}),
        Event("session.deleted", {"session_id": "s"}),
    ]


async def test_a_session_is_read_as_of_one_moment(storage: SessionStorage) -> None:
    """While writers go on, what is read was there at some moment: its metadata fits its messages."""
    await storage.create(Session(info=SessionInfo(id="s")))

    async def write() -> None:
        for _ in range(30):
            await storage.store.save_message(user("s", usage={"input_tokens": 1}))

    writers = asyncio.gather(write(), write())
    while not writers.done():
        session = await storage.get("s")
        assert session is not None
        assert session.info.message_count == session.info.input_tokens == len(session.messages)
    await writers


async def test_a_session_that_never_rests(storage: SessionStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that changes with every look at it is read all the same, whole."""
    await storage.create(Session(info=SessionInfo(id="s")))
    read = SQLSessionStore.get_messages

    async def disturbed(store: SQLSessionStore, session_id: str) -> list[Message]:
        found = await read(store, session_id)
        await store.save_message(user(session_id))
        return found

    monkeypatch.setattr(SQLSessionStore, "get_messages", disturbed)
    session = await storage.get("s")
    assert session is not None
    assert session.info.message_count == len(session.messages) == 3


async def test_inside_the_callers_transaction(store: SQLSessionStore) -> None:
    """On a bound store all of it is the caller's to commit."""
    async with store.engine.connect() as connection:
        bound = SessionStorage(store.bind(connection))
        session = await bound.create(conversation())
        session.create_user_message("more")
        assert await bound.update(session) == await bound.get("s") == session
        await connection.rollback()
    assert await SessionStorage(store).get("s") is None


async def test_reading_takes_no_lock(storage: SessionStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that rests is read without its lock, whatever is in it."""
    await storage.create(Session(info=SessionInfo(id="s", metadata={"not": float("nan")}), messages=[user("s")]))
    monkeypatch.setattr(SQLSessionStore, "export_session", None)
    session = await storage.get("s")
    assert session is not None
    assert repr(session.info.metadata) == "{'not': nan}"


async def test_what_others_wrote(storage: SessionStorage) -> None:
    """Sessions that were written in other ways are there, with their tool calls."""
    store = storage.store
    await store.create_session(SessionInfo(id="s"))
    saved = await store.save_messages([user("s"), tool_call("s"), tool_result("s")])
    session = await storage.get("s")
    assert session is not None
    assert ids(session.messages) == ids(saved)
    assert session.messages[1].get_tool_calls() == saved[1].get_tool_calls()
    assert [(message.seq, message.turn) for message in session.messages] == [(None, None)] * 3
    assert [message.seq for message in await store.get_messages("s")] == [1, 2, 3]
