"""The laws of a connection that breaks at the commit: nothing twice, nothing of another writer's undone."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from sessionstore import Event, Session, SessionArchive, SessionInfo, SQLSessionStore
from sessionstore.compaction import Truncate
from sessionstore.errors import StoreUnavailable
from sessionstore.sql.drivers import DRIVERS
from sessionstore.testing.build import user


@pytest.fixture
def lose_next_commit(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the next commit succeed, and its connection break before that is known."""
    armed: list[bool] = []

    def breaking(commit: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
        async def commit_and_break(connection: Any) -> None:
            await commit(connection)
            if armed:
                armed.clear()
                raise ConnectionResetError

        return commit_and_break

    kinds: list[Any] = [AsyncConnection, *DRIVERS.values()]
    for kind in kinds:
        monkeypatch.setattr(kind, "commit", breaking(kind.commit))
    return lambda: armed.append(True)


async def test_an_append_is_sent_again(store: SQLSessionStore, lose_next_commit: Callable[[], None]) -> None:
    """An append whose commit isn't known is stored once, returned, and announced once."""
    await store.create_session(SessionInfo(id="s"))
    heard: list[Event] = []
    store.events.subscribe(heard.append)
    lose_next_commit()
    saved = await store.save_message(user("s", id="m"))
    assert [message.id for message in await store.get_messages("s")] == ["m"]
    assert saved.seq == 1
    assert [event.type for event in heard] == ["message.saved"]


async def test_a_creation_is_sent_again(store: SQLSessionStore, lose_next_commit: Callable[[], None]) -> None:
    """A session that was created before the connection broke is no `SessionExists`."""
    lose_next_commit()
    info = SessionInfo(id="s", metadata={"nan": float("nan")})
    assert (await store.create_session(info)).id == "s"
    assert await store.get_session("s") is not None


OTHERS: dict[str, Callable[[SQLSessionStore], Awaitable[Any]]] = {
    "pop": lambda store: store.pop_message("s"),
    "delete": lambda store: store.delete_messages("s"),
    "usage": lambda store: store.add_usage("s", {"input_tokens": 1}),
    "save": lambda store: store.save_session(Session(info=SessionInfo(id="s"))),
    "replace": lambda store: store.replace_message(user("s", id="m")),
    "title": lambda store: store.update_session_title("s", "t"),
    "remove": lambda store: store.delete_session("s"),
    "recover": lambda store: store.recover(stale_after=0),
    "import": lambda store: store.import_session(SessionArchive(info=SessionInfo(id="new"))),
    "edit": lambda store: store.conversation("s").edit("m", user("s", id="m")),
    "reset": lambda store: store.conversation("s").reset(),
    "revert": lambda store: store.conversation("s").revert_to_turn(1),
    "fork": lambda store: store.conversation("s").fork(),
    "compact": lambda store: store.conversation("s").compact(Truncate(0)),
    "undo": lambda store: store.conversation("s").undo_compaction(),
    "repair": lambda store: store.conversation("s").repair_tool_calls(),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_others_are_not(store: SQLSessionStore, name: str, lose_next_commit: Callable[[], None]) -> None:
    """What might undo another writer's change is not sent again: the error says that it may have been applied."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_message(user("s", id="m"))
    lose_next_commit()
    with pytest.raises(StoreUnavailable) as raised:
        await OTHERS[name](store)
    assert raised.value.maybe_applied
