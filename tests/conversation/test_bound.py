"""The laws of a conversation in the caller's transaction, and of what is announced."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from sessionstore import Conversation, Event, Message, SQLSessionStore
from sessionstore.compaction import Summarize, Truncate
from sessionstore.errors import CompactionConflict, CompactionFailed, InvalidValue, MessageConflict, MessageNotFound
from sessionstore.testing.build import user
from tests.sql.invariants import broken

from .build import Covering, Recorder, call, conversation_of, question, reply, result, said


async def _everything(store: Any, c: Conversation) -> str:
    return repr(
        [
            await store.get_session("s"),
            await store.get_messages("s"),
            await c.summaries(),
            await c.turns(),
            await c.context(),
            await c.pending_tool_calls(),
            await c.context_usage(100),
        ]
    )


WRITES: dict[str, Callable[[Conversation], Awaitable[Any]]] = {
    "append": lambda c: c.append(question(9)),
    "revert": lambda c: c.revert_to_turn(1),
    "edit": lambda c: c.edit("q2", user("s", "other", id="q2")),
    "reset": lambda c: c.reset([question(1)]),
    "fork": lambda c: c.fork(at="q2"),
    "compact": lambda c: c.compact(Summarize(Recorder(), 1)),
    "compact if needed": lambda c: c.compact_if_needed(Truncate(1), 10, threshold_percent=1),
    "undo": lambda c: c.undo_compaction(),
    "repair": lambda c: c.repair_tool_calls(),
}


async def _filled(store: SQLSessionStore) -> Conversation:
    c = await conversation_of(store, 4)
    await c.compact(Covering(1, 2, summary="first"))
    await c.append(call("a"), question(5))
    return c


@pytest.mark.parametrize("name", WRITES)
async def test_it_is_the_callers_transaction(store: SQLSessionStore, name: str) -> None:
    """What a bound conversation does is seen inside, undone by the caller's rollback, and kept by a commit."""
    c = await _filled(store)
    before = await _everything(store, c)
    sessions = len(await store.list_sessions())
    async with store.engine.connect() as connection:
        bound = store.bind(connection)
        await WRITES[name](bound.conversation("s"))
        inside = await _everything(bound, bound.conversation("s"))
        assert (inside != before) or len(await bound.list_sessions()) > sessions
        await connection.rollback()
    assert (await _everything(store, c), len(await store.list_sessions())) == (before, sessions)
    async with AsyncSession(store.engine) as session:
        bound = store.bind(session)
        await WRITES[name](bound.conversation("s"))
        inside = await _everything(bound, bound.conversation("s"))
        await session.commit()
    assert await _everything(store, c) == inside
    assert await broken(store.engine) == []


async def test_errors_leave_the_transaction_usable(store: SQLSessionStore) -> None:
    """An error of ours, a failing strategy included, changes nothing, and the transaction goes on."""
    await _filled(store)

    class Failing:
        async def plan(self, messages: Any) -> None:
            raise RuntimeError

    async with store.engine.connect() as connection:
        bound = store.bind(connection)
        c = bound.conversation("s")

        class Meddling:
            async def plan(self, messages: Any) -> Any:
                await c.undo_compaction()
                return await Covering(3, 4).plan(messages)

        before = await _everything(bound, c)
        calls: list[tuple[type[Exception], Callable[[], Awaitable[Any]]]] = [
            (InvalidValue, lambda: c.revert_to_turn(99)),
            (MessageNotFound, lambda: c.edit("missing", question(1))),
            (MessageConflict, lambda: c.edit("q2", user("s", "other", id="q1"))),
            (MessageConflict, lambda: c.append(question(8), user("s", "other", id="q1"))),
            (MessageConflict, lambda: c.reset([question(1), user("s", "other", id="q1")])),
            (MessageNotFound, lambda: c.fork(at="missing")),
            (CompactionFailed, lambda: c.compact(Failing())),
        ]
        for error, refused in calls:
            with pytest.raises(error):
                await refused()
            assert await _everything(bound, c) == before
        with pytest.raises(CompactionConflict):
            await c.compact(Meddling())
        assert len(await c.summaries()) == 1
        await c.append(question(9))
        await connection.commit()
    assert said(await store.get_messages("s"))[-1] == "question 9"


UPDATED = Event("session.updated", {"session_id": "s"})


def _saved(message_id: str, seq: int) -> Event:
    return Event("message.saved", {"session_id": "s", "message_id": message_id, "seq": seq})


def _compacted(number: int) -> Event:
    return Event("session.compacted", {"session_id": "s", "number": number})


async def _steps(c: Conversation) -> list[tuple[str, list[Event]]]:
    """Return what is done to a conversation of four turns, with what is announced of it."""
    done: list[tuple[str, list[Event]]] = []
    summary = await c.compact(Summarize(Recorder(), 3))
    assert summary is not None
    done.append(("compact", [_saved(summary.message_id or "", 9), _compacted(1)]))
    await c.compact(Truncate(2))
    done.append(("truncate", [UPDATED, _compacted(2)]))
    await c.undo_compaction()
    done.append(("undo", [UPDATED]))
    await c.compact(Truncate(4))
    done.append(("nothing to collect", []))
    await c.append(call("x", id="call"))
    done.append(("append", [_saved("call", 10)]))
    (repaired,) = await c.repair_tool_calls()
    done.append(("repair", [_saved(repaired.id, 11)]))
    await c.repair_tool_calls()
    done.append(("nothing to repair", []))
    fork = await c.fork(title="forked")
    done.append(("fork", [Event("session.created", {"session_id": fork.id, "title": "forked"})]))
    await c.revert_to_turn(3)
    done.append(("revert", [UPDATED]))
    await c.revert_to_turn(3)
    done.append(("nothing to revert", []))
    await c.edit("q3", question(7))
    done.append(("edit", [UPDATED, _saved("q7", 12)]))
    await c.reset([question(1)])
    done.append(("reset", [UPDATED, _saved("q1", 13)]))
    await c.context()
    await c.context_usage(100)
    await c.turns()
    done.append(("reads", []))
    return done


async def test_what_is_announced(store: SQLSessionStore) -> None:
    """Every write is announced after its commit, a compaction with its number, and what changed nothing isn't."""
    c = await conversation_of(store, 4)
    heard: list[Event] = []
    store.events.subscribe(heard.append)
    expected = await _steps(c)
    assert heard == [event for _, events in expected for event in events]


async def test_what_is_announced_of_the_callers_transaction(store: SQLSessionStore) -> None:
    """In the caller's transaction the same is collected, until the caller publishes it."""
    await conversation_of(store, 4)
    heard: list[Event] = []
    store.events.subscribe(heard.append)
    async with store.engine.begin() as connection:
        bound = store.bind(connection)
        expected = await _steps(bound.conversation("s"))
    assert heard == []
    await bound.publish_events()
    assert heard == [event for _, events in expected for event in events]


async def test_tenants(store: SQLSessionStore) -> None:
    """A tenant's conversation is no other's: it reads nothing of it, and its records aren't found."""
    c = await _filled(store)
    await c.append(result("a"), reply(9, usage={"input_tokens": 3}))
    other = store.for_tenant("rival").conversation("s")
    assert [await other.context(), await other.turns(), await other.summaries(), await other.pending_tool_calls()] == [
        [],
        [],
        [],
        [],
    ]
    assert (await other.context_usage(10)).total_tokens == 0


async def test_row_level_security_and_schemas_are_the_stores(store: SQLSessionStore) -> None:
    """A conversation works as its store does: one of a tenant's store makes forks of that tenant."""
    acme = store.for_tenant("acme")
    c = await conversation_of(acme, 2)
    fork = await c.fork()
    assert await store.get_session(fork.id) is None
    assert await acme.get_session(fork.id) == fork
    assert isinstance((await c.append(Message(session_id="s", role="user")))[0], Message)
