"""Every method of a store as a call, for laws that hold for all of them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sessionstore import Conversation, Message, Session, SessionArchive, SessionInfo, SQLSessionStore, TextPart
from sessionstore.compaction import Truncate
from sessionstore.sql.operations import Operations
from sessionstore.testing.build import user

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Target:
    """What a call is aimed at: a session, and a message that is, or would be, in it."""

    session_id: str
    message_id: str = "m1"

    @property
    def info(self) -> SessionInfo:
        return SessionInfo(id=self.session_id, title="aimed at")

    def message(self, message_id: str = "new", text: str = "new") -> Message:
        return user(self.session_id, text, id=message_id)


Call = Callable[[Operations, Target], Awaitable[Any]]


def _conversation(store: Operations, target: Target) -> Conversation:
    return Conversation(store, target.session_id)


def _halved(message: Message) -> tuple[str, Message | None]:
    """Return a message's last part, so to speak, and the message without its text."""
    return message.id, message.model_copy(update={"parts": []}) if message.parts else None


READS: Mapping[str, Call] = {
    "get_session": lambda s, t: s.get_session(t.session_id),
    "list_sessions": lambda s, t: s.list_sessions(),
    "list_sessions children": lambda s, t: s.list_sessions(parent_session_id=t.session_id),
    "list_sessions behind": lambda s, t: s.list_sessions(after=t.info, limit=5, archived=False),
    "get_message": lambda s, t: s.get_message(t.session_id, t.message_id),
    "get_messages": lambda s, t: s.get_messages(t.session_id),
    "get_messages latest": lambda s, t: s.get_messages(t.session_id, limit=1),
    "get_messages_after time": lambda s, t: s.get_messages_after(t.session_id, LONG_AGO),
    "get_messages_after seq": lambda s, t: s.get_messages_after(t.session_id, 0, limit=3),
    "get_messages_after id": lambda s, t: s.get_messages_after(t.session_id, t.message_id),
    "has_read_file": lambda s, t: s.has_read_file(t.session_id, "/a"),
    "get_read_file": lambda s, t: s.get_read_file(t.session_id, "/a"),
    "list_read_files": lambda s, t: s.list_read_files(t.session_id),
    "conversation.turns": lambda s, t: _conversation(s, t).turns(),
    "conversation.turns latest": lambda s, t: _conversation(s, t).turns(limit=1),
    "conversation.context": lambda s, t: _conversation(s, t).context(),
    "conversation.contents": lambda s, t: _conversation(s, t).contents(),
    "conversation.context_usage": lambda s, t: _conversation(s, t).context_usage(1000, model="m"),
    "conversation.summaries": lambda s, t: _conversation(s, t).summaries(),
    "conversation.pending_tool_calls": lambda s, t: _conversation(s, t).pending_tool_calls(),
    "conversation.compaction_due": lambda s, t: _conversation(s, t).compaction_due(1000),
    "conversation.compact_if_needed": lambda s, t: _conversation(s, t).compact_if_needed(Truncate(), 1000),
}

MAKING: Mapping[str, Call] = {
    "create_session": lambda s, t: s.create_session(t.info),
    "save_session": lambda s, t: s.save_session(Session(info=t.info, messages=[t.message()])),
    "save_messages_anyway": lambda s, t: s.save_messages_anyway([t.message()]),
    "import_session": lambda s, t: s.import_session(SessionArchive(info=t.info, messages=[t.message()])),
}
"""Writes that make a session, and so tell a taken id from a free one."""

WRITES: Mapping[str, Call] = {
    "update_session": lambda s, t: s.update_session(t.info),
    "add_usage": lambda s, t: s.add_usage(t.session_id, {"input_tokens": 3}),
    "update_session_title": lambda s, t: s.update_session_title(t.session_id, "changed"),
    "update_session_summary": lambda s, t: s.update_session_summary(t.session_id, t.message_id),
    "update_session_summary covers": lambda s, t: s.update_session_summary(
        t.session_id, t.message_id, covers_through=t.message_id
    ),
    "update_session_summary clears": lambda s, t: s.update_session_summary(t.session_id, None),
    "save_message": lambda s, t: s.save_message(t.message()),
    "save_message stored": lambda s, t: s.save_message(t.message(t.message_id, "other content")),
    "save_messages": lambda s, t: s.save_messages([t.message("new 1"), t.message("new 2")]),
    # With one time given and one not, an append takes several statements everywhere.
    "save_messages timed": lambda s, t: s.save_messages(
        [t.message("new 1"), t.message("new 2").model_copy(update={"created_at": LONG_AGO})]
    ),
    "replace_message": lambda s, t: s.replace_message(t.message(t.message_id)),
    "track_read_file": lambda s, t: s.track_read_file(t.session_id, "/a", size=2),
    "conversation.append": lambda s, t: _conversation(s, t).append(t.message("new 3")),
    "conversation.compact": lambda s, t: _conversation(s, t).compact(Truncate(0)),
    "conversation.undo_compaction": lambda s, t: _conversation(s, t).undo_compaction(),
    "conversation.repair_tool_calls": lambda s, t: _conversation(s, t).repair_tool_calls(),
    "conversation.revert_to_turn": lambda s, t: _conversation(s, t).revert_to_turn(1),
    "conversation.edit": lambda s, t: _conversation(s, t).edit(t.message_id, t.message(t.message_id, "edited")),
    "conversation.reset": lambda s, t: _conversation(s, t).reset([t.message(t.message_id)]),
    "conversation.take": lambda s, t: _conversation(s, t).take(_halved),
    "pop_message": lambda s, t: s.pop_message(t.session_id),
    "delete_messages after": lambda s, t: s.delete_messages(t.session_id, after=t.message_id),
    "delete_messages": lambda s, t: s.delete_messages(t.session_id),
    "recover": lambda s, t: s.recover(stale_after=0),
    "export_session": lambda s, t: s.export_session(t.session_id),
    "delete_session": lambda s, t: s.delete_session(t.session_id),
}

FORKING: Mapping[str, Call] = {
    "conversation.fork": lambda s, t: _conversation(s, t).fork(),
    "conversation.fork at": lambda s, t: _conversation(s, t).fork(at=t.message_id, title="forked"),
}
"""Writes whose result has an id that nobody knows before."""

CALLS: Mapping[str, Call] = {**READS, **FORKING, **MAKING, **WRITES}


async def filled_session(store: SQLSessionStore | Operations, session_id: str = "s") -> Target:
    """Store a session with something in every table, and return it as a target."""
    await store.create_session(SessionInfo(id=session_id, title="first"))
    await store.save_message(user(session_id, "one", id="m1", usage={"input_tokens": 7}))
    await store.save_message(user(session_id, "two", id="m2"))
    await store.save_message(Message(session_id=session_id, role="assistant", id="m3", status="in_progress"))
    await store.save_message(Message(session_id=session_id, role="system", id="m4", parts=[TextPart(content="sum")]))
    await store.track_read_file(session_id, "/a", size=1)
    await store.update_session_summary(session_id, "m4")
    return Target(session_id)


async def outcome(call: Awaitable[Any], target: Target) -> tuple[str, str]:
    """Return what came of a call, in words that don't say which session it was aimed at."""
    try:
        result = await call
    except Exception as error:  # noqa: BLE001 - the kind of error is what is compared
        return type(error).__name__, str(error).replace(repr(target.session_id), "<id>")
    return "returned", repr(result).replace(repr(target.session_id), "<id>")
