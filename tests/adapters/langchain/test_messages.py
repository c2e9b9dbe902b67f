"""Messages come back as they were added, and those of others as LangChain's."""

import subprocess
import sys
from typing import Any

import pytest
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from sessionstore import (
    ImagePart,
    Message,
    RawPart,
    ReasoningPart,
    SessionInfo,
    SQLSessionStore,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
)
from sessionstore.adapters.langchain import SQLChatMessageHistory
from sessionstore.compaction import Truncate
from sessionstore.errors import InvalidValue, SchemaOutOfDate
from sessionstore.formats.langchain import messages_of_items

from .build import EVERY_KIND, exactly


@pytest.fixture
def history(store: SQLSessionStore) -> SQLChatMessageHistory:
    """A history whose session isn't stored yet."""
    return SQLChatMessageHistory("s", store=store)


def test_it_is_a_history(history: SQLChatMessageHistory) -> None:
    """Of LangChain's type."""
    assert isinstance(history, BaseChatMessageHistory)
    assert history.session_id == "s"


async def test_every_kind_comes_back_exactly(history: SQLChatMessageHistory, store: SQLSessionStore) -> None:
    """Also one by one, in another order, and with what others wrote behind it."""
    given = list(EVERY_KIND.values())
    await history.aadd_messages(given)
    loaded = await history.aget_messages()
    assert exactly(loaded) == exactly(given)
    assert [type(message) for message in loaded] == [type(message) for message in given]
    other = SQLChatMessageHistory("t", store=store)
    for message in reversed(given):
        await other.aadd_messages([message])
        await store.save_message(Message(session_id="t", role="user", parts=[TextPart(content="meanwhile")]))
    loaded = await other.aget_messages()
    assert exactly(loaded[::2]) == exactly(given[::-1])
    assert all(message.content == "meanwhile" for message in loaded[1::2])


@pytest.mark.parametrize(
    ("name", "role", "kinds"),
    [
        ("system", "system", [TextPart]),
        ("developer", "developer", [TextPart]),
        ("human", "user", [TextPart]),
        ("empty", "user", []),
        ("blocks", "user", [TextPart] * 2 + [ImagePart] * 5 + [RawPart]),
        ("ai", "assistant", [TextPart]),
        ("reasoning beside", "assistant", [ReasoningPart, TextPart]),
        ("thinking", "assistant", [ReasoningPart, ReasoningPart, TextPart, RawPart, ToolCallPart]),
        ("calls", "assistant", [ToolCallPart, ToolCallPart]),
        ("result", "tool", [ToolResultPart]),
        ("named", "tool", [ToolResultPart]),
        ("blocks of a result", "tool", [ToolResultPart]),
        ("texts of a result", "tool", [ToolResultPart]),
        ("failure", "tool", [ToolResultPart]),
        ("chat", "assistant", [TextPart]),
        ("chat of a user", "user", [TextPart]),
        ("function", "tool", [RawPart]),
        ("chunk", "user", [TextPart]),
        ("chunk with calls", "assistant", [TextPart, ToolCallPart]),
    ],
)
async def test_each_kind_is_told_in_typed_parts(
    name: str, role: str, kinds: list[type], history: SQLChatMessageHistory, store: SQLSessionStore
) -> None:
    """What others read is the text, the images, the calls, the results."""
    await history.aadd_messages([EVERY_KIND["calls"], EVERY_KIND[name]])
    message = (await store.get_messages("s"))[1]
    assert (message.role, [type(part) for part in message.parts]) == (role, kinds)
    for result in message.get_tool_results():
        text = "rain\nsun" if name in ("blocks of a result", "texts of a result") else "rain"
        expected = ("", "no such city") if name == "failure" else (text, None)
        assert (result.tool_name, result.tool_call_id, result.output, result.error) == ("weather", "call_1", *expected)


async def test_models_and_tokens_are_the_sessions(history: SQLChatMessageHistory, store: SQLSessionStore) -> None:
    await history.aadd_messages([EVERY_KIND["ai"], EVERY_KIND["ai"]])
    assert [(message.model, message.provider) for message in await store.get_messages("s")] == [("gpt-5", "openai")] * 2
    info = await store.get_session("s")
    assert info is not None
    assert (info.input_tokens, info.output_tokens, info.total_tokens) == (14, 4, 18)
    assert (info.cache_read_tokens, info.cache_write_tokens, info.reasoning_tokens) == (6, 2, 2)


async def test_an_edit_shows(history: SQLChatMessageHistory, store: SQLSessionStore) -> None:
    """What the store's user changes in a message is what is loaded, in the form that the message has."""
    names = ("human", "thinking", "failure")
    await history.aadd_messages([EVERY_KIND[name] for name in names])
    for message in await store.get_messages("s"):
        for part in message.parts:
            if isinstance(part, TextPart):
                part.content = "edited"
            elif isinstance(part, ToolCallPart):
                part.arguments = {"edited": True}
            elif isinstance(part, ToolResultPart):
                part.output, part.error = "edited", None
        await store.replace_message(message)
    human, answer, result = await history.aget_messages()
    assert (human.content, human.name, human.id) == ("edited", "Ann", "m1")
    assert isinstance(answer, AIMessage)
    assert answer.tool_calls[0]["args"] == {"edited": True}
    assert answer.content[2] == {"type": "text", "text": "edited", "index": 2}
    assert result.content == "edited"
    changed = (await store.get_messages("s"))[0]
    changed.role = "system"
    await store.replace_message(changed)
    assert (await history.aget_messages())[0] == SystemMessage("edited")


def foreign(role: Any, *parts: Any, **fields: Any) -> Message:
    """Return a message that somebody else wrote."""
    return Message(session_id="s", role=role, parts=list(parts), **fields)


FOREIGN = [
    foreign("system", TextPart(content="Be brief.")),
    foreign("developer", TextPart(content="Really.")),
    foreign("user", TextPart(content="Look:"), ImagePart(media_type="image/png", data="aGk=", detail="high")),
    foreign("user", TextPart(content="Hi"), RawPart(data={"type": "video"}), UnknownPart(type="scent", data=1)),
    foreign("user", TextPart(content="")),
    foreign(
        "assistant",
        ReasoningPart(content="hm", signature="s"),
        TextPart(content="I look."),
        model="m",
        usage={"prompt_tokens": 3, "completion_tokens": 2},
    ),
    foreign("assistant", ToolCallPart(tool_call_id="c1", tool_name="f", arguments={"n": 1})),
    foreign("assistant", ToolCallPart(tool_call_id="c2", tool_name="g", arguments={})),
    foreign("tool", ToolResultPart(tool_call_id="c2", tool_name="", output="two")),
    foreign("tool", ToolResultPart(tool_call_id="c1", tool_name="f", output="", error="bad")),
    foreign("assistant", ImagePart(media_type="image/png", data="aGk="), RawPart(data=5)),
    foreign("tool", TextPart(content="said by a tool")),
]
LOADED: list[BaseMessage] = [
    SystemMessage("Be brief."),
    SystemMessage("Really.", additional_kwargs={"__openai_role__": "developer"}),
    HumanMessage(
        [
            {"type": "text", "text": "Look:"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "high"}},
        ]
    ),
    HumanMessage("Hi"),
    AIMessage(
        "I look.",
        additional_kwargs={"reasoning_content": "hm"},
        response_metadata={"model_name": "m"},
        usage_metadata={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
        tool_calls=[
            {"name": "f", "args": {"n": 1}, "id": "c1", "type": "tool_call"},
            {"name": "g", "args": {}, "id": "c2", "type": "tool_call"},
        ],
    ),
    ToolMessage("two", tool_call_id="c2", name="g"),
    ToolMessage("Error: bad\n", tool_call_id="c1", name="f", status="error"),
    HumanMessage("said by a tool"),
]


async def test_what_others_wrote_is_loaded_as_messages(history: SQLChatMessageHistory, store: SQLSessionStore) -> None:
    """Text, images, reasoning, calls and results; calls in one message and their results behind it."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_messages(FOREIGN)
    loaded = await history.aget_messages()
    assert exactly(loaded) == exactly(LOADED)
    before = await store.get_messages("s")
    await history.aadd_messages(loaded)
    assert (await store.get_messages("s"))[: len(before)] == before
    assert exactly(await history.aget_messages()) == exactly(LOADED) * 2


async def test_a_kind_that_comes_later_is_told_as_text(history: SQLChatMessageHistory, store: SQLSessionStore) -> None:
    """Messages that a newer version wrote don't keep the history from being loaded, nor are they changed."""
    items: list[dict[str, Any]] = [
        {"type": "human", "data": {"content": "Hi", "id": {"of": "another kind"}}},
        {"type": "seance", "data": {"content": "Boo"}},
        {"type": "ai", "data": {"content": "Yes", "tool_calls": [{"name": "f", "args": [], "id": "c"}]}},
        {"type": "tool", "data": {"content": "two", "tool_call_id": "c", "status": "maybe"}},
    ]
    messages = messages_of_items(items, "s")
    await store.save_messages_anyway(messages)
    loaded = await history.aget_messages()
    assert [message.content for message in loaded] == ["Hi", "Yes", "two"]
    assert [message.parts for message in await store.get_messages("s")] == [message.parts for message in messages]


async def test_a_compaction_is_what_is_loaded(history: SQLChatMessageHistory, store: SQLSessionStore) -> None:
    for number in range(8):
        await history.aadd_messages([HumanMessage(f"{number}"), EVERY_KIND["ai"]])
    await store.conversation("s").compact(Truncate(preserve_recent_turns=2))
    assert [m.content for m in await history.aget_messages() if isinstance(m, HumanMessage)] == ["6", "7"]


async def test_adding_twice_adds_twice(history: SQLChatMessageHistory) -> None:
    """Who says the same thing again has said it again: LangChain's messages have no ids of their own."""
    await history.aadd_messages([HumanMessage("Hi"), EVERY_KIND["ai"]])
    await history.aadd_messages([HumanMessage("Hi"), EVERY_KIND["ai"]])
    assert exactly(await history.aget_messages()) == exactly([HumanMessage("Hi"), EVERY_KIND["ai"]] * 2)


async def test_clearing(history: SQLChatMessageHistory, store: SQLSessionStore) -> None:
    """Also where nothing is."""
    await history.aclear()
    assert await history.aget_messages() == []
    await history.aadd_messages([])
    assert await store.get_session("s") is None
    await history.aadd_messages([HumanMessage("Hi")])
    await history.aclear()
    assert await history.aget_messages() == []


async def test_in_the_callers_transaction(store: SQLSessionStore) -> None:
    """On a bound store it is the caller who commits."""
    async with store.engine.connect() as connection:
        bound = SQLChatMessageHistory("s", store=store.bind(connection))
        await bound.aadd_messages([HumanMessage("Hi")])
        assert len(await bound.aget_messages()) == 1
        await connection.rollback()
    assert await SQLChatMessageHistory("s", store=store).aget_messages() == []


def test_from_url_without_an_event_loop(empty_database_url: str) -> None:
    """With tables that are made; without them the error says what to do."""
    history = SQLChatMessageHistory.from_url("s", url=empty_database_url)
    with pytest.raises(SchemaOutOfDate):
        history.add_user_message("Hi")
    history.close()
    history = SQLChatMessageHistory.from_url("s", url=empty_database_url, create_tables=True)
    history.add_user_message("Hi")
    assert history.messages == [HumanMessage("Hi")]
    history.close()


async def test_messages_may_be_given_one_by_one(history: SQLChatMessageHistory) -> None:
    """None of them is lost on the way."""
    one_by_one: Any = (message for message in EVERY_KIND.values())
    await history.aadd_messages(one_by_one)
    assert exactly(await history.aget_messages()) == exactly(list(EVERY_KIND.values()))


class Sigh(BaseMessage):
    """A message that `messages_from_dict` doesn't know."""

    type: str = "sigh"


async def test_what_is_refused(history: SQLChatMessageHistory, store: SQLSessionStore) -> None:
    """With its place, and nothing is stored."""
    wrong: Any = "Hi"
    with pytest.raises(InvalidValue, match=r"messages\[1\]: is str"):
        await history.aadd_messages([HumanMessage("Hi"), wrong])
    with pytest.raises(InvalidValue, match=r"messages\[0\]\['data'\]\['artifact'\].*object"):
        await history.aadd_messages([ToolMessage("x", tool_call_id="c", artifact=object())])
    with pytest.raises(InvalidValue, match=r"messages\[1\]: LangChain can't make a Sigh .*sigh"):
        await history.aadd_messages([HumanMessage("Hi"), Sigh("Oh")])
    assert await store.get_session("s") is None


@pytest.mark.parametrize("name", ["langchain_core", "langchain_core.chat_history"])
def test_without_the_extra_the_remedy_is_one_line(name: str) -> None:
    program = f"import sys; sys.modules[{name!r}] = None; import sessionstore.adapters.langchain"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith("pip install 'sessionstore[langchain]'")
