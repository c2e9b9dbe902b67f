"""`sessionstore ls`, `show` and `rm`."""

import json
from datetime import UTC, datetime

import pytest

from sessionstore import Message, ReasoningPart, SessionInfo, SessionTime, SQLSessionStore, UnknownPart
from tests.cli.conftest import CommandLine
from tests.cli.test_import import TRANSCRIPT, line

THEN = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
LONG_ID = "long/" + "x" * 250


async def fill(store: SQLSessionStore) -> None:
    for number, (session_id, user) in enumerate([("a", "ada"), (LONG_ID, "ada"), ("c", "bob")]):
        time = SessionTime(created=THEN, updated=THEN.replace(minute=number))
        await store.create_session(
            SessionInfo(id=session_id, title=f"Title of {session_id[0]}", user_id=user, time=time)
        )
    archived = SessionTime(created=THEN, updated=THEN, archived=THEN)
    await store.create_session(SessionInfo(id="put away", time=archived))
    await store.add_usage("c", {"input_tokens": 1200, "output_tokens": 34})


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it look as if a person sat there."""
    monkeypatch.setattr("sessionstore.cli.sessions.is_terminal", lambda _: True)
    monkeypatch.setenv("COLUMNS", "100")


def test_ls_gives_a_line_each_the_most_recently_used_first(cli: CommandLine) -> None:
    cli.on_store(fill)
    rows = [row.split("\t") for row in cli.ok("ls").splitlines()]
    assert [row[0] for row in rows] == ["c", LONG_ID, "a"]
    assert rows[0][1:4] == ["Title of c", "0", "1234"]
    assert rows[2] == ["a", "Title of a", "0", "0", "2024-05-06T07:00:09Z"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--limit", "2"], ["c", LONG_ID]),
        (["--limit", "0"], []),
        (["--user", "ada"], [LONG_ID, "a"]),
        (["--user", "eve"], []),
        (["--archived"], ["put away"]),
    ],
)
def test_ls_shows_what_is_asked_for(cli: CommandLine, options: list[str], expected: list[str]) -> None:
    cli.on_store(fill)
    assert [row.split("\t")[0] for row in cli.ok("ls", *options).splitlines()] == expected
    assert [json.loads(row)["id"] for row in cli.ok("ls", "--json", *options).splitlines()] == expected


def test_ls_refuses_a_negative_limit(cli: CommandLine) -> None:
    assert cli("ls", "--limit", "-1").code == 2


def test_ls_json_has_all_that_is_known(cli: CommandLine) -> None:
    cli.on_store(fill)
    info = json.loads(cli.ok("ls", "--json", "--limit", "1"))
    assert (info["id"], info["user_id"], info["input_tokens"], info["total_tokens"]) == ("c", "bob", 1200, 1234)
    assert info["time"]["created"] == "2024-05-06T07:08:09.123456Z"


def test_ls_on_a_terminal_is_a_table_with_whole_ids(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.on_store(fill)
    on_a_terminal(monkeypatch)
    heading, *rows = cli.ok("ls").splitlines()
    assert heading.split() == ["id", "title", "messages", "tokens", "updated"]
    assert "".join(row[: heading.index("title")].strip() for row in rows) == f"c{LONG_ID}a"
    assert cli.ok("ls", "--json", "--limit", "1").startswith("{")


def test_ls_on_a_terminal_says_when_it_stops(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessionstore.cli.sessions._ON_A_TERMINAL", 2)
    cli.on_store(fill)
    on_a_terminal(monkeypatch)
    assert cli("ls").err == "(the first 2; --limit shows more)\n"
    assert cli("ls", "--limit", "2").err == ""


def test_an_id_or_a_title_can_not_steer_the_terminal(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    text, shown = "[red]\x1b[31m\tx\ny[/red]", r"[red]\x1b[31m\tx\ny[/red]"
    cli.on_store(lambda store: store.create_session(SessionInfo(id=text, title=text)))
    assert cli.ok("ls").split("\t")[:2] == [shown, shown]
    assert json.loads(cli.ok("ls", "--json"))["id"] == text
    assert cli.ok("show", text).startswith(f"{shown}\n{shown} · 0 messages")
    on_a_terminal(monkeypatch)
    assert cli.ok("ls").count(shown) == 2


def test_show_prints_a_transcript(cli: CommandLine) -> None:
    cli.ok("import", str(TRANSCRIPT))
    title, facts, *rest = cli.ok("show", "weather").splitlines()
    assert title == "Do I need an umbrella in Oslo today?"
    assert facts.startswith("weather · 5 messages · 0 tokens · updated 20")
    assert rest == [
        "",
        "1. system",
        "You are a helpful assistant. Use the tools you have.",
        "",
        "2. user · turn 1",
        "Do I need an umbrella in Oslo today?",
        "",
        "3. assistant · turn 1",
        '→ get_weather {"city":"Oslo","unit":"celsius"}  [call_kR3v]',
        "",
        "4. tool · turn 1",
        "← get_weather  [call_kR3v]",
        '{"temperature": 9, "sky": "overcast", "rain": "from 15:00"}',
        "",
        "5. assistant · turn 1",
        "Take one along: it is 9 °C and overcast, and rain is expected from three o'clock.",
        "",
    ]


def test_show_sums_up_what_is_no_text(cli: CommandLine) -> None:
    async def act(store: SQLSessionStore) -> None:
        await store.create_session(SessionInfo(id="a", model_id="gpt"))
        message = Message(session_id="a", role="assistant", model="gpt", status="interrupted")
        message.parts.append(ReasoningPart(content="Let me see."))
        message.add_image("image/png", data="aGk=" * 30)
        message.add_image("image/png", url="https://example.org/" + "x" * 300)
        message.add_tool_result("c", "search", "nothing", title="Search", error="timed out")
        message.parts.append(UnknownPart(type="hologram", data={"x": "y" * 300}))
        await store.save_message(message)

    cli.on_store(act)
    shown = cli.ok("show", "a")
    assert "updated" in shown
    assert " · model gpt\n" in shown
    assert "1. assistant · gpt · interrupted\n(reasoning) Let me see.\n[image image/png: 90 bytes]\n" in shown
    assert f"[image image/png: https://example.org/{'x' * 180}… (320 characters)]\n" in shown
    assert "← search · Search  [c]\nerror: timed out\nnothing\n" in shown
    assert '[hologram: {"x":"yyyy' in shown
    assert "… (308 characters)]" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[bold]no markup[/bold] [/] :smile:", "[bold]no markup[/bold] [/] :smile:"),
        ("\x1b[31mred\x1b[0m \x9b1m \x07", r"\x1b[31mred\x1b[0m \x9b1m \x07"),
        ("NUL \0", r"NUL \x00"),
        ("overwritten\rby this", r"overwritten\x0dby this"),
        ("half a \ud800 pair", r"half a \ud800 pair"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("two\r\nlines", "two\nlines"),
        ("long" * 100, "long" * 100),
    ],
)
def test_show_obeys_no_content(cli: CommandLine, text: str, shown: str) -> None:
    items = [
        {"role": "user", "content": text},
        {"role": "tool", "tool_call_id": text, "content": text, "name": text},
        {"role": "critic", "content": text},
    ]
    cli.ok("import", "-", input=json.dumps({"id": "a", "messages": items}))
    out = cli.ok("show", "a")
    assert f"1. user · turn 1\n{shown}\n" in out
    assert f"]\n{shown}\n" in out
    assert not {"\x1b", "\x9b", "\0", "\x07", "\r", "\u202e"} & set(out)


def test_show_reads_a_page_of_messages_at_a_time(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessionstore.cli.sessions._MESSAGE_PAGE", 2)
    cli.ok("import", "-", input=line("a", *(f"text {number}" for number in range(5))))
    shown = cli.ok("show", "a").splitlines()[1:]
    assert [row for row in shown if row.startswith("text")] == [f"text {number}" for number in range(5)]


def test_show_of_a_session_that_is_not_there_is_an_error(cli: CommandLine) -> None:
    assert cli.failing("show", "a") == "error: there is no session 'a'\n"


def test_another_tenants_session_is_not_there(cli: CommandLine) -> None:
    cli.ok("import", "-", "--tenant", "acme", input=line("a"))
    cli.failing("show", "a")
    cli.failing("rm", "a")
    assert cli.failing("export", "a") == "error: there is no session 'a'\n"
    cli.ok("show", "a", "--tenant", "acme")


def test_rm_deletes_and_tells_what_was_not_there(cli: CommandLine) -> None:
    cli.ok("import", "-", input=line("a") + line("b") + line("c"))
    result = cli("rm", "a", "nope", "b")
    assert result.code == 1
    assert result.out == "deleted a\ndeleted b\n"
    assert result.err == "error: there is no session 'nope'\n"
    assert cli.ok("ls").startswith("c\t")
    assert cli.ok("rm", "c") == "deleted c\n"


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("YES\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
def test_rm_asks_on_a_terminal(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    cli.ok("import", "-", input=line("a"))
    on_a_terminal(monkeypatch)
    result = cli("rm", "a", input=answer)
    assert result.code == code
    assert result.err.startswith("Delete 1 session for good? [y/N] ")
    assert bool(cli.on_store(lambda store: store.get_session("a"))) == bool(code)


def test_rm_does_not_ask_with_yes(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.ok("import", "-", input=line("a") + line("b"))
    on_a_terminal(monkeypatch)
    assert cli("rm", "a", "b", "--yes") == (0, "deleted a\ndeleted b\n", "")
