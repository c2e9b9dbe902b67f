"""Messages of every kind for the tests, and a chat model that says what it is told to say."""

import json
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    ToolMessage,
    messages_to_dict,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool

_CALL: dict[str, Any] = {"name": "weather", "args": {"city": "Oslo"}, "id": "call_1", "type": "tool_call"}

EVERY_KIND: dict[str, BaseMessage] = {
    "system": SystemMessage("Be brief."),
    "developer": SystemMessage("Be brief.", additional_kwargs={"__openai_role__": "developer"}),
    "human": HumanMessage("NUL \0, a lone \ud800, a line \u2028", name="Ann", id="m1", additional_kwargs={"x": [1.5]}),
    "empty": HumanMessage(""),
    "blocks": HumanMessage(
        [
            {"type": "text", "text": "Look:", "cache_control": {"type": "ephemeral"}},
            "and",
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
            {"type": "image", "source_type": "base64", "data": "aGk=", "mime_type": "image/png"},
            {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
            {"type": "image", "url": "https://example.org/a.png"},
            {"type": "file", "file_id": "file_1"},
        ]
    ),
    "ai": AIMessage(
        "No.",
        id="run-1",
        response_metadata={"model_name": "gpt-5", "model_provider": "openai", "finish_reason": "stop"},
        usage_metadata={
            "input_tokens": 7,
            "output_tokens": 2,
            "total_tokens": 9,
            "input_token_details": {"cache_read": 3, "cache_creation": 1},
            "output_token_details": {"reasoning": 1},
        },
    ),
    "reasoning beside": AIMessage("No.", additional_kwargs={"reasoning_content": "hm", "refusal": None}),
    "thinking": AIMessage(
        [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "reasoning", "reasoning": "so"},
            {"type": "text", "text": "I look.", "index": 2},
            {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}},
        ],
        tool_calls=[_CALL],
    ),
    "calls": AIMessage(
        "",
        tool_calls=[_CALL, {**_CALL, "id": None, "args": {"x": float("inf"), "n": 2**70}}],
        invalid_tool_calls=[{"name": "f", "args": "{oops", "id": "c", "error": "no JSON", "type": "invalid_tool_call"}],
    ),
    "result": ToolMessage("rain", tool_call_id="call_1", artifact={"mm": [1, None]}),
    "named": ToolMessage("rain", tool_call_id="call_1", name="weather"),
    "blocks of a result": ToolMessage(
        [{"type": "text", "text": "rain"}, {"type": "text", "text": "sun"}], tool_call_id="call_1"
    ),
    "texts of a result": ToolMessage(["rain", {"type": "text", "text": "sun"}], tool_call_id="call_1"),
    "failure": ToolMessage("no such city", tool_call_id="call_1", status="error"),
    "chat": ChatMessage("Hm.", role="critic"),
    "chat of a user": ChatMessage("Hi", role="user"),
    "function": FunctionMessage("rain", name="weather"),
    "chunk": HumanMessageChunk("Hi"),
    "chunk with calls": AIMessageChunk(
        "I lo",
        tool_call_chunks=[
            {"name": "weather", "args": '{"city": "Os', "id": "c", "index": 0, "type": "tool_call_chunk"}
        ],
    ),
}


def exactly(messages: Sequence[BaseMessage]) -> list[str]:
    """Return what tells messages apart that differ, as LangChain dumps them."""
    return [json.dumps(item) for item in messages_to_dict(messages)]


class Scripted(BaseChatModel):
    """A chat model that gives these answers, one a request, and keeps what it was asked."""

    answers: list[AIMessage]
    asked: list[list[BaseMessage]] = []  # noqa: RUF012 - pydantic copies it

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.asked.append(messages)
        return ChatResult(generations=[ChatGeneration(message=self.answers[len(self.asked) - 1])])


@tool
def weather(city: str) -> dict[str, Any]:
    """Tell the weather in a city."""
    return {"city": city, "rain": False}


def calls(*cities: str) -> AIMessage:
    """Return an answer that asks for the weather in cities."""
    return AIMessage(
        "I look.",
        tool_calls=[
            {"name": "weather", "args": {"city": city}, "id": f"call_{city}", "type": "tool_call"} for city in cities
        ],
        usage_metadata={"input_tokens": 5, "output_tokens": 3, "total_tokens": 8},
    )
