"""The programs in `examples/` do what README says of them."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from sessionstore import Message, SQLSessionStore
from tests.sql.invariants import broken

from . import readme
from .project import ROOT

AGENT = ROOT / "examples" / "agent.py"
STORY = "Once upon a time there was a database that forgot nothing. Then came a commit. Then came a commit. "


def test_the_readme_shows_the_agent() -> None:
    """README's agent loop, in less than 30 lines, is the code of the example, line for line."""
    (loop,) = [example.code for example in readme.examples("README.md") if "async def answer" in example.code]
    assert len(loop.splitlines()) < 30
    shown = [line for line in loop[loop.index("async def") :].splitlines() if line]
    program = [line for line in AGENT.read_text().splitlines() if line]
    first = program.index(shown[0])
    assert program[first : first + len(shown)] == shown


async def _run(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, AGENT, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def test_the_agent_goes_on_after_crashes(store: SQLSessionStore, database_url: str) -> None:
    """Both killed processes leave what had come; the next one repairs it, goes on, and compacts what is old."""
    output = await _run("--database-url", database_url)
    assert output.count("(killed)") == 2
    (session,) = await store.list_sessions()
    chat = store.conversation(session.id)
    messages = await store.get_messages(session.id)

    assert [message.status for message in messages].count("complete") == len(messages) - 1
    (draft,) = [message for message in messages if message.status == "interrupted"]
    told = draft.get_text_content()
    assert "time" in told
    assert (STORY * 2).startswith(told[: len(STORY)])
    assert f"We were at: {told[:20]}" in output

    assert await chat.pending_tool_calls() == []
    results = [part for message in messages for part in message.get_tool_results()]
    assert [(part.output, part.error) for part in results] == [
        ("rain in Oslo", None),
        ("This tool call has no result.", "the process died; the tool may have run"),
    ]

    (record,) = await chat.summaries()
    assert (record.active, record.trigger, record.from_seq) == (True, "threshold", 1)
    context = await chat.context()
    assert context[0].id == record.message_id
    assert _dangling(context) == set()
    assert "process died" in context[-1].get_text_content()
    assert await broken(store.engine) == []


async def test_the_agent_needs_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument it runs on a file of its own, and leaves nothing behind."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert "active: True" in await _run()
    assert os.listdir(tmp_path) == []


def _dangling(context: list[Message]) -> set[str]:
    """Return the calls without a result and the results without a call."""
    called = {part.tool_call_id for message in context for part in message.get_tool_calls()}
    assert called
    return called ^ {part.tool_call_id for message in context for part in message.get_tool_results()}
