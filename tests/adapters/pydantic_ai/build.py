"""Model messages of every kind for the tests, and agents with scripted models."""

import json
from datetime import UTC, datetime
from typing import Any

from pydantic_ai import Agent, ModelRetry
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelResponse,
    TextPart,
    ToolCallPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
_AT = {"timestamp": AT.isoformat()}
_IMAGE = {"kind": "binary", "data": "-_8A", "media_type": "image/png", "vendor_metadata": {"detail": "low"}}
_WAV = {"kind": "binary", "data": "aGk=", "media_type": "audio/wav"}
_PDF = {"kind": "binary", "data": "aGk=", "media_type": "application/pdf"}

REQUESTS: dict[str, list[dict[str, Any]]] = {
    "a prompt": [{"part_kind": "user-prompt", "content": "Hi", **_AT}],
    "an empty prompt": [{"part_kind": "user-prompt", "content": "", **_AT}],
    "a system prompt": [
        {"part_kind": "system-prompt", "content": "Be brief.", "dynamic_ref": "now", **_AT},
        {"part_kind": "user-prompt", "content": "NUL \0, a lone \ud800, a line \u2028", **_AT},
    ],
    "files": [
        {
            "part_kind": "user-prompt",
            "content": [
                "Look:",
                {"kind": "image-url", "url": "https://example.org/a.png"},
                {"kind": "image-url", "url": "https://example.org/b", "media_type": "image/webp"},
                {"kind": "image-url", "url": "data:image/png;base64,aGk=", "media_type": "image/png"},
                _IMAGE,
                _PDF,
                {"kind": "audio-url", "url": "https://example.org/a.mp3"},
                {"kind": "document-url", "url": "https://example.org/a.pdf", "force_download": True},
                {"kind": "cache-point"},
            ],
            **_AT,
        }
    ],
    "results": [
        {"part_kind": "tool-return", "tool_name": "f", "tool_call_id": "c1", "content": "rain", **_AT},
        {
            "part_kind": "tool-return",
            "tool_name": "f",
            "tool_call_id": "c2",
            "content": {"z": [1, 2.5, None], "a": {"deep": True}},
            "metadata": {"k": [1]},
            **_AT,
        },
        {"part_kind": "tool-return", "tool_name": "f", "tool_call_id": "c3", "content": None, **_AT},
        {"part_kind": "tool-return", "tool_name": "f", "tool_call_id": "c4", "content": ["Here:", _IMAGE], **_AT},
        {"part_kind": "tool-return", "tool_name": "f", "tool_call_id": "c5", "content": 5, **_AT},
        {"part_kind": "retry-prompt", "tool_name": "f", "tool_call_id": "c6", "content": "no such city", **_AT},
        {"part_kind": "user-prompt", "content": "And now?", **_AT},
    ],
    "feedback": [
        {
            "part_kind": "retry-prompt",
            "tool_call_id": "c7",
            "content": [{"type": "missing", "loc": ["a"], "msg": "Field required", "input": {"x": 1}}],
            **_AT,
        }
    ],
    "nothing": [],
    "a spoken prompt": [{"part_kind": "speech", "speaker": "user", "transcript": "Hi", "audio": _WAV}],
    "a summary": [{"part_kind": "compaction", "content": "So far: nothing.", "metadata": {"by": "us"}}],
    "odd content": [
        {
            "part_kind": "user-prompt",
            "content": [
                {
                    "kind": "structured-content",
                    "value": {"page": [1, None]},
                    "content": '{"page":[1,null]}',
                    "tag": "ui",
                },
                {"kind": "image-url", "url": "data:image/png;base64,aGk=", "media_type": "image/jpeg"},
                {"kind": "image-url", "url": "https://example.org/a.png", "vendor_metadata": {"detail": 5}},
            ],
            **_AT,
        }
    ],
}
RESPONSES: dict[str, list[dict[str, Any]]] = {
    "an answer": [{"part_kind": "text", "content": "No.", "id": "msg_1"}],
    "thinking": [
        {"part_kind": "thinking", "content": "hm", "signature": "s", "id": "rs_1", "provider_name": "anthropic"},
        {"part_kind": "thinking", "content": "", "signature": "encrypted"},
    ],
    "calls": [
        {"part_kind": "text", "content": "I look."},
        {"part_kind": "tool-call", "tool_name": "f", "tool_call_id": "c1", "args": {"city": "Oslo", "n": 2**70}},
        {"part_kind": "tool-call", "tool_name": "f", "tool_call_id": "c2", "args": '{"city": "Oslo"}'},
        {"part_kind": "tool-call", "tool_name": "f", "tool_call_id": "c3", "args": "{oops"},
        {"part_kind": "tool-call", "tool_name": "f", "tool_call_id": "c4", "args": None},
        {"part_kind": "tool-call", "tool_name": "f", "tool_call_id": "c5", "args": {"x": float("inf")}},
    ],
    "the provider's own tools": [
        {"part_kind": "builtin-tool-call", "tool_name": "web_search", "tool_call_id": "b", "args": {"q": "x"}},
        {"part_kind": "builtin-tool-return", "tool_name": "web_search", "tool_call_id": "b", "content": {"hits": 2}},
    ],
    "a spoken answer": [{"part_kind": "speech", "speaker": "assistant", "transcript": "No.", "interrupted_at_ms": 5}],
    "a file": [{"part_kind": "file", "content": _IMAGE, "id": "f_1"}, {"part_kind": "file", "content": _PDF}],
    "no parts": [],
}


def every_kind() -> dict[str, ModelMessage]:
    """Return a message of each of these."""
    items = {name: {"kind": "request", "parts": parts, "instructions": "Hey"} for name, parts in REQUESTS.items()}
    items |= {
        name: {
            "kind": "response",
            "parts": parts,
            "usage": {"input_tokens": 7, "output_tokens": 2, "details": {"reasoning_tokens": 1}},
            "model_name": "gpt-5",
            "provider_name": "openai",
            "provider_details": {"finish_reason": "stop"},
            **_AT,
        }
        for name, parts in RESPONSES.items()
    }
    return dict(zip(items, ModelMessagesTypeAdapter.validate_python(list(items.values())), strict=True))


def exactly(messages: list[ModelMessage]) -> list[str]:
    """Return what tells messages apart that differ, as Pydantic AI dumps them."""
    return [json.dumps(item) for item in ModelMessagesTypeAdapter.dump_python(messages, mode="json")]


def weather_agent() -> Agent[None, str]:
    """Return an agent that asks for the weather in two cities at once, one of them twice, and then says it."""

    def model(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        last = messages[-1]
        returned = [part for part in last.parts if part.part_kind in ("tool-return", "retry-prompt")]
        failed = [part for part in returned if "nowhere" in str(part.content)]
        if failed:
            return ModelResponse(parts=[ToolCallPart("weather", {"city": "Rome"}, "call_3")])
        if returned:
            return ModelResponse(parts=[TextPart("Dry.")])
        calls = [
            ToolCallPart("weather", {"city": "Oslo"}, "call_1"),
            ToolCallPart("weather", '{"city": "nowhere"}', "call_2"),
        ]
        return ModelResponse(parts=[TextPart("I look."), *calls])

    agent = Agent(FunctionModel(model), system_prompt="Be brief.", instructions="Say it.", retries=3)

    @agent.tool_plain
    def weather(city: str) -> dict[str, Any]:
        """Tell the weather in a city."""
        if city == "nowhere":
            raise ModelRetry("nowhere is no city")
        return {"city": city, "rain": False}

    return agent
