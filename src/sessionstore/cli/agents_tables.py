"""The OpenAI Agents SDK's own tables, read as its `SQLAlchemySession` and its `SQLiteSession` read them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import (
    TEXT,
    TIMESTAMP,
    ColumnElement,
    Connection,
    Executable,
    Row,
    cast,
    column,
    func,
    inspect,
    select,
    table,
    text,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from sessionstore.errors import SessionStoreError
from sessionstore.sql.engine import file_of, file_url, parse
from sessionstore.sql.store import SQLSessionStore

SESSIONS_TABLE, MESSAGES_TABLE = "agent_sessions", "agent_messages"
"""What the SDK calls them if it is told no other names."""

OPTION = "--from-openai-agents"

_PAGE = 500
_TABLE_OPTIONS = "--sessions-table and --messages-table"
_NOW = text("SELECT current_timestamp AS now")
_FIRST_AND_LAST = ((func.min, "created_at"), (func.max, "updated_at"))
_BRANCHES = table("message_structure", column("session_id"), column("branch_id"))
"""What an `AdvancedSQLiteSession` adds. It begins with the branch main, whichever it was on before."""
_MAIN = "main"


class Source(NamedTuple):
    """Where they are: a URL, or the path of a SQLite file, and their names."""

    place: str
    sessions_table: str = SESSIONS_TABLE
    messages_table: str = MESSAGES_TABLE


class Tables:
    """Their rows. No transaction is kept open while they are read: both databases may be one SQLite file."""

    def __init__(self, connection: AsyncConnection, source: Source) -> None:
        self._connection = connection
        self._sessions = table(
            source.sessions_table, column("session_id"), column("created_at"), column("updated_at")
        ).alias("s")
        self._messages = table(
            source.messages_table,
            column("id"),
            column("session_id"),
            column("message_data"),
            column("created_at"),
        ).alias("m")
        self._names = source.sessions_table, source.messages_table
        self._times_are_text = self._is_by_id = self._has_branches = False

    async def look(self) -> None:
        """Find out who made them, and how times are stored: as text, in UTC, or in the server's zone."""
        self._times_are_text = isinstance((await self._rows(_NOW))[0].now, str)
        await self._connection.run_sync(self._inspect)
        await self._connection.rollback()

    def _inspect(self, connection: Connection) -> None:
        inspector = inspect(connection)
        names = inspector.get_table_names()
        for name in self._names:
            if name not in names:
                raise SessionStoreError(f"{OPTION}: there is no table {name}; name it by {_TABLE_OPTIONS}")
        columns = inspector.get_columns(self._names[1])
        # SQLiteSession's table, which it reads in the order of ids; SQLAlchemySession makes a VARCHAR
        self._is_by_id = self._times_are_text and any(
            made["name"] == "session_id" and isinstance(made["type"], TEXT) for made in columns
        )
        self._has_branches = self._is_by_id and _BRANCHES.name in names

    async def count(self) -> int:
        """Return how many conversations there are."""
        known = select(func.count()).select_from(self._sessions)
        strays = select(func.count(self._messages.c.session_id.distinct())).where(~self._is_known())
        return sum([int((await self._rows(statement))[0][0]) for statement in (known, strays)])

    async def sessions(self) -> AsyncGenerator[Row[Any], None]:
        """Give a row for each; also for those that lost theirs, as SQLite lets them, and that the SDK still reads."""
        c = self._sessions.c
        times = [self._time(time).label(time.name) for time in (c.created_at, c.updated_at)]
        statement = select(c.session_id, *times).order_by(c.session_id).limit(_PAGE)
        page = await self._rows(statement)
        while page:
            for row in page:
                yield row
            page = await self._rows(statement.where(c.session_id > page[-1].session_id))
        for row in await self._rows(self._strays()):
            yield row

    def _strays(self) -> Executable:
        c = self._messages.c
        times = [of(self._time(c.created_at)).label(name) for of, name in _FIRST_AND_LAST]
        strays = select(c.session_id, *times).where(~self._is_known())
        return strays.group_by(c.session_id).order_by(c.session_id)

    def _is_known(self) -> ColumnElement[bool]:
        sessions = self._sessions.c
        return select(sessions.session_id).where(sessions.session_id == self._messages.c.session_id).exists()

    async def items(self, session_id: str) -> Sequence[Row[Any]]:
        """Return the rows of a conversation's items, in the order that its session gives them."""
        c = self._messages.c
        order = (c.id,) if self._is_by_id else (c.created_at, c.id)
        columns = (c.id, c.message_data, self._time(c.created_at).label("created_at"))
        return await self._rows(select(*columns).where(c.session_id == session_id).order_by(*order))

    def place(self, row: Row[Any]) -> str:
        """Return what to call an item's row."""
        return f"{self._names[1]} {row.id}"

    async def branches(self, session_id: str) -> list[str]:
        """Return the names of a conversation's branches besides the main one."""
        if not self._has_branches:
            return []
        c = _BRANCHES.c
        names = select(c.branch_id).where(c.session_id == session_id, c.branch_id != _MAIN).distinct()
        return [row.branch_id for row in await self._rows(names.order_by(c.branch_id))]

    def _time(self, stored: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return a time that says its zone, into which the server converts it; texts are UTC."""
        return stored if self._times_are_text else cast(stored, TIMESTAMP(timezone=True))

    async def _rows(self, statement: Executable) -> Sequence[Row[Any]]:
        rows = (await self._connection.execute(statement)).all()
        await self._connection.rollback()
        return rows


@asynccontextmanager
async def opened(source: Source) -> AsyncGenerator[Tables, None]:
    """Give the tables. Raises `SessionStoreError`, in one line, when they can't be read."""
    store = SQLSessionStore.from_url(_url(source.place))
    try:
        async with store.engine.connect() as connection:
            tables = Tables(connection, source)
            await tables.look()
            yield tables
    except (DBAPIError, OSError) as error:
        reason = str(error.orig if isinstance(error, DBAPIError) else error)
        raise SessionStoreError(f"{OPTION}: the tables can't be read: {reason}") from error
    finally:
        await store.close()


def _url(place: str) -> URL:
    """Return the URL of a place. A file of SQLite's has to be there: connecting to one makes it."""
    url = parse(place) if "://" in place else file_url(place)
    file = file_of(url)
    if file is not None and not Path(file).is_file():
        raise SessionStoreError(f"{OPTION}: no such file: {file}")
    return url
