"""Model messages come back as Pydantic AI's own type adapter has them, and those of others as model messages."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import (
    BinaryContent,
    CompactionPart,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    SpeechPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.test import TestModel

from sessionstore import (
    ImagePart,
    Message,
    RawPart,
    ReasoningPart,
    SessionInfo,
    SQLSessionStore,
    ToolResultPart,
    UnknownPart,
)
from sessionstore import TextPart as OurText
from sessionstore import ToolCallPart as OurCall
from sessionstore.adapters.pydantic_ai import MessageHistory
from sessionstore.compaction import Truncate
from sessionstore.errors import InvalidValue
from sessionstore.formats.pydantic_ai import messages_of_items

from .build import AT, every_kind, exactly

IMAGE = BinaryContent(b"\x89PNG", media_type="image/png")


@pytest.fixture
def history(store: SQLSessionStore) -> MessageHistory:
    """A history whose session isn't stored yet."""
    return MessageHistory(store, "s")


async def test_every_kind_comes_back_exactly(history: MessageHistory, store: SQLSessionStore) -> None:
    """Also one by one, in another order, and with what others wrote behind it."""
    given = list(every_kind().values())
    await history.save(given)
    assert exactly(await history.load()) == exactly(given)
    other = MessageHistory(store, "t")
    for message in reversed(given):
        await other.save([message])
        await store.save_message(Message(session_id="t", role="user", parts=[OurText(content="meanwhile")]))
    loaded = await other.load()
    assert exactly(loaded[::2]) == exactly(given[::-1])
    assert all(message.parts[0].content == "meanwhile" for message in loaded[1::2])  # type: ignore[union-attr]


async def test_nan_is_kept(history: MessageHistory) -> None:
    """Pydantic AI's adapter would make null of it."""
    await history.save(
        [ModelResponse(parts=[ToolCallPart("f", {"x": float("nan"), "y": -float("inf")}, "c")], timestamp=AT)]
    )
    (part,) = (await history.load())[0].parts
    assert repr(part.args) == "{'x': nan, 'y': -inf}"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", every_kind())
async def test_each_kind_is_told_in_typed_parts(name: str, history: MessageHistory, store: SQLSessionStore) -> None:
    """What others read is the text, the calls, the results: nothing that has a part of its own is raw."""
    raw = {"nothing", "the provider's own tools", "files", "a file"}
    await history.save([every_kind()[name]])
    parts = [part for message in await store.get_messages("s") for part in message.parts]
    assert (name in raw) == any(isinstance(part, RawPart) for part in parts)


async def test_what_has_a_text_is_everybodys(history: MessageHistory, store: SQLSessionStore) -> None:
    """Transcripts, summaries and structured values too, and an odd image takes none of it away."""
    names = ("a summary", "a spoken prompt", "a spoken answer", "odd content")
    await history.save([every_kind()[name] for name in names])
    messages = await store.get_messages("s")
    assert [(message.role, message.get_text_content()) for message in messages] == [
        ("system", "So far: nothing."),
        ("user", "Hi"),
        ("assistant", "No."),
        ("user", '{"page":[1,null]}'),
    ]
    assert [(image.media_type, image.url) for image in messages[-1].get_images()] == [
        ("image/jpeg", "data:image/png;base64,aGk="),
        ("image/png", "https://example.org/a.png"),
    ]


async def test_images_are_everybodys(history: MessageHistory, store: SQLSessionStore) -> None:
    """As URLs, or as bytes in the standard base64 that providers take."""
    await history.save([every_kind()["files"]])
    images = (await store.get_messages("s"))[0].get_images()
    assert [(image.media_type, image.url, image.data, image.detail) for image in images] == [
        ("image/png", "https://example.org/a.png", None, "auto"),
        ("image/webp", "https://example.org/b", None, "auto"),
        ("image/png", None, "aGk=", "auto"),
        ("image/png", None, "+/8A", "low"),
    ]


async def test_results_are_told_as_text(history: MessageHistory, store: SQLSessionStore) -> None:
    """Values as JSON, files by what they are, failures as errors."""
    await history.save([every_kind()["results"]])
    results = [part for message in await store.get_messages("s") for part in message.get_tool_results()]
    assert [(part.output, part.error) for part in results] == [
        ("rain", None),
        ('{"z":[1,2.5,null],"a":{"deep":true}}', None),
        ("null", None),
        ("Here:\n(image/png)", None),
        ("5", None),
        ("", "no such city"),
    ]


@pytest.mark.parametrize(
    ("content", "output"),
    [
        ([IMAGE, {"city": "Oslo", "t": 3}], '(image/png)\n{"city":"Oslo","t":3}'),
        (["see", IMAGE, [1, None], True], "see\n(image/png)\n[1,null]\ntrue"),
        ({"city": "Oslo", "map": [IMAGE]}, '{"city":"Oslo","map":["(image/png)"]}'),
        (IMAGE, "(image/png)"),
        ([{"kind": "binary", "n": float("nan")}, "\ud83d", "\ude00"], None),
        ([{"x": "\ud83d\ude00"}, IMAGE, {"kind": "audio-url", "x": float("inf")}], None),
    ],
)
async def test_what_stands_beside_a_file_keeps_its_keys(
    content: Any, output: str | None, history: MessageHistory, store: SQLSessionStore
) -> None:
    """As JSON, for others; it comes back as it was, and is the text that it is changed to."""
    given = ModelRequest([ToolReturnPart("get", content, "t", timestamp=AT)], timestamp=AT)
    await history.save([given])
    [message] = await store.get_messages("s")
    [result] = message.get_tool_results()
    assert output is None or result.output == output
    assert exactly(await history.load()) == exactly([given])
    result.output = "edited"
    await store.replace_message(message)
    assert (await history.load())[0].parts[0].content == "edited"  # type: ignore[union-attr]


async def test_tokens(history: MessageHistory, store: SQLSessionStore) -> None:
    """Those of reasoning too, wherever a version has them."""
    await history.save([every_kind()["an answer"]])
    usage = {"output_tokens": 3, "cache_read_tokens": 5, "cache_write_tokens": 4, "output_reasoning_tokens": 2}
    await store.save_messages(messages_of_items([{"kind": "response", "parts": [], "usage": usage}], "s"))
    info = await store.get_session("s")
    assert info is not None
    assert (info.input_tokens, info.output_tokens, info.reasoning_tokens) == (7, 5, 3)
    assert (info.cache_read_tokens, info.cache_write_tokens) == (5, 4)


async def test_a_limit_counts_model_messages(history: MessageHistory) -> None:
    """A request is whole, however many messages it is; one that answers a call doesn't begin a history."""
    long = ModelRequest(parts=[*(SystemPromptPart(f"{n}", timestamp=AT) for n in range(9)), UserPromptPart("Hi")])
    await history.save([every_kind()["a prompt"], long])
    assert await history.load(1) == [long]
    assert len(await history.load(2)) == 2
    kinds = every_kind()
    await history.save([kinds["calls"], kinds["results"], kinds["an answer"]])
    assert [await history.load(limit) for limit in (1, 2, 4)] == [(await history.load())[1:]] * 3


async def test_a_limit_leaves_the_latest_turn(history: MessageHistory, store: SQLSessionStore) -> None:
    """However long that is; and a history that no prompt begins is one."""
    kinds = every_kind()
    turn = [kinds["a prompt"], *[kinds["calls"], kinds["results"]] * 20, kinds["an answer"]]
    await history.save([kinds["a prompt"], kinds["an answer"], *turn])
    for limit in (1, 5, 40, 43):
        assert await history.load(limit) == turn
    assert len(await history.load(44)) == 44
    assert await history.load(0) == []
    other = MessageHistory(store, "t")
    given = [kinds["an answer"], kinds["calls"], kinds["results"]]
    await other.save(given)
    assert [await other.load(limit) for limit in (0, 1, 3, 9)] == [[], given, given, given]


async def test_a_limit_may_be_more_than_there_can_be(history: MessageHistory) -> None:
    await history.save([every_kind()["a prompt"], every_kind()["an answer"]])
    assert len(await history.load(sys.maxsize)) == 2


@pytest.mark.parametrize(
    "part", [SpeechPart(speaker="user", transcript="Hi"), CompactionPart("So far: nothing.")], ids=["speech", "summary"]
)
async def test_what_else_a_limited_history_may_begin_with(history: MessageHistory, part: ModelRequestPart) -> None:
    """What the user said aloud, and the summary that an application wrote."""
    given: list[ModelMessage] = [ModelRequest(parts=[part]), every_kind()["an answer"]]
    await history.save([*given, *given])
    assert await history.load(3) == given


async def test_messages_may_be_given_one_by_one(history: MessageHistory) -> None:
    """None of them is lost on the way."""
    given = list(every_kind().values())
    one_by_one: Any = (message for message in given)
    await history.save(one_by_one)
    assert exactly(await history.load()) == exactly(given)


async def test_an_edit_shows(history: MessageHistory, store: SQLSessionStore) -> None:
    """What the store's user changes in a message is what is loaded, in the form that the message has."""
    await history.save([every_kind()["a system prompt"], every_kind()["calls"], every_kind()["results"]])
    for message in await store.get_messages("s"):
        for part in message.parts:
            if isinstance(part, OurText):
                part.content = "edited"
            elif isinstance(part, OurCall):
                part.arguments = {"edited": True}
            elif isinstance(part, ToolResultPart):
                part.output, part.error = "edited", None
        await store.replace_message(message)
    prompts, calls, results = await history.load()
    assert [part.content for part in (*prompts.parts, *results.parts)] == ["edited"] * 9  # type: ignore[union-attr]
    assert [part.args_as_dict() for part in calls.parts[1:]] == [{"edited": True}] * 5  # type: ignore[union-attr]
    assert isinstance(prompts, ModelRequest)
    assert prompts.instructions == "Hey"


async def test_what_lost_its_beginning_is_a_request_of_its_own(history: MessageHistory, store: SQLSessionStore) -> None:
    """It joins neither an answer nor what others wrote; what follows joins it."""
    await history.save([every_kind()["a system prompt"], every_kind()["an answer"]])
    first, second, answer = await store.get_messages("s")
    await store.delete_messages("s")
    by_others = foreign("user", OurText(content="x"))
    await store.save_messages([answer, second, by_others, first])
    loaded = await history.load()
    assert [[type(part) for part in message.parts] for message in loaded] == [
        [TextPart],
        [UserPromptPart],
        [UserPromptPart],
        [SystemPromptPart],
    ]
    assert loaded[0] == every_kind()["an answer"]


async def test_what_becomes_another_message_is_told_as_that(history: MessageHistory, store: SQLSessionStore) -> None:
    """The form of a message that is no longer of its kind is left alone."""
    await history.save([every_kind()["an answer"], every_kind()["an answer"], every_kind()["a prompt"]])
    first, second, prompt = await store.get_messages("s")
    first.role = "user"
    second.parts.append(ToolResultPart(tool_call_id="c", tool_name="f", output="x"))
    prompt.role = "system"
    for message in (first, second, prompt):
        await store.replace_message(message)
    assert [[part.part_kind for part in message.parts] for message in await history.load()] == [
        ["user-prompt"],
        ["text"],
        ["tool-return"],
        ["system-prompt"],
    ]


async def test_times_are_kept(history: MessageHistory, store: SQLSessionStore) -> None:
    """Those of a request's parts and of responses are the messages'; what is no time with a zone, or none, isn't."""
    await history.save([every_kind()["a system prompt"], every_kind()["an answer"]])
    assert [message.created_at for message in await store.get_messages("s")] == [AT] * 3
    items: list[dict[str, Any]] = [
        {"kind": "request", "parts": [{"part_kind": "hologram"}], "timestamp": AT.isoformat()},
        {"kind": "request", "parts": [{"part_kind": "system-prompt", "content": "", "timestamp": "2026-01-02"}]},
        {"kind": "response", "parts": [], "timestamp": "soon"},
    ]
    times = [message.created_at for message in messages_of_items(items, "s")]
    assert times[0] == AT < times[1] <= times[2]


def foreign(role: Any, *parts: Any, **fields: Any) -> Message:
    """Return a message that somebody else wrote."""
    return Message(session_id="s", role=role, parts=list(parts), **fields)


FOREIGN = [
    foreign("system", OurText(content="Be brief.")),
    foreign("developer", OurText(content="Really.")),
    foreign("user", OurText(content="Look:"), ImagePart(media_type="image/png", data="+/8A", detail="high")),
    foreign("user", OurText(content="Hi"), RawPart(data={"type": "video"}), UnknownPart(type="scent", data=1)),
    foreign("user", ImagePart(media_type="image/*", url="https://example.org/a"), OurText(content="")),
    foreign("user", ImagePart(media_type="image/png", data="no base64")),
    foreign(
        "assistant",
        ReasoningPart(content="hm", signature="s"),
        ReasoningPart(content="", signature="e"),
        OurText(content="I look."),
        model="m",
        provider="p",
        usage={"prompt_tokens": 3, "completion_tokens": 2},
    ),
    foreign("assistant", OurCall(tool_call_id="c1", tool_name="f", arguments={"n": 1})),
    foreign("assistant", OurCall(tool_call_id="c2", tool_name="g", arguments={})),
    foreign("tool", ToolResultPart(tool_call_id="c2", tool_name="", output="two")),
    foreign("tool", ToolResultPart(tool_call_id="c1", tool_name="f", output="", error="bad")),
    foreign("assistant", ImagePart(media_type="image/png", data="aGk="), RawPart(data=5)),
    foreign("assistant", RawPart(data={"type": "web_search_call"})),
    foreign("tool", OurText(content="said by a tool")),
]


async def test_what_others_wrote_is_loaded_as_model_messages(history: MessageHistory, store: SQLSessionStore) -> None:
    """Text, images, reasoning, calls and results; calls in one response and their results behind it."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_messages(FOREIGN)
    loaded = await history.load()
    ModelMessagesTypeAdapter.dump_json(loaded)
    kinds = [[type(part) for part in message.parts] for message in loaded]
    assert kinds == [
        [SystemPromptPart],
        [SystemPromptPart],
        [UserPromptPart],
        [UserPromptPart],
        [UserPromptPart],
        [ThinkingPart, TextPart, ToolCallPart, ToolCallPart],
        [ToolReturnPart, ToolReturnPart],
        [kinds[7][0]],
        [UserPromptPart],
    ]
    (url,) = loaded[4].parts[0].content  # type: ignore[union-attr]
    assert (url.url, url.media_type) == ("https://example.org/a", "image/*")
    look, image = loaded[2].parts[0].content  # type: ignore[union-attr]
    assert (look, image.data, image.vendor_metadata) == ("Look:", b"\xfb\xff\x00", {"detail": "high"})
    assert loaded[3].parts[0].content == "Hi"  # type: ignore[union-attr]
    answer, results = loaded[5], loaded[6]
    assert isinstance(answer, ModelResponse)
    assert (answer.model_name, answer.usage.input_tokens, answer.usage.output_tokens) == ("m", 3, 2)
    thinking = answer.parts[0]
    assert isinstance(thinking, ThinkingPart)
    assert (thinking.signature, thinking.provider_name) == ("s", "p")
    assert [(p.tool_name, p.tool_call_id, p.content) for p in results.parts] == [  # type: ignore[union-attr]
        ("g", "c2", "two"),
        ("f", "c1", "Error: bad\n"),
    ]
    assert loaded[8].parts[0].content == "said by a tool"  # type: ignore[union-attr]


async def test_an_agent_goes_on_from_what_others_wrote(history: MessageHistory, store: SQLSessionStore) -> None:
    """And its messages are what it made of them, behind those of others."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_messages(FOREIGN)
    result = await Agent(TestModel()).run("Go on", message_history=await history.load())
    before = await store.get_messages("s")
    await history.save(result.new_messages())
    assert (await store.get_messages("s"))[: len(before)] == before
    assert (await history.load())[-2:] == result.new_messages()


async def test_a_kind_that_comes_later_is_told_as_text(history: MessageHistory, store: SQLSessionStore) -> None:
    """Messages that a newer version wrote don't keep the history from being loaded, nor are they changed."""
    later = {"part_kind": "hologram", "content": "x"}
    prompt = {"part_kind": "user-prompt", "content": "Hi", "timestamp": AT.isoformat()}
    items: list[dict[str, Any]] = [
        {"kind": "request", "parts": [prompt, later]},
        {"kind": "response", "parts": [{"part_kind": "text", "content": "Yes"}, later]},
        {"kind": "response", "parts": [later]},
        {"kind": "seance", "parts": []},
    ]
    await store.save_messages_anyway(messages_of_items(items, "s"))
    loaded = await history.load()
    assert [message.parts[0].content for message in loaded] == ["Hi", "Yes"]  # type: ignore[union-attr]


async def test_a_compaction_is_what_is_loaded(history: MessageHistory, store: SQLSessionStore) -> None:
    """Its summary, if it has one, and what it doesn't cover, whole."""
    for _ in range(8):
        await history.save([every_kind()["a prompt"], every_kind()["an answer"]])
    kinds = every_kind()
    for number in range(8):
        await history.save([ModelRequest(parts=[UserPromptPart(f"{number}")]), kinds["an answer"]])
    await store.conversation("s").compact(Truncate(preserve_recent_turns=2))
    loaded = await history.load()
    assert [m.parts[0].content for m in loaded if isinstance(m, ModelRequest)] == ["6", "7"]  # type: ignore[union-attr]


async def test_clearing(history: MessageHistory, store: SQLSessionStore) -> None:
    """Also where nothing is; what was there may be saved again."""
    await history.clear()
    assert await history.load() == []
    await history.save([])
    assert await store.get_session("s") is None
    await history.save([every_kind()["a prompt"]])
    await history.clear()
    assert await history.load() == []
    await history.save([every_kind()["a prompt"]])
    assert len(await history.load()) == 1


async def test_equal_messages_in_one_batch_are_all_kept(history: MessageHistory) -> None:
    given: list[ModelMessage] = [every_kind()["a prompt"], every_kind()["an answer"]] * 2
    await history.save(given)
    assert await history.load() == given


async def test_first_messages_at_once(store: SQLSessionStore) -> None:
    """Twelve runs in a session that isn't there: each batch stays together."""
    batches = [
        [
            ModelRequest(parts=[SystemPromptPart(f"{n}"), UserPromptPart(f"{n}")]),
            ModelResponse(parts=[TextPart(f"{n}")]),
        ]
        for n in range(12)
    ]
    await asyncio.gather(*(MessageHistory(store, "s").save(batch) for batch in batches))
    said = [part.content for message in await MessageHistory(store, "s").load() for part in message.parts]  # type: ignore[union-attr]
    assert said == [each for each in said[::3] for _ in range(3)]
    assert sorted(said[::3], key=int) == [f"{n}" for n in range(12)]


async def test_in_the_callers_transaction(store: SQLSessionStore) -> None:
    """On a bound store it is the caller who commits."""
    async with store.engine.connect() as connection:
        bound = MessageHistory(store.bind(connection), "s")
        await bound.save([every_kind()["a prompt"]])
        assert len(await bound.load()) == 1
        await connection.rollback()
    assert await MessageHistory(store, "s").load() == []


async def test_from_url(empty_database_url: str) -> None:
    """With tables that are made, and an engine that is closed; without them the error says what to do."""
    async with MessageHistory.from_url("s", url=empty_database_url, create_tables=True) as history:
        assert history.session_id == "s"
        await history.save([every_kind()["a prompt"]])
    async with MessageHistory.from_url("s", url=empty_database_url) as history:
        assert len(await history.load()) == 1


async def test_what_is_refused(history: MessageHistory, store: SQLSessionStore) -> None:
    """With its place and a remedy, and nothing is stored."""
    fine = every_kind()["a prompt"]
    wrong: Any = {"kind": "request"}
    with pytest.raises(InvalidValue, match=r"messages\[1\]: is dict.*new_messages"):
        await history.save([fine, wrong])
    with pytest.raises(InvalidValue, match="can't dump"):
        await history.save([fine, ModelRequest(parts=[ToolReturnPart("f", "x", "c", metadata=object())])])
    with pytest.raises(InvalidValue, match="limit"):
        await history.load(-1)
    assert await store.get_session("s") is None


@pytest.mark.parametrize("name", ["pydantic_ai", "pydantic_ai.messages"])
def test_without_the_extra_the_remedy_is_one_line(name: str) -> None:
    program = f"import sys; sys.modules[{name!r}] = None; import sessionstore.adapters.pydantic_ai"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith("pip install 'sessionstore[pydantic-ai]'")
