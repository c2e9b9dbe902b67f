"""The frameworks' calls for callers who can't await, as docs/frameworks.md has them, each in a process of its own.

They leave their event loops open, and the thread without one.
"""

import subprocess
import sys

import pytest

PROGRAMS = {
    "openai_agents": """
from agents import Agent, Runner, set_tracing_disabled
from agents.testing import ScriptedModel, assistant_message
from sessionstore.adapters.openai_agents import SQLSession

set_tracing_disabled(True)
session = SQLSession.from_url("s", url=URL, create_tables=True)
for _ in range(2):
    Runner.run_sync(Agent(name="a", model=ScriptedModel([[assistant_message("ok")]])), "Hi", session=session)
print(len(asyncio.run(session.get_items())))
""",
    "pydantic_ai": """
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel
from sessionstore.adapters.pydantic_ai import MessageHistory

history = MessageHistory.from_url("s", url=URL, create_tables=True)
for _ in range(2):
    result = Agent(TestModel()).run_sync("Hi", message_history=asyncio.run(history.load()))
    asyncio.run(history.save(result.new_messages()))
print(len(asyncio.run(history.load())))
""",
    "langchain": """
from sessionstore.adapters.langchain import SQLChatMessageHistory

history = SQLChatMessageHistory.from_url("s", url=URL, create_tables=True)
for _ in range(2):
    history.add_user_message("Hi")
    history.add_ai_message("ok")
assert history.messages == asyncio.run(history.aget_messages())
print(len(history.messages))
""",
}


def run(name: str, url: str) -> "subprocess.CompletedProcess[str]":
    program = f"import asyncio\nURL = {url!r}\n{PROGRAMS[name]}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("name", PROGRAMS)
def test_in_one_event_loop_after_another(name: str, empty_database_url: str) -> None:
    """On SQLite, and on Postgres with psycopg."""
    done = run(name, empty_database_url.replace("asyncpg", "psycopg"))
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr


@pytest.mark.parametrize("name", PROGRAMS)
def test_with_asyncpg_the_error_names_the_remedy(name: str, empty_postgresql_url: str) -> None:
    done = run(name, empty_postgresql_url)
    assert "SessionStoreError: the engine's connections belong to another event loop" in done.stderr
    assert "or use psycopg" in done.stderr
