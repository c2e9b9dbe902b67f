"""`sessionstore export`: everything comes out, and goes back in the same."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Message, RawPart, ReasoningPart, SessionInfo, SessionTime, SQLSessionStore
from sessionstore.cli import paging
from tests import databases
from tests.cli.conftest import CommandLine
from tests.cli.test_import import TRANSCRIPT, line

THEN = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)


@pytest.fixture
def other(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """A second, empty database."""
    url = databases.sqlite_url(tmp_path / "other.db")
    databases.run(databases.upgrade(url))
    return CommandLine(url, monkeypatch, capsys)


async def fill(store: SQLSessionStore) -> None:
    """Store two sessions with what there is to lose."""
    time = SessionTime(created=THEN, updated=THEN, archived=THEN)
    await store.create_session(
        SessionInfo(id="old", title="Gammel", time=time, user_id="ada", metadata={"b": 1, "a": [2]})
    )
    await store.create_session(SessionInfo(id="s/2", parent_session_id="old", root_session_id="old"))
    question, answer, extra, summary = (
        Message(session_id="s/2", role="user", metadata={"k": float("nan")}),
        Message(
            session_id="s/2", role="assistant", model="m", provider="p", usage={"input_tokens": 5, "output_tokens": 2}
        ),
        Message(session_id="s/2", role="assistant", status="interrupted"),
        Message(session_id="s/2", role="system"),
    )
    question.add_text("NUL \0, half a pair \ud83d, \x1b[31m")
    answer.parts.append(ReasoningPart(content="Hm.", signature="sig"))
    answer.add_tool_call("c", "t", {"z": 1, "a": 10**30})
    answer.add_tool_result("c", "t", "out", title="T", error="bad")
    extra.parts.append(RawPart(data=[None, -0.0, {"": "\ud83d"}]))
    summary.add_text("All of that.")
    await store.save_messages([question, answer, extra, summary])
    await store.update_session_summary("s/2", summary.id, covers_through=answer.id)
    await store.save_message(Message(session_id="s/2", role="user"))
    await store.pop_message("s/2")
    await store.add_usage("s/2", {"output_tokens": 40})
    await store.track_read_file("s/2", b"caf\xe9.txt".decode("utf-8", "surrogateescape"), mtime_ns=2**60, size=3)


def test_import_of_an_export_gives_the_same(cli: CommandLine, other: CommandLine) -> None:
    cli.on_store(fill)
    exported = cli.ok("export")
    assert [json.loads(text)["id"] for text in exported.splitlines()] == ["old", "s/2"]
    other.ok("import", "-", input=exported)
    assert other.ok("export") == exported
    for session_id in ("old", "s/2"):
        archive = cli.on_store(lambda store, session_id=session_id: store.export_session(session_id))
        again = other.on_store(lambda store, session_id=session_id: store.export_session(session_id))
        assert repr(again) == repr(archive)
    saved = other.on_store(lambda store: store.save_message(Message(session_id="s/2", role="user")))
    assert saved.seq == 6  # the popped message's number isn't given again


def test_chat_conversations_come_out_as_they_went_in(cli: CommandLine) -> None:
    cli.ok("import", str(TRANSCRIPT))
    assert cli.ok("export", "--format", "openai-chat") == TRANSCRIPT.read_text()


RESPONSES = {
    "id": "weather",
    "endpoint": "/v1/responses",
    "messages": [
        {"content": "How is Oslo?", "role": "user"},
        {"id": "rs_1", "summary": [], "type": "reasoning", "encrypted_content": "x"},
        {"arguments": '{"city": "Oslo"}', "call_id": "c", "name": "get_weather", "type": "function_call", "id": "f"},
        {"type": "web_search_call", "id": "ws_1", "action": {"query": "\ud800", "type": "search"}},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "Rain \0"}]},
    ],
}
ANTHROPIC = {
    "id": "weather",
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"content": "How is Oslo?", "role": "user"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "sig"},
                {"type": "tool_use", "id": "c", "name": "get_weather", "input": {"city": "Oslo", "at": float("nan")}},
            ],
            "usage": {"input_tokens": 5, "output_tokens": 2, "service_tier": "standard"},
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "is_error": True, "content": "\0"}]},
    ],
}


@pytest.mark.parametrize(("name", "given"), [("openai-responses", RESPONSES), ("anthropic", ANTHROPIC)])
def test_providers_conversations_come_out_as_they_went_in(
    cli: CommandLine, other: CommandLine, name: str, given: dict[str, Any]
) -> None:
    """Stored in between, also in another database by way of the native format; calls and tokens can be queried."""
    line = json.dumps(given) + "\n"
    cli.ok("import", "-", "--format", name, input=line)
    assert json.dumps(json.loads(cli.ok("export", "--format", name))) + "\n" == line
    other.ok("import", "-", input=cli.ok("export"))
    assert json.dumps(json.loads(other.ok("export", "-f", name))) + "\n" == line
    archive = other.on_store(lambda store: store.export_session("weather"))
    assert archive.info.title == "How is Oslo?"
    assert archive.info.total_tokens == (7 if name == "anthropic" else 0)
    [call] = [call for message in archive.messages for call in message.get_tool_calls()]
    assert (call.tool_name, call.arguments["city"]) == ("get_weather", "Oslo")
    exported = json.loads(cli.ok("export", "--format", "openai-chat"))["messages"]
    assert [message["role"] for message in exported if "tool" in str(message)] == ["assistant", "tool"]


def test_named_sessions_come_in_the_order_given(cli: CommandLine) -> None:
    cli.ok("import", "-", input=line("a") + line("b") + line("c"))
    exported = cli.ok("export", "c", "a").splitlines()
    assert [json.loads(text)["id"] for text in exported] == ["c", "a"]


def test_a_session_that_is_not_there_is_an_error_and_the_others_come_out(cli: CommandLine) -> None:
    cli.ok("import", "-", input=line("a"))
    result = cli("export", "b", "a")
    assert result.code == 1
    assert result.err == "error: there is no session 'b'\n"
    assert json.loads(result.out)["id"] == "a"


def test_more_sessions_than_a_page_come_out_once_each(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "_PAGE", 3)
    names = [f"s{number}" for number in range(10)]
    cli.ok("import", "-", input="".join(line(name) for name in names))
    exported = cli.ok("export", "-f", "openai-chat").splitlines()
    assert [json.loads(text)["id"] for text in exported] == names


def test_a_session_that_moves_to_the_front_meanwhile_is_not_missed(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "_PAGE", 2)

    async def act(store: SQLSessionStore) -> list[str]:
        for number in range(5):
            updated = THEN + timedelta(seconds=number)
            await store.create_session(SessionInfo(id=f"s{number}", time=SessionTime(created=THEN, updated=updated)))
        list_sessions, moved = store.list_sessions, []

        async def moving(**filters: object) -> object:
            page = await list_sessions(**filters)
            if not moved:
                moved.append(True)
                await store.update_session_title("s0", "used")
            return page

        monkeypatch.setattr(store, "list_sessions", moving)
        return await paging.all_ids(store)

    assert sorted(cli.on_store(act)) == [f"s{number}" for number in range(5)]


def test_a_file_is_written_whole_or_not_at_all(cli: CommandLine, cli_on_nothing: CommandLine, tmp_path: Path) -> None:
    target = tmp_path / "backup.jsonl"
    cli.ok("import", "-", input=line("a", "Ære \ud800"))
    assert cli("export", "-o", str(target)) == (0, "", "")
    backup = target.read_bytes()
    assert json.loads(backup)["id"] == "a"
    cli_on_nothing.failing("export", "-o", str(target))
    assert target.read_bytes() == backup
    assert [path.name for path in tmp_path.glob("backup*")] == ["backup.jsonl"]
    assert "No such file or directory" in cli.failing("export", "-o", str(tmp_path / "none" / "x"))


def test_an_empty_store_exports_nothing(cli: CommandLine) -> None:
    assert cli("export") == (0, "", "")


def test_an_unreadable_session_is_told_and_the_others_come_out(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = CommandLine(sqlite_url, monkeypatch, capsys)
    cli.ok("import", "-", input=line("a", "hi") + line("b", "hi"))

    async def damage(store: SQLSessionStore) -> None:
        async with store.engine.begin() as connection:
            await connection.exec_driver_sql("UPDATE sessionstore_messages SET metadata = '{' WHERE session_id = 'a'")

    cli.on_store(damage)
    result = cli("export")
    assert result.code == 1
    assert "sessionstore_messages" in result.err
    assert json.loads(result.out)["id"] == "b"
