"""The laws of forks: a copy of a session's beginning, which goes its own way."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import event

from sessionstore import Conversation, Message, SessionTime, SQLSessionStore
from sessionstore.compaction import Plan, Truncate
from sessionstore.errors import InvalidValue, MessageNotFound
from sessionstore.testing.build import EVERY_PART, LONG_AGO, ids, session_of, stored, totals, user
from tests.sql.invariants import broken

from .build import conversation_of, question, reply

SESSION_FIELD = {"session_id"}


def _contents(messages: list[Message]) -> list[str]:
    return [repr(message.model_dump(exclude=SESSION_FIELD)) for message in messages]


async def test_a_fork_has_the_history(store: SQLSessionStore) -> None:
    """Messages up to and including the given one come along as they are: ids, order, times, every part."""
    c = await conversation_of(store, 2)
    await c.append(Message(id="all", session_id="s", role="assistant", parts=list(EVERY_PART), metadata={"nan": []}))
    await c.append(question(3))
    whole = await store.get_messages("s")
    for at, length in ((None, 6), ("all", 5), ("q1", 1)):
        fork = await c.fork(at=at)
        assert _contents(await store.get_messages(fork.id)) == _contents(whole[:length])
        assert fork == await stored(store, fork.id)
        assert fork.message_count == length
    assert await broken(store.engine) == []


async def test_where_a_fork_comes_from(store: SQLSessionStore) -> None:
    """Its parent is the session, its root the session's root or the session; what is said of that holds for it too."""
    fields: dict[str, Any] = {
        "user_id": "u",
        "project_dir": "/p",
        "working_dir": "/w",
        "model_id": "m",
        "provider_id": "v",
        "metadata": {"b": 1, "a": None},
    }
    c = await conversation_of(
        store, 1, title="first", time=SessionTime(created=LONG_AGO, updated=LONG_AGO, archived=LONG_AGO), **fields
    )
    child = await c.fork()
    grandchild = await store.conversation(child.id).fork(title="third")
    assert (child.parent_session_id, child.root_session_id, child.title) == ("s", "s", "first")
    assert (grandchild.parent_session_id, grandchild.root_session_id, grandchild.title) == (child.id, "s", "third")
    for fork in (child, grandchild):
        assert {name: getattr(fork, name) for name in fields} == fields
        assert fork.time.archived is None
        assert fork.time.created == fork.time.updated > LONG_AGO
    assert ids(await store.list_sessions(parent_session_id="s")) == [child.id]


async def test_a_forks_totals(store: SQLSessionStore) -> None:
    """Totals are those of the messages that came along; usage of no message stays with the origin."""
    c = await conversation_of(store)
    usage = {"input_tokens": 10, "output_tokens": 1, "cache_read_tokens": 2, "reasoning_tokens": 3}
    await c.append(question(1), reply(1, usage=usage), question(2), reply(2, usage=usage))
    await store.add_usage("s", {"input_tokens": 500})
    fork = await c.fork(at="q2")
    assert totals(fork) == {
        "message_count": 3,
        "input_tokens": 10,
        "output_tokens": 1,
        "total_tokens": 11,
        "cache_read_tokens": 2,
        "reasoning_tokens": 3,
    }
    assert await broken(store.engine) == []


async def test_they_go_their_own_ways(store: SQLSessionStore) -> None:
    """What happens to the one afterwards doesn't happen to the other."""
    c = await conversation_of(store, 2)
    fork = await c.fork(at="a1")
    f = store.conversation(fork.id)
    (mine,) = await f.append(user(fork.id, "elsewhere"))
    assert (mine.seq, mine.turn) == (3, 2)
    await store.replace_message(user("s", "changed", id="q1"))
    assert [m.get_text_content() for m in await f.context()] == ["question 1", "answer 1", "elsewhere"]
    await f.revert_to_turn(1)
    assert len(await store.get_messages("s")) == 4
    await store.delete_session("s")
    assert ids(await store.get_messages(fork.id)) == ["q1", "a1"]
    assert await broken(store.engine) == []


async def test_summaries_come_along_that_are_inside(store: SQLSessionStore) -> None:
    """A compaction made by then comes along, in force as it was then; a later one doesn't."""
    c = await conversation_of(store, 4)
    first = await c.compact(Truncate(2))
    await c.append(question(5), reply(5))
    await c.compact(Truncate(1))
    assert first is not None
    whole, early, late = [store.conversation((await c.fork(at=at)).id) for at in (None, "a3", "a5")]
    assert await whole.summaries() == await c.summaries()
    assert await early.summaries() == []
    assert len(await early.context()) == 6
    second = await store.conversation((await c.fork(at="q5")).id).context()
    assert ids(second) == ["q3", "a3", "q4", "a4", "q5"]
    assert await late.summaries() == await c.summaries()  # the transcript ended with that message


async def test_a_summary_message_comes_along(store: SQLSessionStore) -> None:
    """The pointer of a fork names its own copy of the summary message, or the older one that it was forked at."""
    c = await conversation_of(store, 6)
    for number in (1, 2):
        await c.compact(_Told(number))
    records = await c.summaries()
    for at, expected in ((None, records[1]), (records[0].message_id, records[0])):
        fork = await c.fork(at=at)
        assert fork.summary_message_id == expected.message_id
        assert (await store.conversation(fork.id).context())[0].id == expected.message_id


class _Told:
    """Summarises the first so many turns."""

    def __init__(self, turns: int) -> None:
        self._turns = turns

    async def plan(self, messages: Sequence[Message]) -> Plan:
        return Plan(1, 2 * self._turns, summary=f"summary of {self._turns}")


async def test_drafts_come_as_interrupted(store: SQLSessionStore) -> None:
    """Nobody writes a fork's draft on: it is interrupted there, and still in progress in the origin."""
    c = await conversation_of(store, 1)
    await c.append(Message(id="d", session_id="s", role="assistant", status="in_progress"))
    fork = await c.fork()
    assert [m.status for m in await store.get_messages(fork.id)] == ["complete", "complete", "interrupted"]
    assert [m.status for m in await store.get_messages("s")] == ["complete", "complete", "in_progress"]
    assert await store.conversation(fork.id).fork(at="d") is not None


async def test_read_files_do_not_come_along(store: SQLSessionStore) -> None:
    """A file that the origin read was never read in the fork."""
    c = await conversation_of(store, 1)
    await store.track_read_file("s", "/a")
    assert await store.list_read_files((await c.fork()).id) == []


async def test_an_empty_session(store: SQLSessionStore) -> None:
    """A session without messages can be forked, and its fork used."""
    fork = await (await conversation_of(store)).fork(title="empty")
    assert (fork.message_count, fork.title) == (0, "empty")
    (saved,) = await store.conversation(fork.id).append(user(fork.id))
    assert (saved.seq, saved.turn) == (1, 1)


async def test_messages_that_are_not_there(store: SQLSessionStore) -> None:
    """A message of no or another session is MessageNotFound, a bad title InvalidValue, and nothing is made."""
    c = await conversation_of(store, 1)
    _, (foreign,) = await session_of(store, "elsewhere")
    for at in ("missing", foreign.id):
        with pytest.raises(MessageNotFound):
            await c.fork(at=at)
    for arguments in ({"at": ""}, {"title": "\0"}, {"at": 5}):
        with pytest.raises(InvalidValue):
            await c.fork(**arguments)  # pyright: ignore[reportArgumentType]
    assert len(await store.list_sessions()) == 2


async def test_forks_while_others_write(store: SQLSessionStore) -> None:
    """Each fork is the session as it was at one moment, however many write to it."""
    c = await conversation_of(store, 3)

    async def write(number: int) -> None:
        await c.append(question(number), reply(number, usage={"input_tokens": 1}))

    forks = [c.fork() for _ in range(5)]
    done = await asyncio.gather(*(write(number) for number in range(4, 12)), *forks)
    for fork in done[8:]:
        assert fork is not None
        assert len(await store.get_messages(fork.id)) == fork.message_count
        assert fork.message_count % 2 == 0
    assert await broken(store.engine) == []


async def test_the_database_copies(store: SQLSessionStore) -> None:
    """A fork sends the same few statements however long the history, and reads none of it."""
    counts: set[int] = set()
    for name, turns in (("short", 1), ("long", 60)):
        c: Conversation = await conversation_of(store, turns, name)
        sent: list[str] = []

        def before(_c: Any, _u: Any, statement: str, *_: Any, sent: list[str] = sent) -> None:
            sent.append(statement)

        event.listen(store.engine.sync_engine, "before_cursor_execute", before)
        await c.fork(at=f"a{turns}")
        event.remove(store.engine.sync_engine, "before_cursor_execute", before)
        counts.add(len(sent))
    assert len(counts) == 1
    assert counts.pop() <= 8
