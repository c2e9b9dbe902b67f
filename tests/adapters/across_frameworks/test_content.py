"""What each framework's messages hold, as the others are told it: the table in docs/frameworks.md."""

from itertools import permutations
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    ToolCallPart,
    ToolReturnPart,
)

from sessionstore import SQLSessionStore
from sessionstore.adapters.langchain import SQLChatMessageHistory
from sessionstore.adapters.openai_agents import SQLSession
from sessionstore.adapters.pydantic_ai import MessageHistory

from .speakers import SPEAKERS, Said

DATA = "data:image/png;base64,+/8A"
URL = "https://example.org/a.png"

OPENAI: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Look"},
            {"type": "input_image", "image_url": DATA, "detail": "low"},
            {"type": "input_image", "image_url": URL, "detail": "auto"},
            {"type": "input_file", "file_id": "file_1"},
        ],
    },
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"n": 1}'},
    {"type": "function_call_output", "call_id": "c", "output": "Error: bad\n"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {
        "type": "message",
        "role": "assistant",
        "id": "msg_1",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Done.", "annotations": []}],
    },
]
PYDANTIC: list[Any] = [
    {
        "kind": "request",
        "parts": [
            {"part_kind": "system-prompt", "content": "Be brief."},
            {
                "part_kind": "user-prompt",
                "content": [
                    "Look",
                    {
                        "kind": "binary",
                        "data": "-_8A",
                        "media_type": "image/png",
                        "vendor_metadata": {"detail": "low"},
                    },
                    {"kind": "image-url", "url": URL},
                    {"kind": "audio-url", "url": "https://example.org/a.mp3"},
                ],
            },
        ],
    },
    {
        "kind": "response",
        "parts": [
            {"part_kind": "thinking", "content": "hm", "signature": "s"},
            {"part_kind": "tool-call", "tool_name": "f", "tool_call_id": "c", "args": {"n": 1}},
        ],
    },
    {
        "kind": "request",
        "parts": [{"part_kind": "retry-prompt", "tool_name": "f", "tool_call_id": "c", "content": "bad"}],
    },
    {
        "kind": "response",
        "parts": [
            {"part_kind": "builtin-tool-call", "tool_name": "search", "tool_call_id": "b"},
            {"part_kind": "text", "content": "Done."},
        ],
    },
]
LANGCHAIN = [
    SystemMessage("Be brief."),
    HumanMessage(
        [
            {"type": "text", "text": "Look"},
            {"type": "image_url", "image_url": {"url": DATA, "detail": "low"}},
            {"type": "image", "url": URL},
            {"type": "audio", "base64": "aGk=", "mime_type": "audio/wav"},
        ]
    ),
    AIMessage(
        [{"type": "thinking", "thinking": "hm", "signature": "s"}],
        tool_calls=[{"name": "f", "args": {"n": 1}, "id": "c", "type": "tool_call"}],
    ),
    ToolMessage("bad", tool_call_id="c", status="error", artifact={"x": 1}),
    AIMessage([{"type": "server_tool_call", "id": "b"}, {"type": "text", "text": "Done."}]),
]
SAID: list[Said] = [
    ("system", "Be brief."),
    ("user", "Look"),
    ("image", DATA),
    ("image", URL),
    ("reasoning", "hm"),
    ("call", "c", "f", '{"n": 1}'),
    ("result", "c", "Error: bad\n"),
    ("assistant", "Done."),
]


async def _write(name: str, store: SQLSessionStore) -> None:
    if name == "openai":
        await SQLSession("s", store=store).add_items(OPENAI)
    elif name == "pydantic":
        await MessageHistory(store, "s").save(ModelMessagesTypeAdapter.validate_python(PYDANTIC))
    else:
        await SQLChatMessageHistory("s", store=store).aadd_messages(LANGCHAIN)


@pytest.mark.parametrize(("source", "target"), list(permutations(SPEAKERS, 2)))
async def test_what_is_told(source: str, target: str, store: SQLSessionStore) -> None:
    """Everything but what the target has no words for: others' reasoning in OpenAI items, and what is raw."""
    await _write(source, store)
    expected = [said for said in SAID if target != "openai" or said[0] != "reasoning"]
    assert await SPEAKERS[target].history(store) == expected


@pytest.mark.parametrize("source", SPEAKERS)
async def test_the_detail_of_an_image(source: str, store: SQLSessionStore) -> None:
    """It is told by all, each in its way."""
    await _write(source, store)
    items: list[Any] = await SQLSession("s", store=store).get_items()
    details = [block["detail"] for item in items for block in item.get("content", []) if "detail" in block]
    assert details[:1] == ["low"]
    loaded = await MessageHistory(store, "s").load()
    prompts = [part for message in loaded for part in message.parts if part.part_kind == "user-prompt"]
    assert prompts[0].content[1].vendor_metadata == {"detail": "low"}  # type: ignore[union-attr]
    human = (await SQLChatMessageHistory("s", store=store).aget_messages())[1]
    assert human.content[1]["image_url"]["detail"] == "low"  # type: ignore[index]


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("source", ["openai", "pydantic"])
async def test_arguments_that_are_no_json(source: str, answered: bool, store: SQLSessionStore) -> None:
    """They are told as the text that they are; to LangChain as an invalid call, if nobody has answered it."""
    if source == "openai":
        items: list[Any] = [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{oops"}]
        items += [{"type": "function_call_output", "call_id": "c", "output": "no"}] if answered else []
        await SQLSession("s", store=store).add_items([{"role": "user", "content": "Hi"}, *items])
    else:
        given: list[ModelMessage] = [ModelResponse(parts=[ToolCallPart("f", "{oops", "c")])]
        given += [ModelRequest(parts=[ToolReturnPart("f", "no", "c")])] if answered else []
        await MessageHistory(store, "s").save(given)
    called = next(m for m in await MessageHistory(store, "s").load() if m.kind == "response").parts[0]
    assert isinstance(called, ToolCallPart)
    assert (called.args, called.tool_call_id) == ("{oops", "c")
    calls: list[Any] = [i for i in await SQLSession("s", store=store).get_items() if i.get("type") == "function_call"]
    assert [call["arguments"] for call in calls] == ["{oops"]
    message = next(m for m in await SQLChatMessageHistory("s", store=store).aget_messages() if m.type == "ai")
    assert isinstance(message, AIMessage)
    assert [call["args"] for call in message.tool_calls] == ([{}] if answered else [])
    assert [(call["args"], call["id"]) for call in message.invalid_tool_calls] == ([] if answered else [("{oops", "c")])


async def test_arguments_that_were_mended_are_told(store: SQLSessionStore) -> None:
    """The text that they were no longer is."""
    await SQLSession("s", store=store).add_items(
        [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{oops"}]
    )
    [message] = await store.get_messages("s")
    message.get_tool_calls()[0].arguments = {"n": 1}
    await store.replace_message(message)
    [response] = await MessageHistory(store, "s").load()
    assert response.parts[0].args == {"n": 1}  # type: ignore[union-attr]
    [told] = await SQLChatMessageHistory("s", store=store).aget_messages()
    assert isinstance(told, AIMessage)
    assert (told.tool_calls[0]["args"], told.invalid_tool_calls) == ({"n": 1}, [])
