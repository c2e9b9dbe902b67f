"""Clients that do random things to one session, and note what came of them."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sessionstore import Message, SessionStore, TextPart
from sessionstore.errors import MessageConflict, MessageNotFound, StoreUnavailable

from .history import Call, Entry, Outcome

_END = "the last part"
_WEIGHTS = {
    "append": 9,
    "batch": 3,
    "again": 2,
    "pop": 2,
    "delete": 1,
    "replace": 2,
    "summarize": 2,
    "read": 2,
    "read after": 3,
    "look": 2,
}


def message_of(session_id: str, id: str, version: int = 0) -> Message:
    """Return a message whose content says what it is."""
    return Message(
        id=id,
        session_id=session_id,
        role="user",
        parts=[TextPart(content=id), TextPart(content=str(version)), TextPart(content=_END)],
        usage={"input_tokens": 1 + version},
    )


def entry_of(message: Message) -> Entry:
    """Return what a message is in a history; version -1 is none that anybody sent: it isn't whole."""
    texts = [part.content for part in message.parts if isinstance(part, TextPart)]
    whole = len(texts) == 3 and texts[0] == message.id and texts[2] == _END
    version = int(texts[1]) if whole else -1
    whole = whole and message.usage == {"input_tokens": 1 + version}
    return Entry(message.seq or 0, message.id, version if whole else -1)


class Client:
    """One client of one session. What it does depends on its name, its seed and what it has seen."""

    def __init__(self, store: SessionStore, session_id: str, name: int, seed: int) -> None:
        self.calls: list[Call] = []
        self._store = store
        self._id = session_id
        self._name = name
        self._chance = random.Random(f"{seed}.{name}")  # noqa: S311 - for variety
        self._known: list[Entry] = []  # what it has seen of late
        self._count = 0

    async def work(self, calls: int) -> list[Call]:
        """Make so many calls, and return what came of them."""
        for _ in range(calls):
            await self.act()
            await asyncio.sleep(self._chance.choice([0, 0, 0.002, 0.005]))  # SQLite's lock is no fair one
        return self.calls

    async def act(self) -> None:
        """Make one call."""
        kind = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        if kind in ("append", "batch", "again"):
            await self._append(kind)
        elif kind == "pop":
            await self._record(kind, None, lambda: self._store.pop_message(self._id))
        elif kind == "delete":
            place = self._place()
            await self._record(kind, place, lambda: self._store.delete_messages(self._id, after=place))
        elif kind == "replace":
            await self._replace()
        elif kind == "summarize":
            await self._summarize()
        else:
            await self._read(kind)

    async def read_all(self) -> None:
        """Read everything there is."""
        await self._record("read", None, lambda: self._store.get_messages(self._id))
        await self._look()

    async def _append(self, kind: str) -> None:
        if kind == "again" and self._known:
            batch = [self._some()[1:]]
        else:
            batch = [(self._new_id(), 0) for _ in range(1 if kind == "append" else 3)]
        messages = [message_of(self._id, name, version) for name, version in batch]

        async def append() -> tuple[int | None, ...]:
            if len(messages) == 1:
                saved = [await self._store.save_message(messages[0])]
            else:
                saved = await self._store.save_messages(messages)
            self._known += [entry_of(message) for message in saved]
            return tuple(message.seq for message in saved)

        await self._record("append", tuple(batch), append)

    async def _replace(self) -> None:
        new = (self._some().id, self._chance.randrange(1, 1_000_000))
        message = message_of(self._id, *new)
        await self._record("replace", new, lambda: self._store.replace_message(message))

    async def _summarize(self) -> None:
        chosen = sorted([self._some(), self._some()])
        message_id = None if self._chance.random() < 0.2 else chosen[1].id
        through = chosen[0].id if message_id is not None and self._chance.random() < 0.5 else None
        await self._record(
            "summarize",
            (message_id, through),
            lambda: self._store.update_session_summary(self._id, message_id, covers_through=through),
        )

    async def _read(self, kind: str) -> None:
        if kind == "look":
            await self._look()
        elif kind == "read":
            limit = self._chance.choice([None, None, 1, 5])
            await self._record(kind, limit, lambda: self._store.get_messages(self._id, limit=limit))
        else:
            place = self._place()
            await self._record(kind, place, lambda: self._store.get_messages_after(self._id, place))

    async def _look(self) -> None:
        async def look() -> tuple[int, str | None]:
            info = await self._store.get_session(self._id)
            assert info is not None
            assert info.input_tokens >= info.message_count
            return info.message_count, info.summary_message_id

        await self._record("look", None, look)

    async def _record(self, name: str, argument: Any, call: Callable[[], Awaitable[Any]]) -> None:
        invoked = time.monotonic_ns()
        note = Call(self._name, name, argument, invoked)
        self.calls.append(note)  # as never returned: the process may end first
        result: Any
        try:
            result = _noted(await call())
        except MessageNotFound:
            result = Outcome.MISSING
        except MessageConflict:
            result = Outcome.CONFLICT
        except StoreUnavailable as error:
            # Appends are repeatable, so they don't say.
            result = Outcome.UNKNOWN if error.maybe_applied or name == "append" else Outcome.FAILED
        if isinstance(result, tuple) and name.startswith("read"):
            self._known += result[-3:]
        self.calls[-1] = Call(self._name, name, argument, invoked, time.monotonic_ns(), result)

    def _some(self) -> Entry:
        return self._chance.choice(self._known[-6:] or [Entry(0, "nobody's")])

    def _place(self) -> int | str:
        entry = self._some()
        return entry.seq if self._chance.random() < 0.7 else entry.id

    def _new_id(self) -> str:
        self._count += 1
        return f"{self._name}.{self._count}"


def _noted(result: Any) -> Any:
    if isinstance(result, list):
        return tuple(entry_of(message) for message in result)
    return entry_of(result) if isinstance(result, Message) else result
