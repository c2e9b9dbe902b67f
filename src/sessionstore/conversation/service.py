"""`Conversation`: what an agent loop needs of one session at each step."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar

from typing_extensions import Unpack

from sessionstore.compaction import Strategy
from sessionstore.conversation import compacting
from sessionstore.conversation.context import arranged
from sessionstore.conversation.draft import Draft, DraftFields, stream
from sessionstore.conversation.estimates import estimated
from sessionstore.conversation.pairing import INTERRUPTED, answer
from sessionstore.errors import InvalidValue
from sessionstore.models import ContextUsage, Message, SessionInfo, Summary, ToolCallPart, Turn, new_id
from sessionstore.models.message import Role
from sessionstore.sql import checks, contents, contexts, forks, rewinds, summaries, tool_calls, turns
from sessionstore.sql.checks import check
from sessionstore.sql.contents import Content
from sessionstore.sql.operations import Operations
from sessionstore.sql.prepared import Prepared, prepare

T = TypeVar("T")


class Conversation:
    """The service layer on one session; `store.conversation(session_id)` makes it.

    Each call is one transaction, whole or not at all, of the store's own or, on a bound store,
    the caller's. Nothing is kept between calls. Reads of an unknown session find nothing;
    writes raise `SessionNotFound`.
    """

    def __init__(self, store: Operations, session_id: str) -> None:
        self._store = store
        self._runner = store.runner
        self._session_id: str = check(checks.ID, session_id, "session_id")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._session_id!r})"

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self._session_id

    # History

    async def append(self, *messages: Message) -> list[Message]:
        """Append messages, all or none, as `SessionStore.save_messages` does."""
        self._check(messages)
        return await self._store.save_messages(messages)

    async def turns(self, *, limit: int | None = None) -> list[Turn]:
        """Return the turns from turn 1 on; with `limit`, the latest so many, and no other's rows are read.

        A tool call belongs to the turn of its message, whichever turn its result came in.
        """
        check(checks.LIMIT, limit, "limit")
        return await self._runner.read(lambda t: turns.read(t, self._session_id, limit))

    async def revert_to_turn(self, n: int) -> int:
        """Delete the turns behind turn `n`; return how many went. Raises `InvalidValue` if there is no such turn.

        Counters, totals and summary records follow, as with `SessionStore.delete_messages`.
        """
        turn = check(checks.NUMBER, n, "n")
        if turn < 1:
            raise InvalidValue(f"Turn ID must be >= 1, got {turn}")
        return await self._runner.write(lambda t: rewinds.revert(t, self._session_id, turn))

    async def edit(self, message_id: str, message: Message) -> Message:
        """Put a message in the place of another, and drop what follows that; return it as stored.

        It is appended where the other one was, with a new `seq`, so that whoever reads by `seq`
        sees it; its id may be the same. Raises `MessageNotFound`, and `MessageConflict` when its id is
        that of an earlier message.
        """
        message_id = check(checks.ID, message_id, "message_id")
        (prepared,) = self._prepare([message])
        return await self._runner.write(lambda t: rewinds.edit(t, self._session_id, message_id, prepared))

    async def reset(self, history: Sequence[Message] | None = None) -> list[Message]:
        """Delete all messages, turns and summary records, and begin anew with `history`; return that as stored.

        Totals are those of the new messages, and of usage that belonged to no message. `seq` goes on.
        """
        batch = self._prepare(history or ())
        return await self._runner.write(lambda t: rewinds.reset(t, self._session_id, batch))

    async def fork(self, *, at: str | None = None, title: str | None = None) -> SessionInfo:
        """Copy the history up to and including message `at`, or all of it, into a new session; return that.

        The database copies, so that it costs the caller the same however long the history. Messages keep
        their ids, `seq` and times; summaries that were made by then come along, read files and usage that
        belongs to no message don't, and drafts come as interrupted. `title` is the origin's unless given.
        Raises `MessageNotFound`.
        """
        at = None if at is None else check(checks.ID, at, "at")
        title = None if title is None else check(checks.TEXT, title, "title")
        fork_id = new_id()
        return await self._runner.write(lambda t: forks.fork(t, self._session_id, fork_id, at, title))

    async def take(self, split: Callable[[Message], tuple[T, Message | None] | None]) -> T | None:
        """Take the last piece of the conversation away and return it; `None` when there is none.

        `split` is given the last message and returns its last piece and the message without that, under the same
        id, or `None` in its place when nothing is left; `None` where there is no piece: that message goes too,
        as does a summary, whose compaction is undone. It may be called in another thread, and again when the write is
        tried again; it must not wait for the store. Concurrent calls each get another piece.
        """
        return await self._runner.write(lambda t: rewinds.take(t, self._session_id, split))

    def stream(self, *, role: Role = "assistant", **fields: Unpack[DraftFields]) -> Draft:
        """Return a message to be stored while it arrives: `async with conversation.stream() as draft`.

        `fields` are `id`, `model`, `provider`, `metadata` and `created_at`, as in `Message`. What it guarantees
        is in `Draft`.
        """
        return stream(self._store, self._session_id, role=role, **fields)

    # Context

    async def context(
        self, *, summary_role: Role | None = None, as_stored: bool = False, limit: int | None = None
    ) -> list[Message]:
        """Return the messages to send: the summary in force and what it doesn't cover, or all.

        Each tool result stands directly behind the message of its call; a call without one is given one that says
        so, which isn't stored and has no `seq`; left out are results without a call, and answers that `to_llm_messages`
        would send as empty ones: nothing but reasoning, raw items or images. Where a message has to be divided, the
        results go by another id. `summary_role` relabels the summary. `as_stored` leaves the messages as they are and
        where they stand, calls without results included. With `limit` it is made of the latest so many stored ones. It
        takes one query where nothing was ever compacted, and elsewhere three, which read nothing of what is covered.
        """
        check(checks.LIMIT, limit, "limit")
        if summary_role is not None:
            check(checks.ROLE, summary_role, "summary_role")
        context = await self._runner.read(lambda t: contexts.read(t, self._session_id, limit))
        messages = context.messages
        if summary_role is not None and context.in_force is not None:
            summary_id = context.in_force.record.message_id
            messages = [m.model_copy(update={"role": summary_role}) if m.id == summary_id else m for m in messages]
        return messages if as_stored else arranged(messages)

    async def contents(self, *, limit: int | None = None) -> list[Content] | None:
        """Return what all messages, or the latest so many, say, column by column, for adapters that make no models.

        `None` when something was compacted: then what the model is to see is `context(as_stored=True)`.
        """
        check(checks.LIMIT, limit, "limit")
        return await self._runner.read(lambda t: contents.read(t, self._session_id, limit))

    async def context_usage(self, context_limit: int, *, model: str | None = None) -> ContextUsage:
        """Return how much of a context of `context_limit` tokens is used.

        What the latest model message reported, if it was made with the summary that is in force, and an
        estimate of what came behind it; otherwise an estimate of the whole context. `model` is, unless given, that
        message's, or the session's. Estimates take tiktoken where it is installed and knows the model, and a
        token for four characters elsewhere.
        """
        check(checks.SIZE, context_limit, "context_limit")
        usage = await self._runner.read(lambda t: contexts.usage(t, self._session_id))
        model = usage.model if model is None else check(checks.TEXT, model, "model")
        uncounted = await estimated(usage.uncounted, model)
        prompt, output = (uncounted, 0) if usage.reported is None else usage.reported
        total = uncounted if usage.reported is None else prompt + output + uncounted
        return ContextUsage(
            model=model,
            context_limit=context_limit,
            total_tokens=total,
            prompt_tokens=prompt,
            output_tokens=output,
            turns=usage.turns,
            percent_used=total / context_limit * 100 if context_limit else 0.0,
            tokens_remaining=max(0, context_limit - total),
            estimated=bool(uncounted),
        )

    # Compaction

    async def compact(self, strategy: Strategy, *, trigger: str = "manual") -> Summary | None:
        """Cover what the strategy names with a summary, or with nothing; return the record.

        `None` when there is nothing to collect. The transcript stays whole: only `context` changes. While the
        strategy runs no lock is held, nor, in transactions of the store's own, a connection; messages that
        arrive meanwhile aren't covered. A failing strategy raises `CompactionFailed` from its error, and a
        conversation whose summary or covered messages changed meanwhile `CompactionConflict`; nothing is written then.
        """
        trigger = check(checks.TEXT, trigger, "trigger")
        return await compacting.compact(self._runner, self._session_id, strategy, trigger)

    async def compact_if_needed(
        self,
        strategy: Strategy,
        context_limit: int,
        *,
        threshold_percent: float = 80,
        max_turns: int | None = None,
    ) -> Summary | None:
        """Compact when the context takes `threshold_percent` of the limit, or holds `max_turns` turns; else `None`.

        The record's trigger is `threshold` or `turn_limit`.
        """
        trigger = await self.compaction_due(context_limit, threshold_percent=threshold_percent, max_turns=max_turns)
        return None if trigger is None else await self.compact(strategy, trigger=trigger)

    async def compaction_due(
        self,
        context_limit: int,
        *,
        threshold_percent: float = 80,
        max_turns: int | None = None,
        model: str | None = None,
    ) -> Literal["threshold", "turn_limit"] | None:
        """Return why `compact_if_needed` would compact, or `None` if it wouldn't; `model` as in `context_usage`."""
        check(checks.PERCENT, threshold_percent, "threshold_percent")
        check(checks.LIMIT, max_turns, "max_turns")
        usage = await self.context_usage(context_limit, model=model)
        if context_limit and usage.percent_used >= threshold_percent:
            return "threshold"
        return "turn_limit" if max_turns is not None and usage.turns >= max_turns else None

    async def summaries(self) -> list[Summary]:
        """Return the records of all compactions, oldest first, with those that aren't active any more."""
        return await self._runner.read(lambda t: summaries.list_all(t, self._session_id))

    async def undo_compaction(self) -> Summary | None:
        """Put the summary in force out of force; return the one that then is, or `None`."""
        return await self._runner.write(lambda t: summaries.undo(t, self._session_id))

    # Tool calls

    async def pending_tool_calls(self) -> list[ToolCallPart]:
        """Return the calls that have no result, in order."""
        return await self._runner.read(lambda t: tool_calls.pending(t, self._session_id))

    async def repair_tool_calls(self, reason: str = INTERRUPTED) -> list[Message]:
        """Append a result to each call that has none, as an error that says why; return them, a message each.

        However many do it at once, each call gets one.
        """
        reason = check(checks.TEXT, reason, "reason")

        def repaired(call: ToolCallPart) -> Message:
            return Message(session_id=self._session_id, role="tool", parts=[answer(call, reason)])

        return await self._runner.write(lambda t: tool_calls.repair(t, self._session_id, repaired))

    def _prepare(self, messages: Iterable[Message]) -> list[Prepared]:
        messages = list(messages)  # an iterator would be at its end after the first look
        self._check(messages)
        return [prepare(message, f"messages[{index}]") for index, message in enumerate(messages)]

    def _check(self, messages: Sequence[Message]) -> None:
        for index, message in enumerate(messages):
            if isinstance(message, Message) and message.session_id != self._session_id:  # pyright: ignore[reportUnnecessaryIsInstance] - `prepare` refuses others
                raise InvalidValue(
                    f"messages[{index}].session_id: is {message.session_id!r}, and this is session {self._session_id!r}"
                )
