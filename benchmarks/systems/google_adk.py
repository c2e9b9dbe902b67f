"""google-adk: a message is one event with three parts."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

from google.adk.errors._stale_session_error import StaleSessionError
from google.adk.events import Event
from google.adk.sessions import DatabaseSessionService, Session
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from benchmarks import content
from benchmarks.content import Contents
from benchmarks.system import System
from benchmarks.target import Rows

_APP, _USER = "benchmark", "user"
_KEY = {"app_name": _APP, "user_id": _USER}
_NO_EVENTS = GetSessionConfig(num_recent_events=0)


def event_of(number: int) -> Event:
    """Return the n-th message."""
    v, call = content.variant(number), content.call_id(number)
    return Event(
        invocation_id="invocation",
        author="agent",
        content=types.Content(
            role="model",
            parts=[
                types.Part(text=content.TEXTS[v]),
                types.Part(
                    function_call=types.FunctionCall(id=call, name=content.TOOL_NAME, args=content.ARGUMENTS[v])
                ),
                types.Part(
                    function_response=types.FunctionResponse(
                        id=call, name=content.TOOL_NAME, response={"output": content.OUTPUTS[v]}
                    )
                ),
            ],
        ),
    )


class DatabaseSessions(System):
    """`DatabaseSessionService`, on the application's engine; one service, and a `Session` object kept a session."""

    name: ClassVar[str] = "google-adk"
    tables: ClassVar[str] = "google-adk"
    distributions: ClassVar[tuple[str, ...]] = ("google-adk",)
    remarks: ClassVar[dict[str, str]] = {
        "append": "there is no batch: several messages are as many transactions",
        "page": "there is no limit: all sessions are read",
        "share": "a stale session is read again without its events, and the append repeated",
    }

    async def open(self) -> None:
        """Make the engine and the service, which creates the tables if there are none."""
        self._engine = self.target.engine()
        self._service = DatabaseSessionService(db_engine=self._engine)
        self._sessions: dict[str, Session] = {}
        await self._service.prepare_tables()

    async def close(self) -> None:
        """Dispose of the engine."""
        await self._service.close()
        await self._engine.dispose()

    async def create(self, session: str) -> None:
        """Create a session, and keep it."""
        self._sessions[session] = await self._service.create_session(**_KEY, session_id=session)

    async def _current(self, session: str) -> Session:
        found = await self._service.get_session(**_KEY, session_id=session, config=_NO_EVENTS)
        if found is None:
            raise LookupError(session)
        self._sessions[session] = found
        return found

    async def append(self, session: str, number: int, count: int) -> None:
        """Append the events one by one."""
        for n in range(count):
            event = event_of(number + n)
            while True:
                current = self._sessions.get(session) or await self._current(session)
                try:
                    await self._service.append_event(current, event)
                except StaleSessionError:
                    await self._current(session)
                else:
                    break

    async def load(self, session: str) -> int:
        """Get the session with all events."""
        return await self._events(session, GetSessionConfig())

    async def last(self, session: str, limit: int) -> int:
        """Get the session with the latest events."""
        return await self._events(session, GetSessionConfig(num_recent_events=limit))

    async def after(self, session: str, number: int, limit: int) -> int:  # noqa: ARG002
        """Get the session with the events from a time on: with a limit it would give the latest ones."""
        return await self._events(session, GetSessionConfig(after_timestamp=content.time_of(number + 1).timestamp()))

    async def _events(self, session: str, config: GetSessionConfig) -> int:
        found = await self._service.get_session(**_KEY, session_id=session, config=config)
        return len(found.events) if found else 0

    async def page(self, limit: int) -> int:
        """List all sessions, and take the first."""
        return len((await self._service.list_sessions(**_KEY)).sessions[-limit:])

    async def seed(self, contents: Contents) -> None:
        """Insert the states, sessions and events; no two events differ but in text, id and time."""
        sessions, began = contents.sessions(), self._time(content.BEGAN)
        await self.target.insert(
            Rows("app_states", ("app_name", "state", "update_time"), [(_APP, "{}", began)]),
            Rows("user_states", ("app_name", "user_id", "state", "update_time"), [(_APP, _USER, "{}", began)]),
            Rows(
                "sessions",
                ("app_name", "user_id", "id", "state", "create_time", "update_time"),
                self._session_rows(sessions),
            ),
            Rows(
                "events",
                ("id", "app_name", "user_id", "session_id", "invocation_id", "timestamp", "event_data"),
                self._event_rows(sessions),
            ),
        )

    def _session_rows(self, sessions: dict[str, int]) -> Iterator[tuple[Any, ...]]:
        for age, (session, length) in enumerate(sessions.items(), 1):
            yield _APP, _USER, session, "{}", self._time(content.BEGAN), self._time(content.time_of(max(age, length)))

    def _event_rows(self, sessions: dict[str, int]) -> Iterator[tuple[Any, ...]]:
        dumped = [event_of(v).model_dump(exclude_none=True, mode="json") for v in range(len(content.TEXTS))]
        for session, length in sessions.items():
            for number in range(1, length + 1):
                time, id_ = content.time_of(number), f"{number:032d}"
                data = {**dumped[content.variant(number)], "id": id_, "timestamp": time.timestamp()}
                yield id_, _APP, _USER, session, "invocation", self._time(time), json.dumps(data)

    def _time(self, time: datetime) -> Any:
        """Return a time as its column holds it: UTC without saying so."""
        naive = time.astimezone(UTC).replace(tzinfo=None)
        return naive.isoformat(" ", "microseconds") if self.target.family == "sqlite" else naive
