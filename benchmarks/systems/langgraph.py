"""langgraph's checkpointers: a session is a thread whose state holds all messages, and each checkpoint writes it."""

from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar

from langchain_core.messages import AIMessage, ToolMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks import content
from benchmarks.content import Contents
from benchmarks.system import System
from benchmarks.target import POOL_SIZE

_MESSAGES = 2
_CHANNEL = "messages"


def messages_of(number: int) -> list[Any]:
    """Return the n-th message: what the assistant says and calls, and the result."""
    v, call = content.variant(number), content.call_id(number)
    arguments = content.ARGUMENTS[v]
    return [
        AIMessage(
            id=f"ai-{number}",
            content=content.TEXTS[v],
            tool_calls=[{"id": call, "name": content.TOOL_NAME, "args": arguments, "type": "tool_call"}],
        ),
        ToolMessage(id=f"tool-{number}", content=content.OUTPUTS[v], tool_call_id=call, name=content.TOOL_NAME),
    ]


class _Checkpoints(System):
    """What the two checkpointers have in common."""

    tables: ClassVar[str] = "langgraph"
    cannot: ClassVar[dict[str, str]] = {
        "last": "the state is read as a whole",
        "after": "the state is read as a whole",
        "page": "threads can't be listed: checkpoints are",
        "disk": "each checkpoint holds all messages: the bytes grow with the square of the session's length",
    }
    remarks: ClassVar[dict[str, str]] = {
        "append": "the latest checkpoint is read, and one with all messages written, as a graph's step does",
        "share": "the checkpoint that is written last wins",
    }
    longest: ClassVar[int | None] = 10_000
    too_long: ClassVar[str] = "each append writes all messages again: left out, as it takes seconds and gigabytes"

    @abstractmethod
    def _opened(self) -> Any:
        """Return a context manager that gives the checkpointer."""

    async def open(self) -> None:
        """Connect."""
        self._stack = AsyncExitStack()
        self._saver: Any = await self._stack.enter_async_context(self._opened())

    async def make_tables(self) -> None:
        """Create the tables."""
        await self._saver.setup()

    async def close(self) -> None:
        """Disconnect."""
        await self._stack.aclose()

    async def _latest(self, session: str) -> Any:
        return await self._saver.aget_tuple({"configurable": {"thread_id": session, "checkpoint_ns": ""}})

    async def append(self, session: str, number: int, count: int) -> None:
        """Read the state, add the messages, write the state."""
        await self._put(session, [message for n in range(count) for message in messages_of(number + n)])

    async def _put(self, session: str, added: list[Any]) -> None:
        latest = await self._latest(session)
        configurable = {"thread_id": session, "checkpoint_ns": ""}
        checkpoint, before, version = empty_checkpoint(), [], None
        if latest is not None:
            configurable |= {"checkpoint_id": latest.checkpoint["id"]}
            before = latest.checkpoint["channel_values"][_CHANNEL]
            version = latest.checkpoint["channel_versions"][_CHANNEL]
        versions = {_CHANNEL: self._saver.get_next_version(version, None)}
        checkpoint["channel_values"] = {_CHANNEL: [*before, *added]}
        checkpoint["channel_versions"] = versions
        metadata = {"source": "loop", "step": 1, "parents": {}}
        await self._saver.aput({"configurable": configurable}, checkpoint, metadata, versions)

    async def load(self, session: str) -> int:
        """Read the state."""
        latest = await self._latest(session)
        return len(latest.checkpoint["channel_values"][_CHANNEL]) // _MESSAGES if latest else 0

    async def seed(self, contents: Contents) -> None:
        """Write each session's state once: the checkpoints before it aren't there."""
        for session, length in contents.sessions().items():
            if 0 < length <= (self.longest or length):
                await self._put(session, [message for n in range(1, length + 1) for message in messages_of(n)])


class PostgresCheckpoints(_Checkpoints):
    """`AsyncPostgresSaver` on a pool, as its documentation has it: autocommit, dictionaries, prepared statements."""

    name: ClassVar[str] = "langgraph AsyncPostgresSaver"
    families: ClassVar[tuple[str, ...]] = ("postgresql",)
    distributions: ClassVar[tuple[str, ...]] = ("langgraph-checkpoint-postgres", "psycopg")

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[AsyncPostgresSaver]:
        options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        pool: Any = AsyncConnectionPool(
            self.target.location, min_size=1, max_size=POOL_SIZE, kwargs=options, open=False
        )
        async with pool:
            yield AsyncPostgresSaver(pool)


class SqliteCheckpoints(_Checkpoints):
    """`AsyncSqliteSaver`, on one connection."""

    name: ClassVar[str] = "langgraph AsyncSqliteSaver"
    families: ClassVar[tuple[str, ...]] = ("sqlite",)
    distributions: ClassVar[tuple[str, ...]] = ("langgraph-checkpoint-sqlite",)

    def _opened(self) -> Any:
        return AsyncSqliteSaver.from_conn_string(self.target.location)
