"""A message that is stored while it arrives."""

import asyncio
import contextlib
import copy
import logging
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack

from pydantic import TypeAdapter, ValidationError

from sessionstore.conversation.upkeep import LOST, Upkeep
from sessionstore.errors import InvalidValue, SessionStoreError
from sessionstore.models import Message, Part, ReasoningPart, TextPart
from sessionstore.sql import drafts
from sessionstore.sql.checks import check, check_usage, invalid
from sessionstore.sql.operations import Operations
from sessionstore.sql.part_rows import copied
from sessionstore.sql.prepared import part_columns, prepare
from sessionstore.sql.shielding import completed
from sessionstore.sql.transaction import Operation, Runner

logger = logging.getLogger("sessionstore")

T = TypeVar("T")

_PART: TypeAdapter[Part] = TypeAdapter(Part)


class DraftFields(TypedDict, total=False):
    """What may be said of a draft's message beforehand, as in `Message`."""

    id: str
    model: str | None
    provider: str | None
    metadata: dict[str, Any]
    created_at: datetime


def stream(
    operations: Operations, session_id: str, *, role: str = "assistant", **fields: Unpack[DraftFields]
) -> "Draft":
    """Return a draft, to be entered with `async with`. Raises `InvalidValue` for a bad value."""
    for name in fields:
        if name not in DraftFields.__annotations__:
            raise TypeError(f"stream() got {name!r}; it takes role and {', '.join(DraftFields.__annotations__)}")
    values = {"session_id": session_id, "role": role, "status": "in_progress", **fields}
    try:
        message = Message.model_validate(values)
    except ValidationError as error:
        raise invalid(error, "draft") from None
    return Draft(operations.runner, message)


class Draft:
    """A message that is stored while it arrives: `Conversation.stream` makes it, `async with` begins and ends it.

    - On entry it is appended to the session, empty, with status `in_progress`: readers see at
      once that an answer is under way, and its `seq` is its place from then on. Raises
      `SessionNotFound`, and `MessageConflict` for an id that is stored.
    - What is appended is stored within a quarter of a second at first, within 5 seconds later
      on, so that a long answer takes a bounded number of writes; each carries only what is new.
      A write that fails is logged and tried again: appending never waits for the database. While
      nothing is appended, a sign of life every 15 seconds tells `recover` that the writer lives.
    - On exit it becomes `complete`; after an exception or a cancellation `interrupted`, with all
      that came, and then the exception is raised. Its usage counts from then on, and
      `message.saved` is announced.
    - A draft that `recover` took for dead is taken back by its writer. One that somebody else
      popped, deleted or replaced, by a complete message or by what it was earlier, stays so: the writer's
      next call, the exit at the latest, raises `MessageNotFound`, `SessionNotFound` or `MessageConflict`.
    - If the exit raises `StoreUnavailable`, `message` has all that came. Metadata that can't be stored
      is `InvalidValue` there: all that came is stored as `interrupted`, with the metadata that it began with.

    In the caller's transaction, which nobody else can look into, it is written by `flush` and on
    exit only: nothing uses his connection between his calls.
    """

    def __init__(self, runner: Runner, message: Message) -> None:
        self._runner = runner
        self._message = message
        self._starts_turn = message.starts_turn
        self._metadata: dict[str, Any] = {}  # as it was on entry, known to be JSON
        self._place: drafts.Place | None = None
        self._stored: list[drafts.Columns] = []  # the parts as they are known to be stored
        self._open: TextPart | ReasoningPart | None = None
        self._pieces: list[str] = []  # of the open part, not joined to it yet
        self._writing = asyncio.Lock()
        self._upkeep = Upkeep(self._save)
        self._ended = False
        self._lost: SessionStoreError | None = None

    @property
    def message(self) -> Message:
        """The message with all that came so far; its fields may be set, and are stored on exit."""
        self._join()
        return self._message

    @property
    def usage(self) -> dict[str, int] | None:
        """The token usage as in `Message`; it is stored, and counts, on exit."""
        return self._message.usage

    @usage.setter
    def usage(self, usage: Mapping[str, int] | None) -> None:
        if self._ended:
            raise InvalidValue("draft: has ended, and its usage was counted; use replace_message")
        if usage is not None:
            check_usage(usage)
        self._message.usage = None if usage is None else dict(usage)

    async def append_text(self, text: str) -> None:
        """Append to the text that is arriving, or begin a text part. An empty delta begins none."""
        await self._append(TextPart, text)

    async def append_reasoning(self, text: str) -> None:
        """Append to the reasoning that is arriving, or begin a reasoning part. An empty delta begins none."""
        await self._append(ReasoningPart, text)

    async def add_part(self, part: Part) -> None:
        """Add a copy of a whole part; text that comes later begins a new one. Raises `InvalidValue`."""
        self._check_living()
        columns = part_columns(check(_PART, part, "part"), "part")
        self._begin_part(copied(columns))
        await self._tell()

    async def flush(self) -> None:
        """Store now what came so far, as before a tool runs. Raises `StoreUnavailable`; it is kept then."""
        self._check_living()
        await completed(self._save())

    async def _append(self, kind: type[TextPart] | type[ReasoningPart], text: str) -> None:
        self._check_living()
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers aren't all typed
            raise InvalidValue(f"text: is {type(text).__name__}, not str")
        if not text:
            return
        parts = self._message.parts
        if type(self._open) is not kind or not parts or parts[-1] is not self._open:
            part = kind(content="")
            self._begin_part(part)
            self._open = part
        self._pieces.append(text)
        await self._tell()

    def _begin_part(self, part: Part) -> None:
        self._join()
        self._open = None
        self._message.parts.append(part)

    def _join(self) -> None:
        if self._open is not None and self._pieces:
            self._open.content += "".join(self._pieces)
            self._pieces.clear()

    async def _tell(self) -> None:
        self._upkeep.tell()
        if self._runner.background:
            await asyncio.sleep(0)  # the upkeep gets its turn, however fast deltas come

    def _check_living(self) -> None:
        if self._lost is not None:
            raise self._lost
        if self._place is None or self._ended:
            raise InvalidValue("draft: can be written inside its `async with` block only")

    async def __aenter__(self) -> Self:
        if self._place is not None or self._ended:
            raise InvalidValue("draft: can be entered once only; make another one")
        try:
            await completed(self._begin())
        except asyncio.CancelledError:
            if self._place is not None:  # it is stored, and will have no exit
                await completed(self._interrupt())
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await completed(self._complete() if error is None else self._interrupt())

    async def _begin(self) -> None:
        session_id, prepared = self._message.session_id, prepare(self._message, "draft")
        begun = await self._runner.write(lambda t: drafts.begin(t, session_id, prepared), repeatable=True)
        self._take(begun)
        self._metadata = copy.deepcopy(self._message.metadata)
        self._place = drafts.Place(session_id, begun.seq or 0, begun.id)
        if self._runner.background:
            self._upkeep.start()

    async def _complete(self) -> None:
        self._ended = True
        await self._upkeep.stop()
        if self._lost is not None:
            raise self._lost
        await self._settle("complete")

    async def _interrupt(self) -> None:
        """End an interrupted draft. What it was interrupted by outranks what goes wrong here."""
        try:
            self._ended = True
            await self._upkeep.stop()
            if self._lost is None:
                await self._settle("interrupted")
        except SessionStoreError as error:
            logger.warning("an interrupted draft couldn't be stored whole: %s", error)
        except Exception:
            logger.exception("an interrupted draft couldn't be stored")

    async def _save(self) -> None:
        """Store what is new, or if nothing is, give a sign of life."""
        async with self._writing:
            present = self._columns()
            changes = drafts.changes_of(self._stored, present)
            if changes is None or self._message.starts_turn != self._starts_turn:
                return await self._write_whole("in_progress")
            place = self._stored_place()
            await self._write(lambda t: drafts.flush(t, place, changes))
            self._stored = present
            return None

    def _columns(self) -> list[drafts.Columns]:
        """Return the parts' columns; those of parts before the last stored one are known already."""
        self._join()
        parts = self._message.parts
        known = self._stored[:-1]
        if [columns["id"] for columns in known] != [part.id for part in parts[: len(known)]]:
            known = []
        new = enumerate(parts[len(known) :], len(known))
        return [*known, *(part_columns(part, f"draft.parts[{index}]") for index, part in new)]

    async def _settle(self, status: str) -> None:
        async with self._writing:
            try:
                await self._write_whole(status)
            except InvalidValue:
                with contextlib.suppress(InvalidValue):
                    await self._write_whole("interrupted", metadata=self._metadata)
                raise

    async def _write_whole(self, status: str, **fields: Any) -> None:
        self._join()
        message = self._message.model_copy(update={"status": status, **fields})
        place, prepared = self._stored_place(), prepare(message, "draft")
        changes = drafts.changes_of(self._stored, prepared.parts)
        settled = await self._write(lambda t: drafts.settle(t, place, changes, prepared))
        self._stored = prepared.parts
        self._starts_turn = prepared.starts_turn
        self._take(settled)

    async def _write(self, operation: Operation[T]) -> T:
        try:
            return await self._runner.write(operation, repeatable=True)
        except LOST as error:
            self._lost = error
            raise

    def _take(self, stored: Message) -> None:
        """Bring the message to what the store made of it."""
        for name in ("status", "seq", "turn", "created_at"):
            setattr(self._message, name, getattr(stored, name))

    def _stored_place(self) -> drafts.Place:
        if self._place is None:
            raise InvalidValue("draft: hasn't been entered")
        return self._place
