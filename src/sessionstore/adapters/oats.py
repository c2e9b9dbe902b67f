"""oats' session storage: whole sessions, by id. It needs no extra, and its models are ours.

```python
from sessionstore.adapters import oats

session = await oats.create_session("/my/project", title="Weather")
session.create_user_message("Is it raining in Oslo?")
await oats.get_session_storage().update(session)
```
"""

from collections.abc import Generator, Iterable
from typing import Any, Self

from sqlalchemy.pool import NullPool
from typing_extensions import override

from sessionstore import defaults
from sessionstore.adapters._stores import Store, checked
from sessionstore.errors import InvalidValue
from sessionstore.models import Message, Session, SessionArchive, SessionInfo
from sessionstore.sql.store import SQLSessionStore

_READS = 3
"""How often a session is read without its lock, if it changes meanwhile."""


class SessionStorage:
    """Keeps sessions as wholes: `get` gives what was given last, messages, times and totals included.

    Messages come as oats has them, without `seq` and `turn`, so that they equal what was given; they are
    numbered in the store, for everybody else. `message_count` is the number of messages, and is brought to that
    in what was given too, whose list of messages may have been changed directly.

    The store announces `session.created`, `session.updated` and `session.deleted` (`store.events`).
    """

    def __init__(self, store: Store) -> None:
        self._store = checked(store)

    def __await__(self) -> Generator[Any, None, Self]:
        """Make it ready now, and not with the first call; awaiting it is never necessary."""
        yield from self._ready().__await__()
        return self

    @property
    def store(self) -> Store:
        """The store."""
        return self._store

    async def _ready(self) -> Store:
        return self._store

    async def create(self, session: Session) -> Session:
        """Store a new session with its messages and its totals as they are; return it as `get` would.

        All or nothing. Raises `SessionExists` when the id is taken; the stored session is unchanged then.
        Raises `InvalidValue` for a message of another session or an id that occurs twice.
        """
        if not isinstance(session, Session):  # pyright: ignore[reportUnnecessaryIsInstance] - callers aren't all typed
            raise InvalidValue(f"session: is {type(session).__name__}, not Session")
        messages = _unnumbered(session.messages)
        # What is in it is checked by the import, which says what is wrong in the store's words.
        archive = SessionArchive.model_construct(info=session.info, messages=messages)
        info = await (await self._ready()).import_session(archive)
        session.info.message_count = len(session.messages)
        return Session(info=info, messages=messages)

    async def get(self, session_id: str) -> Session | None:
        """Return the session as of one moment; `None` when there is none."""
        store = await self._ready()
        info = await store.get_session(session_id)
        for _ in range(_READS):
            if info is None:
                return None
            messages = await store.get_messages(session_id)
            before, info = info, await store.get_session(session_id)
            if repr(info) == repr(before):  # NaN equals itself in text only
                return Session(info=before, messages=_unnumbered(messages))
        archive = await store.export_session(session_id)  # its writers don't pause: hold them up
        return None if archive is None else Session(info=archive.info, messages=_unnumbered(archive.messages))

    async def update(self, session: Session) -> Session:
        """Make the stored session what is given, or store it, if it isn't there; return it as `get` would.

        All or nothing: messages added, changed, moved and removed. Raises `InvalidValue` for a message of another
        session or an id that occurs twice, and `MessageNotFound` when `summary_message_id` is none of the messages.
        """
        store = await self._ready()
        stored = await store.save_session(session)
        session.info.message_count = len(session.messages)
        return Session(info=stored.info, messages=_unnumbered(stored.messages))

    async def delete(self, session_id: str) -> bool:
        """Delete the session and everything that hangs on it; `False` when there was none."""
        return await (await self._ready()).delete_session(session_id)

    async def list_infos(self) -> list[SessionInfo]:
        """Return the metadata of all sessions, most recently updated first; no message is read."""
        return await (await self._ready()).list_sessions()

    async def list(self) -> list[Session]:
        """Return all sessions with their messages, most recently updated first; `list_infos` costs far less."""
        found = [await self.get(info.id) for info in await self.list_infos()]
        return [session for session in found if session is not None]


class _DefaultStorage(SessionStorage):
    """Sessions in the default database, whose tables are made with the first call.

    It is the process's, and nobody closes it. So each call has a connection of its own, which may be in any event
    loop and is closed when the call ends.
    """

    def __init__(self) -> None:
        self._own = SQLSessionStore.from_url(defaults.database_url(), engine_kwargs={"poolclass": NullPool})
        self._upgraded = False
        super().__init__(self._own)

    @override
    async def _ready(self) -> Store:
        if not self._upgraded:
            await self._own.upgrade()  # many at once are safe, in this process and others: one does it
            self._upgraded = True
        return self._own


def _unnumbered(messages: Iterable[Message]) -> list[Message]:
    return [message.model_copy(update={"seq": None, "turn": None}) for message in messages]


_configured: SessionStorage | None = None


def configure(store: Store) -> None:
    """Have the functions of this module use a store, from now on."""
    global _configured
    _configured = SessionStorage(store)


def get_session_storage() -> SessionStorage:
    """Return the storage that these functions use, always the same until `configure` names another store.

    Without `configure` it is in the command line's default database: `SESSIONSTORE_DATABASE_URL`, or
    `sqlite+aiosqlite:///sessions.db`. Its tables are made or upgraded with the first call, or at once with
    `await get_session_storage()`, however many do that at the same time. It works in any event loop, and opens
    a connection for each call: a server should `configure` a store of its own.
    """
    global _configured
    if _configured is None:
        _configured = _DefaultStorage()
    return _configured


async def create_session(
    project_dir: str,
    working_dir: str | None = None,
    title: str = "New Session",
    model_id: str | None = None,
    provider_id: str | None = None,
    root_session_id: str | None = None,
) -> Session:
    """Store a new, empty session and return it; `working_dir` is `project_dir` unless given.

    Raises `InvalidValue` for a bad value.
    """
    info = SessionInfo.model_construct(  # what is wrong with it, `create` says
        title=title,
        project_dir=project_dir,
        working_dir=project_dir if working_dir is None else working_dir,
        model_id=model_id,
        provider_id=provider_id,
        root_session_id=root_session_id,
    )
    return await get_session_storage().create(Session(info=info))


async def get_session(session_id: str) -> Session | None:
    """Return the session; `None` when there is none."""
    return await get_session_storage().get(session_id)


async def list_sessions() -> list[SessionInfo]:
    """Return the metadata of all sessions, most recently updated first."""
    return await get_session_storage().list_infos()
