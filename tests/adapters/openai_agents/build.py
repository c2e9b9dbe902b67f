"""Items and sessions of the OpenAI Agents SDK for the tests."""

from typing import Any

from sessionstore import SQLSessionStore
from sessionstore.adapters.openai_agents import SQLSession

EVERY_KIND: list[Any] = [
    {"role": "user", "content": "Is it raining?"},
    {"content": "the keys the other way round", "role": "user", "type": "message"},
    {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "And here?"},
            {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"},
            {"type": "input_file", "file_id": "file_1"},
        ],
    },
    {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": "gA=",
    },
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "No.", "annotations": [], "logprobs": []}],
    },
    {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Oslo"}', "id": "fc_1"},
    {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
    {"type": "function_call", "call_id": "call_2", "name": "weather", "arguments": "{oops"},
    {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "sun"}]},
    {"type": "custom_tool_call", "call_id": "call_3", "name": "shell", "input": "ls"},
    {"type": "custom_tool_call_output", "call_id": "call_3", "output": "a.txt"},
    {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "rain"}},
    {"id": "mcp_1", "type": "mcp_call", "server_label": "s", "name": "t", "arguments": "{}", "output": None},
    {"id": "cmp_1", "type": "compaction", "encrypted_content": "gAAAA"},
    {"type": "item_reference", "id": "msg_1"},
    {"type": "invented_later", "deep": {"z": [1, 2.5, None, True, {"a": "\ud800 \0 \u2028 \U0001f986"}]}},
    {"role": "user", "content": "said twice", "id": "the same"},
    {"role": "user", "content": "said twice", "id": "the same"},
    {"nothing": "that anybody knows"},
    {},
]
"""Items of the kinds that there are, and of some that there aren't, with ids that repeat."""


def texts(*names: str) -> list[Any]:
    """Return an item for each text."""
    return [{"role": "user", "content": name} for name in names]


def said(items: list[Any]) -> list[str]:
    """Return the texts of plain items."""
    return [item["content"] for item in items]


def again(store: SQLSessionStore, session_id: str = "s", **options: Any) -> SQLSession:
    """Return the session as another process sees it."""
    return SQLSession(session_id, engine=store.engine, **options)
