"""`sessionstore import`: good lines are stored whole, bad ones are told."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandLine
from tests.formats.strategies import nested

TRANSCRIPT = Path(__file__).parents[2] / "examples" / "transcript.jsonl"


def line(id: str, *texts: str, **extra: Any) -> str:
    return json.dumps({"id": id, "messages": [{"role": "user", "content": text} for text in texts], **extra}) + "\n"


def ids(cli: CommandLine) -> list[str]:
    return [row.split("\t")[0] for row in cli.ok("ls").splitlines()]


def test_the_example_becomes_typed_messages(cli: CommandLine) -> None:
    result = cli("import", str(TRANSCRIPT))
    assert (result.code, result.out, result.err) == (0, "", "imported 2 conversations\n")
    messages = cli.on_store(lambda store: store.get_messages("weather"))
    assert [(message.seq, message.turn, message.role) for message in messages] == [
        (1, 0, "system"),
        (2, 1, "user"),
        (3, 1, "assistant"),
        (4, 1, "tool"),
        (5, 1, "assistant"),
    ]
    [call] = messages[2].get_tool_calls()
    assert (call.tool_name, call.arguments) == ("get_weather", {"city": "Oslo", "unit": "celsius"})
    [result_part] = messages[3].get_tool_results()
    assert (result_part.tool_call_id, result_part.tool_name) == (call.tool_call_id, "get_weather")
    info = cli.on_store(lambda store: store.get_session("weather"))
    assert (info.title, info.message_count) == ("Do I need an umbrella in Oslo today?", 5)


def test_standard_input_is_read_and_blank_lines_are_skipped(cli: CommandLine) -> None:
    result = cli("import", "-", input="\n" + line("a") + "  \r\n" + line("b").replace("\n", "\r\n"))
    assert result.err == "imported 2 conversations\n"
    assert sorted(ids(cli)) == ["a", "b"]


def test_a_byte_order_mark_and_a_missing_last_newline_are_fine(cli: CommandLine) -> None:
    cli.ok("import", "-", input="\ufeff" + line("a") + line("b").rstrip("\n"))
    assert sorted(ids(cli)) == ["a", "b"]


def test_only_line_feeds_end_a_line(cli: CommandLine) -> None:
    text = "one\u2028two\x85three\u2029"
    cli.ok("import", "-", input=json.dumps(json.loads(line("a", text)), ensure_ascii=False))
    [message] = cli.on_store(lambda store: store.get_messages("a"))
    assert message.get_text_content() == text


def test_bad_lines_are_told_by_number_and_the_others_stored(cli: CommandLine) -> None:
    bad = json.dumps({"id": "half", "messages": [{"role": "user", "content": "kept?"}, []]})
    lines = [line("a"), "{oops\n", bad + "\n", "\n", line("a", "again"), '{"id": 5, "messages": []}\n', line("b")]
    result = cli("import", "-", input="".join(lines).encode() + b'{"id": "\xff"}\n')
    assert result.code == 1
    told = result.err.splitlines()
    assert [error.split(":")[1] for error in told[:-1]] == [" line 2", " line 3", " line 5", " line 6", " line 8"]
    assert "is no JSON" in told[0]
    assert "messages[1]: is a list, not an object" in told[1]
    assert "'a'" in told[2]
    assert "id: " in told[3]
    assert "UTF-8" in told[4]
    assert told[-1] == "imported 2 conversations, 5 bad lines"
    assert sorted(ids(cli)) == ["a", "b"]
    assert cli.on_store(lambda store: store.get_messages("a")) == []


def test_a_conversation_without_an_id_gets_one(cli: CommandLine) -> None:
    cli.ok("import", "-", input='{"messages": []}\n')
    [session_id] = ids(cli)
    assert len(session_id) == 36


def test_the_format_can_be_forced(cli: CommandLine) -> None:
    assert "line 1: title: Extra inputs" in cli.failing("import", "-", "-f", "sessionstore", input=line("a", title="T"))
    cli.ok("import", "-", "-f", "openai-chat", input=line("a", format="sessionstore"))
    assert ids(cli) == ["a"]


def test_an_unknown_format_is_a_usage_error(cli: CommandLine) -> None:
    result = cli("import", "-", "--format", "xml")
    assert result.code == 2
    assert "'xml' is none of openai-chat, openai-responses, anthropic, sessionstore" in result.err


def test_a_file_that_is_not_there_is_an_error(cli: CommandLine, tmp_path: Path) -> None:
    assert (
        cli.failing("import", str(tmp_path / "none.jsonl"))
        == f"error: {tmp_path}/none.jsonl: No such file or directory\n"
    )
    assert "directory" in cli.failing("import", str(tmp_path))


def test_sessions_go_to_the_tenant(cli: CommandLine) -> None:
    cli.ok("import", "-", "--tenant", "acme", input=line("a"))
    assert ids(cli) == []
    assert cli.ok("ls", "--tenant", "acme").startswith("a\t")


def test_without_tables_the_command_that_helps_is_named(cli_on_nothing: CommandLine) -> None:
    told = cli_on_nothing.failing("import", "-", input=line("a") + line("b"))
    assert told.splitlines()[0] == "imported 0 conversations"
    assert "sessionstore db upgrade" in told
    assert told.count("error:") == 1


def test_values_as_deep_as_can_be_kept_come_back(cli: CommandLine) -> None:
    given = json.dumps({"id": "a", "messages": [{"role": "user", "content": "hi", "extra": nested(499)}]})
    cli.ok("import", "-", input=given)
    exported = cli.ok("export")
    assert json.dumps(json.loads(cli.ok("export", "-f", "openai-chat"))) == given
    cli.ok("rm", "a")
    cli.ok("import", "-", input=exported)
    assert cli.ok("export") == exported


@pytest.mark.parametrize("text", ["NUL \0", "half \ud800 a pair", "NaN"])
def test_odd_values_are_stored_exactly(cli: CommandLine, text: str) -> None:
    given = line("a", text, extra=[float("nan"), -0.0, 10**400])
    cli.ok("import", "-", input=given)
    assert json.dumps(json.loads(cli.ok("export", "-f", "openai-chat"))) + "\n" == given
