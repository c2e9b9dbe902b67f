"""Going back in a conversation, and on from there."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import bindparam, select

from sessionstore.errors import InvalidValue
from sessionstore.models import Message
from sessionstore.sql import changing, sessions, summaries
from sessionstore.sql import messages as reading
from sessionstore.sql.messages import IN_SESSION
from sessionstore.sql.prepared import Prepared, prepare
from sessionstore.sql.schema import messages
from sessionstore.sql.transaction import Transaction

T = TypeVar("T")

_START_OF_TURN = select(messages.c.seq).where(
    IN_SESSION, messages.c.starts_turn, messages.c.turn == bindparam("at_turn")
)


async def revert(t: Transaction, session_id: str, turn: int) -> int:
    """Delete the turns behind one; return how many went.

    Raises `SessionNotFound`, and `InvalidValue` when there is no such turn.
    """
    locked = await sessions.lock_existing(t, session_id)
    if turn > locked.turn_count:
        raise InvalidValue(f"Turn {turn} does not exist. Current session has {locked.turn_count} turn(s).")
    following = await t.row(_START_OF_TURN, session=session_id, at_turn=turn + 1)
    if following is None:
        return 0
    await changing.delete_behind(t, session_id, locked, following.seq - 1)
    return locked.turn_count - turn


async def edit(t: Transaction, session_id: str, message_id: str, prepared: Prepared) -> Message:
    """Put a message in the place of another and of all behind it.

    Raises `SessionNotFound`, `MessageNotFound`, and `MessageConflict` when its id is that of a message before.
    """
    locked = await sessions.lock_existing(t, session_id)
    seq = await reading.seq_of(t, session_id, message_id)
    same = await reading.find_seq(t, session_id, prepared.message.id)
    if same is not None and same < seq:
        raise changing.conflict(prepared.message.id)
    await changing.delete_behind(t, session_id, locked, seq - 1)
    return (await changing.append(t, session_id, [prepared]))[0]


async def reset(t: Transaction, session_id: str, history: Sequence[Prepared]) -> list[Message]:
    """Delete all messages and begin anew.

    Raises `SessionNotFound`, and `MessageConflict` for an id that the history has with two contents.
    """
    locked = await sessions.lock_existing(t, session_id)
    changing.without_repeats(history)  # refused before anything is written
    await changing.delete_behind(t, session_id, locked, -1)
    return await changing.append(t, session_id, history) if history else []


async def take(
    t: Transaction, session_id: str, split: Callable[[Message], tuple[T, Message | None] | None]
) -> T | None:
    """Take the last piece away that `split` finds; what it finds none in goes, and so do summaries."""
    locked = await sessions.lock(t, session_id)
    while locked is not None and (found := await reading.read(t, session_id, limit=1)):
        message = found[0]
        its_seq = message.seq or 0
        is_summary = message.role == "system" and await summaries.is_summary(t, session_id, message.id)
        piece, rest = (None if is_summary else split(message)) or (None, None)
        if rest is not None:
            await changing.replace(t, session_id, prepare(rest))
        else:
            await changing.delete_behind(t, session_id, locked, its_seq - 1)
        if piece is not None:
            return piece
    return None
