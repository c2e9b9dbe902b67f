"""agno: a message is one run of an agent, with an assistant's message and a tool's."""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any, ClassVar

from agno.db.base import SessionType
from agno.db.postgres import AsyncPostgresDb
from agno.db.sqlite import AsyncSqliteDb
from agno.db.utils import SessionRunObjectCache, build_single_run_row
from agno.models.message import Message
from agno.run.agent import RunOutput
from agno.run.base import RunStatus
from agno.session.agent import AgentSession

from benchmarks import content
from benchmarks.content import Contents
from benchmarks.system import System
from benchmarks.target import Rows

_SCHEMA = "ai"


def run_of(session: str, number: int) -> RunOutput:
    """Return the n-th message."""
    v, call = content.variant(number), content.call_id(number)
    function = {"name": content.TOOL_NAME, "arguments": content.ARGUMENTS_JSON[v]}
    return RunOutput(
        run_id=str(uuid.uuid4()),
        session_id=session,
        agent_id="agent",
        status=RunStatus.completed,
        messages=[
            Message(
                role="assistant",
                content=content.TEXTS[v],
                tool_calls=[{"id": call, "type": "function", "function": function}],
            ),
            Message(role="tool", tool_call_id=call, tool_name=content.TOOL_NAME, content=content.OUTPUTS[v]),
        ],
    )


class AgnoSessions(System):
    """`AsyncPostgresDb` and `AsyncSqliteDb`, on the application's engine, called as an agent calls them."""

    name: ClassVar[str] = "agno"
    tables: ClassVar[str] = "agno"
    distributions: ClassVar[tuple[str, ...]] = ("agno",)
    cannot: ClassVar[dict[str, str]] = {"after": "runs can't be read from a place on"}
    remarks: ClassVar[dict[str, str]] = {
        "append": "a run and its session are saved in two transactions, and there is no batch",
        "load": "its cache of runs is emptied first",
    }

    async def open(self) -> None:
        """Make the engine."""
        self._engine = self.target.engine()
        kind = AsyncSqliteDb if self.target.family == "sqlite" else AsyncPostgresDb
        self._db: Any = kind(db_engine=self._engine)

    async def make_tables(self) -> None:
        """Create the tables, as the first session and run do."""
        await self.create("tables")
        await self._db.upsert_run(run_of("tables", 1), session_id="tables")

    async def close(self) -> None:
        """Dispose of the engine."""
        await self._engine.dispose()

    def _row(self, session: str) -> AgentSession:
        return AgentSession(session_id=session, agent_id="agent", session_data={}, created_at=int(time.time()))

    async def create(self, session: str) -> None:
        """Insert a session."""
        await self._db.upsert_session(self._row(session))

    async def append(self, session: str, number: int, count: int) -> None:
        """Save the session and the run, as is done at each run's end, one by one."""
        for n in range(count):
            await self._db.upsert_session(self._row(session))
            await self._db.upsert_run(run_of(session, number + n), session_id=session)

    async def load(self, session: str) -> int:
        """Get the session with all runs, as a process does that hasn't read it before."""
        self._db._run_object_cache = SessionRunObjectCache()
        return await self._runs(session)

    async def last(self, session: str, limit: int) -> int:
        """Get the session with its latest runs."""
        return await self._runs(session, runs_limit=limit)

    async def _runs(self, session: str, **options: Any) -> int:
        found = await self._db.get_session(session, session_type=SessionType.AGENT, **options)
        return len(found.runs or ())

    async def page(self, limit: int) -> int:
        """List sessions without their runs."""
        options: dict[str, Any] = {"limit": limit, "page": 1, "sort_by": "updated_at", "sort_order": "desc"}
        return len(await self._db.get_sessions(session_type=SessionType.AGENT, include_runs=False, **options))

    async def seed(self, contents: Contents) -> None:
        """Insert sessions and runs; no two runs differ but in text, id and time."""
        sessions = contents.sessions()
        schema = None if self.target.family == "sqlite" else _SCHEMA
        session_columns = ("session_id", "session_type", "agent_id", "session_data", "created_at", "updated_at")
        columns = tuple(build_single_run_row(run_of("", 1), ""))
        await self.target.insert(
            Rows("agno_sessions", session_columns, self._session_rows(sessions), schema),
            Rows("agno_runs", columns, self._run_rows(sessions, columns), schema),
        )

    def _session_rows(self, sessions: dict[str, int]) -> Iterator[tuple[Any, ...]]:
        for age, session in enumerate(sessions, 1):
            used = int(content.time_of(age).timestamp())
            yield session, "agent", "agent", "{}", used, used

    def _run_rows(self, sessions: dict[str, int], columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        built = [build_single_run_row(run_of("", v), "") for v in range(len(content.TEXTS))]
        for session, length in sessions.items():
            for number in range(1, length + 1):
                row, time_ = built[content.variant(number)], int(content.time_of(number).timestamp())
                run_id = str(uuid.uuid4())
                data = {**row["run_data"], "run_id": run_id, "session_id": session, "created_at": time_}
                own = {"run_id": run_id, "session_id": session, "run_index": number - 1, "run_data": json.dumps(data)}
                own |= {"created_at": time_, "updated_at": time_}
                yield tuple((row | own)[column] for column in columns)
