"""The law of order: any sequence of writes leads to what `law.Law` says, on every database."""

import asyncio
import contextlib
import random
from dataclasses import replace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import MessageNotFound
from sessionstore.models import Message, new_id
from sessionstore.store import SessionStore
from sessionstore.testing.build import TOKENS, new_session, stored, totals
from sessionstore.testing.reference import Entry, Law
from sessionstore.testing.strategies import on_one_store

_usages = st.tuples(*[st.integers(0, 50)] * len(TOKENS))
_entries = st.builds(
    Entry,
    id=st.uuids().map(str),
    role=st.sampled_from(["user", "user", "assistant", "system", "tool"]),
    has_result=st.booleans(),
    usage=_usages,
)
_places = st.integers(0, 11)

_steps = st.one_of(
    st.tuples(st.just("save"), _entries),
    st.tuples(st.just("batch"), st.lists(_entries, max_size=4)),
    st.tuples(st.just("save again"), _places),
    st.tuples(st.just("batch with stored"), st.tuples(_places, _entries)),
    st.tuples(st.just("replace"), st.tuples(_places, _entries)),
    st.tuples(st.just("pop"), st.none()),
    st.tuples(st.just("delete after id"), _places),
    st.tuples(st.just("delete after seq"), _places),
    st.tuples(st.just("delete all"), st.none()),
    st.tuples(st.just("add usage"), _usages),
)


class _Pair:
    """A stored session and the law, taking the same steps."""

    def __init__(self, store: SessionStore, session_id: str) -> None:
        self._store = store
        self._id = session_id
        self.law = Law()

    async def step(self, name: str, argument: Any) -> None:
        """Take a step; one that needs a stored message is none when there is no message."""
        entry = self._entry_at(argument)
        if name == "save":
            await self._save([argument])
        elif name == "batch":
            await self._save(argument)
        elif name == "pop":
            await self._pop()
        elif name == "delete after seq":
            expected = self.law.keep(sum(entry.seq <= argument for entry in self.law.entries))
            assert await self._store.delete_messages(self._id, after=argument) == expected
        elif name == "delete all":
            assert await self._store.delete_messages(self._id) == self.law.keep(0)
        elif name == "add usage":
            self.law.add_usage(argument)
            await self._store.add_usage(self._id, dict(zip(TOKENS, argument, strict=True)))
        elif entry is not None:
            await self._step_at(name, entry, argument)

    async def _step_at(self, name: str, entry: Entry, argument: Any) -> None:
        if name == "save again":
            await self._save([entry])
        elif name == "batch with stored":
            await self._save([argument[1], entry, entry])
        elif name == "replace":
            new = replace(argument[1], id=entry.id)
            self.law.replace(new)
            assert Entry.of(await self._store.replace_message(new.message(self._id))) == self._known(entry.id)
        elif name == "delete after id":
            expected = self.law.keep(self.law.entries.index(entry) + 1)
            assert await self._store.delete_messages(self._id, after=entry.id) == expected

    def _entry_at(self, argument: Any) -> Entry | None:
        place = cast("tuple[Any, ...]", argument)[0] if isinstance(argument, tuple) else argument
        return self.law.entries[place % len(self.law.entries)] if isinstance(place, int) and self.law.entries else None

    def _known(self, id: str) -> Entry:
        (entry,) = [entry for entry in self.law.entries if entry.id == id]
        return entry

    async def _save(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.law.append(entry)
        messages = [entry.message(self._id) for entry in entries]
        saved = (
            [await self._store.save_message(messages[0])]
            if len(messages) == 1
            else await self._store.save_messages(messages)
        )
        assert [Entry.of(message) for message in saved] == [self._known(entry.id) for entry in entries]

    async def _pop(self) -> None:
        popped = await self._store.pop_message(self._id)
        assert (None if popped is None else Entry.of(popped)) == (self.law.entries[-1] if self.law.entries else None)
        self.law.keep(len(self.law.entries) - 1)

    async def check(self) -> None:
        """Check that all of what can be read is what the law says."""
        read = await self._store.get_messages(self._id)
        assert [Entry.of(message) for message in read] == self.law.entries
        assert totals(await stored(self._store, self._id)) == self.law.totals()


@on_one_store
@given(steps=st.lists(_steps, max_size=14))
async def test_any_sequence_of_writes(store: SessionStore, steps: list[tuple[str, Any]]) -> None:
    """After every write `seq`s, turns, counters and token totals are what the law says; no `seq` is given twice."""
    info = await new_session(store, id=new_id())
    pair = _Pair(store, info.id)
    for name, argument in steps:
        await pair.step(name, argument)
        await pair.check()


async def _work(store: SessionStore, session_id: str, name: int, law: Law, given_seqs: list[int]) -> None:
    """Take random steps, noting every `seq` that was given, and usage that belongs to no message."""
    choices = random.Random(name)  # noqa: S311 - for variety
    for number in range(12):
        usage = tuple(choices.randrange(9) for _ in TOKENS)
        entry = Entry(f"{name}.{number}", choices.choice(["user", "assistant"]), choices.random() < 0.3, usage)
        step = choices.randrange(8)
        if step == 0:
            await store.pop_message(session_id)
        elif step == 1:
            await store.delete_messages(session_id, after=choices.randrange(40))
        elif step == 2:
            batch = [replace(entry, id=f"{entry.id}.{n}").message(session_id) for n in range(4)]
            given_seqs += [saved.seq or 0 for saved in await store.save_messages(batch)]
        elif step == 3:
            with contextlib.suppress(MessageNotFound):
                await store.replace_message(replace(entry, id=f"{name}.{number - 1}").message(session_id))
        elif step == 4:
            law.add_usage(usage)
            await store.add_usage(session_id, dict(zip(TOKENS, usage, strict=True)))
        else:
            given_seqs.append((await store.save_message(entry.message(session_id))).seq or 0)


async def test_any_writes_at_once(store: SessionStore) -> None:
    """Whatever is written at once, each `seq` is given once, turns are numbered right, and the counters are right."""
    info = await new_session(store)
    law, given_seqs = Law(), list[int]()
    await asyncio.gather(*(_work(store, info.id, name, law, given_seqs) for name in range(8)))
    assert sorted(given_seqs) == list(range(1, len(given_seqs) + 1))
    read = await store.get_messages(info.id)
    for entry in map(Entry.of, read):
        law.append(entry)
    assert [message.turn for message in read] == [entry.turn for entry in law.entries]
    assert [message.seq for message in read] == sorted({message.seq or 0 for message in read})
    assert totals(await stored(store, info.id)) == law.totals()
    following = await store.save_message(Message(session_id=info.id, role="user"))
    assert following.seq == len(given_seqs) + 1
