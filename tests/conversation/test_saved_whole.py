"""Compactions of a session that is saved as a whole: what they covered stays covered, wherever that is put."""

from collections.abc import Callable

import pytest

from sessionstore import Conversation, Message, Session, SQLSessionStore
from sessionstore.compaction import Strategy, Summarize, Truncate
from sessionstore.testing.build import ids, seqs, user
from tests.sql.invariants import broken

from .build import Covering, Recorder, conversation_of

RECENT = ["q3", "a3", "q4", "a4"]
"""What stays of four turns, of which turn 1 is pinned, and turn 2 is covered."""


async def compacted(store: SQLSessionStore, strategy: Strategy) -> Conversation:
    """Store four turns, of which the second is covered."""
    conversation = await conversation_of(store, 4)
    record = await conversation.compact(strategy)
    assert record is not None
    return conversation


async def save(store: SQLSessionStore, edit: Callable[[list[Message]], object]) -> None:
    """Save the session as a whole with its messages edited."""
    info = await store.get_session("s")
    assert info is not None
    messages = await store.get_messages("s")
    edit(messages)
    given = Session(info=info.model_copy(update={"message_count": len(messages)}), messages=messages)
    saved = await store.save_session(given)
    assert (saved.info, ids(saved.messages)) == (given.info, ids(messages))
    assert await broken(store.engine) == []


async def context_of(conversation: Conversation) -> list[str]:
    """Return the ids of the context, with `s` for the summary."""
    record = (await conversation.summaries())[-1]
    return ["s" if message.id == record.message_id else message.id for message in await conversation.context()]


def _insert(*places: int) -> Callable[[list[Message]], object]:
    def edit(messages: list[Message]) -> None:
        for place in places:
            messages.insert(place, user("s", id=f"new {place}"))

    return edit


def _move(first: int, last: int) -> Callable[[list[Message]], object]:
    return lambda messages: messages.insert(last, messages.pop(first))


def _both(*edits: Callable[[list[Message]], object]) -> Callable[[list[Message]], object]:
    return lambda messages: [edit(messages) for edit in edits]


EDITS: list[tuple[Callable[[list[Message]], object], list[str]]] = [
    (_insert(0), ["new 0", "q1", "a1", "s", *RECENT]),
    (_insert(2), ["q1", "a1", "new 2", "s", *RECENT]),
    (_insert(3), ["q1", "a1", "s", "new 3", *RECENT]),
    (_insert(5), ["q1", "a1", "s", "q3", "new 5", "a3", "q4", "a4"]),
    (_insert(8), ["q1", "a1", "s", *RECENT, "new 8"]),
    (_move(0, 7), ["a1", "s", "q3", "a3", "q4", "a4", "q1"]),
    (_move(2, 5), ["q1", "a1", "s", *RECENT]),
    (lambda messages: messages.reverse(), ["a4", "q4", "a3", "q3", "s", "a1", "q1"]),
    (_both(lambda messages: messages.pop(2), _insert(0)), ["new 0", "q1", "a1", "s", *RECENT]),
    (_both(lambda messages: messages.pop(6), _insert(0)), ["new 0", "q1", "a1", "s", "q3", "a3", "a4"]),
]


@pytest.mark.parametrize("number", range(len(EDITS)))
@pytest.mark.parametrize("summary", [True, False])
async def test_what_was_covered_stays_so(store: SQLSessionStore, number: int, summary: bool) -> None:
    """Messages that were inserted or moved are in the context, and what was covered isn't, nor what wasn't is."""
    edit, expected = EDITS[number]
    strategy = Summarize(Recorder(), 2, pinned_turns=[1]) if summary else Truncate(2, pinned_turns=[1])
    conversation = await compacted(store, strategy)
    (before,) = await conversation.summaries()
    await save(store, edit)
    assert await context_of(conversation) == [id_ for id_ in expected if summary or id_ != "s"]
    (after,) = await conversation.summaries()
    places = {"from_seq", "through_seq", "kept", "at_seq"}
    assert after.model_dump(exclude=places) == before.model_dump(exclude=places)


@pytest.mark.parametrize("number", range(len(EDITS)))
async def test_going_back_behind_it(store: SQLSessionStore, number: int) -> None:
    """A record was made behind what stood before it, and goes when the session is cut back to before that."""
    conversation = await compacted(store, Summarize(Recorder(), 2, pinned_turns=[1]))
    await save(store, EDITS[number][0])
    (record,) = await conversation.summaries()
    messages = await store.get_messages("s")
    assert record.at_seq in seqs(messages)
    assert await store.delete_messages("s", after=record.at_seq - 1)
    assert await conversation.summaries() == []
    assert await broken(store.engine) == []


@pytest.mark.parametrize(
    "edit",
    [
        _both(lambda messages: messages.pop(8), _insert(0)),
        _both(lambda messages: messages.__delitem__(slice(6, 9)), _insert(0)),
        lambda messages: messages.__setitem__(slice(0, 9), [user("s")]),
    ],
)
async def test_what_is_gone(store: SQLSessionStore, edit: Callable[[list[Message]], object]) -> None:
    """A record whose message is gone, or all that it was made behind, goes too."""
    conversation = await compacted(store, Summarize(Recorder(), 2, pinned_turns=[1]))
    info = await store.get_session("s")
    assert info is not None
    await store.update_session_summary("s", None)
    await save(store, edit)
    assert await conversation.summaries() == []
    assert ids(await conversation.context()) == ids(await store.get_messages("s"))


async def test_nothing_covered_is_left(store: SQLSessionStore) -> None:
    """When all that was covered is gone a summary stays where its message is, and one without a message goes."""
    conversation = await compacted(store, Covering(3, 4))
    await conversation.compact(Covering(5, 6, summary="both"))
    await save(store, _both(lambda messages: messages.__delitem__(slice(2, 6)), _insert(0)))
    assert [record.number for record in await conversation.summaries()] == [2]
    assert await context_of(conversation) == ["new 0", "q1", "a1", "q4", "a4", "s"]


async def test_turns_go_on_behind_it(store: SQLSessionStore) -> None:
    """What a compaction covers next, and undoing it, work with the new numbers."""
    recorder = Recorder()
    conversation = await compacted(store, Summarize(recorder, 2, pinned_turns=[1]))
    await save(store, _insert(0))
    await conversation.compact(Summarize(recorder, 1, pinned_turns=[1, 2]))
    assert await context_of(conversation) == ["new 0", "q1", "a1", "s", "q4", "a4"]
    assert recorder.given[-1] == ["summary 1", "question 3", "answer 3"]
    await conversation.undo_compaction()
    record = (await conversation.summaries())[0].message_id
    shown = ["s" if message.id == record else message.id for message in await conversation.context()]
    assert shown == ["new 0", "q1", "a1", "s", *RECENT]
