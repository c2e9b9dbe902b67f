"""The laws of the caller's transaction: it stays the caller's, whatever is done in it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from sessionstore import Event, Message, SessionInfo, SQLSessionStore
from sessionstore.errors import (
    InvalidValue,
    MessageConflict,
    MessageNotFound,
    SessionExists,
    SessionNotFound,
    StoreUnavailable,
)
from sessionstore.testing.build import ids, user

from .calls import CALLS, Call, Target, filled_session, outcome
from .hosts import disposing
from .invariants import broken

Opened = AsyncConnection | AsyncSession
Opens = Callable[[AsyncEngine], AbstractAsyncContextManager[Opened]]


class Base(DeclarativeBase):
    """The host's own registry."""


class Order(Base):
    """A row of the host's."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str]


@asynccontextmanager
async def _connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with engine.connect() as connection:
        yield connection


@asynccontextmanager
async def _session(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine) as session:
        yield session


@pytest.fixture(params=[_connection, _session], ids=["connection", "session"])
def opens(request: pytest.FixtureRequest) -> Opens:
    """Opens what is bound: a connection or a session."""
    return request.param


@pytest.fixture
async def host(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """The host's engine, with a table of the host's."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)


async def notes(engine: AsyncEngine) -> list[str]:
    """Return the host's rows, as a second connection sees them."""
    async with engine.connect() as connection:
        return list((await connection.execute(select(Order.note).order_by(Order.id))).scalars())


async def session_ids(engine: AsyncEngine) -> list[str]:
    """Return the sessions, as a second connection sees them."""
    return sorted(ids(await SQLSessionStore(engine).list_sessions()))


async def test_the_callers_commit_makes_it_visible(host: AsyncEngine, opens: Opens) -> None:
    """What is done in the caller's transaction is seen by others once the caller has committed, and not before."""
    store = SQLSessionStore(host)
    await store.create_session(SessionInfo(id="s"))
    async with opens(host) as opened:
        await opened.execute(insert(Order).values(note="mine"))
        saved = await store.bind(opened).save_message(user("s", "hello"))
        assert (await notes(host), await store.get_messages("s")) == ([], [])
        await opened.commit()
    assert await notes(host) == ["mine"]
    assert await store.get_messages("s") == [saved]


@pytest.mark.parametrize("ours_first", [False, True])
async def test_the_callers_rollback_undoes_it(host: AsyncEngine, opens: Opens, ours_first: bool) -> None:
    """A host's row and a message stand or fall together, whichever was first."""
    store = SQLSessionStore(host)
    async with opens(host) as opened:
        if not ours_first:
            await opened.execute(insert(Order).values(note="mine"))
        await store.bind(opened).create_session(SessionInfo(id="s"))
        await store.bind(opened).save_message(user("s", "hello"))
        await opened.execute(insert(Order).values(note="mine too"))
        await opened.rollback()
    assert (await notes(host), await session_ids(host)) == ([], [])


async def test_orm_objects_share_the_transaction(host: AsyncEngine) -> None:
    """A session's flushed objects and our messages are one transaction."""
    store = SQLSessionStore(host)
    for note, end in (("lost", AsyncSession.rollback), ("kept", AsyncSession.commit)):
        async with AsyncSession(host) as session:
            session.add(Order(note=note))
            await session.flush()
            await store.bind(session).create_session(SessionInfo(id=note))
            await end(session)
    assert (await notes(host), await session_ids(host)) == (["kept"], ["kept"])


async def test_no_call_ends_the_transaction(host: AsyncEngine, opens: Opens) -> None:
    """No method commits or rolls back, whether it succeeds or fails: the host's row stays uncommitted throughout."""
    store = SQLSessionStore(host)
    await filled_session(store)
    before = repr(await store.export_session("s"))
    async with opens(host) as opened:
        await opened.execute(insert(Order).values(note="mine"))
        bound = store.bind(opened)
        for name, call in CALLS.items():
            for target in (Target("absent"), Target("s"), Target("s", "absent")):
                await outcome(call(bound, target), target)
            assert opened.in_transaction(), name
            assert await notes(host) == [], name
            assert repr(await store.get_session("s")) in before, name
            assert await opened.scalar(select(Order.note)) == "mine", name
        await opened.rollback()
    assert (await notes(host), await session_ids(host)) == ([], ["s"])
    assert repr(await store.export_session("s")) == before


REFUSED: dict[str, tuple[type[Exception], Call]] = {
    "SessionNotFound": (SessionNotFound, lambda s, _: s.save_message(user("absent"))),
    "SessionNotFound title": (SessionNotFound, lambda s, _: s.update_session_title("absent", "t")),
    "SessionNotFound file": (SessionNotFound, lambda s, _: s.track_read_file("absent", "/a")),
    "SessionExists": (SessionExists, lambda s, _: s.create_session(SessionInfo(id="s"))),
    "MessageConflict": (MessageConflict, lambda s, _: s.save_message(user("s", "other", id="m1"))),
    "MessageConflict batch": (
        MessageConflict,
        lambda s, _: s.save_messages([user("s", "new", id="n"), user("s", "other", id="m1")]),
    ),
    "MessageNotFound": (MessageNotFound, lambda s, _: s.replace_message(user("s", id="absent"))),
    "MessageNotFound summary": (MessageNotFound, lambda s, _: s.update_session_summary("s", "absent")),
    "MessageNotFound after": (MessageNotFound, lambda s, _: s.delete_messages("s", after="absent")),
    "InvalidValue": (InvalidValue, lambda s, _: s.save_message(user("s", metadata={"a": {1}}))),
    "InvalidValue limit": (InvalidValue, lambda s, _: s.get_messages("s", limit=-1)),
}


async def test_our_errors_leave_the_transaction_usable(host: AsyncEngine, opens: Opens) -> None:
    """After any error of ours the caller goes on, commits, and has what was done before and after it."""
    store = SQLSessionStore(host)
    await filled_session(store)
    count = len(await store.get_messages("s"))
    async with opens(host) as opened:
        bound = store.bind(opened)
        for number, (name, (kind, call)) in enumerate(REFUSED.items(), 1):
            with pytest.raises(kind):
                await call(bound, Target("s"))
            await opened.execute(insert(Order).values(note=name))
            await bound.save_message(user("s", name))
            assert len(await bound.get_messages("s")) == count + number
        await opened.commit()
    assert await notes(host) == list(REFUSED)
    assert [m.get_text_content() for m in await store.get_messages("s")][count:] == list(REFUSED)
    assert await broken(host) == []


async def _waits(work: "asyncio.Task[Any]") -> None:
    """Return when a call has come as far as the lock that another transaction holds."""
    done, _ = await asyncio.wait({work}, timeout=0.3)
    assert not done, "it didn't wait for the other transaction"


async def test_racing_callers_store_one_message(host: AsyncEngine, opens: Opens) -> None:
    """Of two transactions that save one id, one appends and the other, once the first commits, gets the stored one."""
    store = SQLSessionStore(host)
    await store.create_session(SessionInfo(id="s"))
    async with opens(host) as first, opens(host) as second:
        appended = await store.bind(first).save_message(user("s", "hello", id="m"))
        work = asyncio.create_task(store.bind(second).save_message(user("s", "hello", id="m")))
        await _waits(work)
        await first.commit()
        assert await work == appended
        await second.execute(insert(Order).values(note="goes on"))
        await second.commit()
    assert await store.get_messages("s") == [appended]
    assert await notes(host) == ["goes on"]


async def test_racing_callers_with_other_content_conflict(host: AsyncEngine, opens: Opens) -> None:
    """With other content the second gets MessageConflict, and its transaction goes on."""
    store = SQLSessionStore(host)
    await store.create_session(SessionInfo(id="s"))
    async with opens(host) as first, opens(host) as second:
        await store.bind(first).save_message(user("s", "hello", id="m"))
        work = asyncio.create_task(store.bind(second).save_message(user("s", "other", id="m")))
        await _waits(work)
        await first.commit()
        with pytest.raises(MessageConflict):
            await work
        await store.bind(second).save_message(user("s", "other", id="n"))
        await second.commit()
    assert ids(await store.get_messages("s")) == ["m", "n"]


async def test_a_racing_caller_goes_on_when_the_first_gives_up(host: AsyncEngine, opens: Opens) -> None:
    """When the first rolls back, the second appends, and no number is left out."""
    store = SQLSessionStore(host)
    await store.create_session(SessionInfo(id="s"))
    async with opens(host) as first, opens(host) as second:
        await store.bind(first).save_message(user("s", "hello", id="m"))
        work = asyncio.create_task(store.bind(second).save_message(user("s", "other", id="m")))
        await _waits(work)
        await first.rollback()
        assert (await work).seq == 1
        await second.commit()
    assert [m.get_text_content() for m in await store.get_messages("s")] == ["other"]


@pytest.mark.parametrize("tenant", ["", "other"])
async def test_racing_callers_create_one_session(host: AsyncEngine, opens: Opens, tenant: str) -> None:
    """Of two transactions that create one id, the second gets SessionExists and goes on, whoever its tenant is."""
    store = SQLSessionStore(host)
    async with opens(host) as first, opens(host) as second:
        await store.bind(first).create_session(SessionInfo(id="s", title="first"))
        bound = store.for_tenant(tenant).bind(second)
        work = asyncio.create_task(bound.create_session(SessionInfo(id="s", title="second")))
        await _waits(work)
        await first.commit()
        with pytest.raises(SessionExists):
            await work
        await bound.create_session(SessionInfo(id="t"))
        await second.commit()
    assert await session_ids(host) == (["s"] if tenant else ["s", "t"])
    found = await store.get_session("s")
    assert found is not None
    assert found.title == "first"


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_a_race_above_read_committed_is_the_callers(postgresql_url: str, level: str) -> None:
    """Under REPEATABLE READ and SERIALIZABLE a race is a StoreUnavailable from the driver's 40001, sent once."""
    async with disposing(create_async_engine(postgresql_url, isolation_level=level)) as engine:
        store = SQLSessionStore(engine)
        await store.create_session(SessionInfo(id="s"))
        async with engine.connect() as first, engine.connect() as second:
            await second.execute(text("SELECT count(*) FROM sessionstore_sessions"))
            await store.bind(first).save_message(user("s", id="m"))
            work = asyncio.create_task(store.bind(second).save_message(user("s", id="m")))
            await _waits(work)
            await first.commit()
            with pytest.raises(StoreUnavailable) as raised:
                await work
            assert getattr(getattr(raised.value.__cause__, "orig", None), "sqlstate", None) == "40001"
            await second.rollback()
        assert len(await store.get_messages("s")) == 1


async def test_reads_see_what_is_not_committed(host: AsyncEngine, opens: Opens) -> None:
    """In the caller's transaction one reads one's own writes."""
    store = SQLSessionStore(host)
    async with opens(host) as opened:
        bound = store.bind(opened)
        await filled_session(bound)
        assert await bound.export_session("s") is not None
        assert len(await bound.get_messages("s")) == 4
        assert await bound.has_read_file("s", "/a")
        assert await store.get_session("s") is None
        await opened.commit()
    assert await store.has_read_file("s", "/a")


async def test_savepoints_are_the_callers_too(host: AsyncEngine, opens: Opens) -> None:
    """What was done since a savepoint goes with it, and what was done before stays."""
    store = SQLSessionStore(host)
    async with opens(host) as opened:
        bound = store.bind(opened)
        await bound.create_session(SessionInfo(id="s"))
        await bound.save_message(user("s", id="m1"))
        savepoint = await opened.begin_nested()
        await bound.save_message(user("s", id="m2"))
        await savepoint.rollback()
        await bound.save_message(user("s", id="m3"))
        await opened.commit()
    assert [(m.id, m.seq) for m in await store.get_messages("s")] == [("m1", 1), ("m3", 2)]
    assert await broken(host) == []


async def test_events_wait_for_publish_events(host: AsyncEngine, opens: Opens) -> None:
    """Events are collected until publish_events, which delivers them once; a rolled back caller delivers none."""
    store = SQLSessionStore(host)
    heard: list[Event] = []
    store.events.subscribe(heard.append)
    async with opens(host) as opened:
        bound = store.bind(opened)
        await bound.create_session(SessionInfo(id="s", title="t"))
        saved = await bound.save_message(user("s"))
        await bound.save_message(saved)
        with pytest.raises(SessionNotFound):
            await bound.save_message(user("absent"))
        await opened.commit()
        assert heard == []
        await bound.publish_events()
        await bound.publish_events()
    assert heard == [
        Event("session.created", {"session_id": "s", "title": "t"}),
        Event("message.saved", {"session_id": "s", "message_id": saved.id, "seq": 1}),
    ]
    heard.clear()
    async with opens(host) as opened:
        bound = store.bind(opened)
        await bound.save_message(user("s"))
        await opened.rollback()
    await store.save_message(user("s", id="own"))
    assert [event.data["message_id"] for event in heard] == ["own"]


async def test_events_published_at_once_are_delivered_once(host: AsyncEngine) -> None:
    """publish_events called by two tasks at once delivers each event once."""
    store = SQLSessionStore(host)
    heard: list[str] = []

    async def slow(event: Event) -> None:
        await asyncio.sleep(0.01)
        heard.append(event.type)

    store.events.subscribe(slow)
    async with host.begin() as connection:
        bound = store.bind(connection)
        await bound.create_session(SessionInfo(id="s"))
    await asyncio.gather(bound.publish_events(), bound.publish_events())
    assert heard == ["session.created"]


async def test_a_cancelled_call_leaves_the_transaction_usable(host: AsyncEngine, opens: Opens) -> None:
    """A cancelled call in the caller's transaction was done whole or not at all, and the caller goes on."""
    store = SQLSessionStore(host)
    for turns in range(0, 40, 3):
        session_id = f"s{turns}"
        await store.create_session(SessionInfo(id=session_id))
        async with opens(host) as opened:
            bound = store.bind(opened)
            await bound.save_message(user(session_id, id="first"))
            work = asyncio.create_task(bound.save_messages([user(session_id, id="a"), user(session_id, id="b")]))
            for _ in range(turns):
                await asyncio.sleep(0)
            work.cancel()
            await asyncio.wait({work})
            await bound.save_message(user(session_id, id="last"))
            await opened.commit()
        assert ids(await store.get_messages(session_id)) in (["first", "last"], ["first", "a", "b", "last"]), turns
    assert await broken(host) == []


async def test_a_schema_goes_with_the_binding(postgresql_url: str) -> None:
    """Bound, the store's schema is used, and the caller's own translation of schemas is what it was."""
    translation = {None: "public", "tenant": "elsewhere"}
    async with disposing(create_async_engine(postgresql_url)) as engine:
        store = SQLSessionStore(engine, schema="bound_agents")
        await store.upgrade()
        async with engine.connect() as plain:
            connection = await plain.execution_options(schema_translate_map=translation)
            bound = store.bind(connection)
            await bound.create_session(SessionInfo(id="s"))
            assert ids(await bound.list_sessions()) == ["s"]
            assert connection.sync_connection is not None
            kept = connection.sync_connection.get_execution_options()["schema_translate_map"]
            assert {name: kept[name] for name in translation} == translation
            assert ids(await SQLSessionStore(engine).bind(connection).list_sessions()) == []
            await connection.rollback()
        async with engine.begin() as connection:
            await connection.execute(text("DROP SCHEMA bound_agents CASCADE"))


async def test_what_can_not_be_bound_is_refused(hosted: SQLSessionStore) -> None:
    """Only an AsyncConnection or AsyncSession can be bound; the error names what was given."""
    for thing in (None, hosted.engine, Session(), "connection", AsyncSession):
        with pytest.raises(InvalidValue, match=r"connection: is \w+"):
            hosted.bind(thing)  # pyright: ignore[reportArgumentType]


async def test_bound_message_times_and_numbers_follow(host: AsyncEngine, opens: Opens) -> None:
    """Numbers and times continue across the caller's transaction and the store's own."""
    store = SQLSessionStore(host)
    await store.create_session(SessionInfo(id="s"))
    saved: list[Message] = [await store.save_message(user("s"))]
    async with opens(host) as opened:
        bound = store.bind(opened)
        saved += [await bound.save_message(user("s")) for _ in range(3)]
        await opened.commit()
    saved.append(await store.save_message(user("s")))
    assert [message.seq for message in saved] == [1, 2, 3, 4, 5]
    times = [message.created_at for message in saved]
    assert times == sorted(set(times))
