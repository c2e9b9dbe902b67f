"""Hypothesis strategies: model messages of Pydantic AI and messages of LangChain, as they dump them, more or less."""

from typing import Any

from hypothesis import strategies as st

from tests.formats.strategies import arguments, call_ids, json_values, mostly, objects, shaped, texts

_times = mostly("2026-01-02T03:04:05.678901Z", "2026-01-02T03:04:05", "0001-01-01T00:00:00Z", None)
_data = mostly("aGk=", "_w-_", "+/==", "no base64")

# Pydantic AI

_content = mostly(
    texts,
    shaped(kind=mostly("text-content"), content=texts, metadata=json_values),
    shaped(
        kind=mostly("image-url"),
        url=mostly("https://example.org/a.png", "data:image/png;base64,aGk="),
        media_type=mostly("image/png", None),
        vendor_metadata=mostly(None, {"detail": "low"}),
    ),
    shaped(kind=mostly("binary"), data=_data, media_type=mostly("image/png", "application/pdf"), identifier=texts),
    shaped(kind=mostly("document-url"), url=texts),
)
_returned = mostly(texts, objects, st.lists(_content, max_size=3), None, 5)
_request_parts = mostly(
    shaped(part_kind=mostly("system-prompt"), content=texts, timestamp=_times),
    shaped(part_kind=mostly("user-prompt"), content=mostly(texts, st.lists(_content, max_size=3)), timestamp=_times),
    shaped(
        part_kind=mostly("tool-return"),
        tool_name=mostly("f"),
        content=_returned,
        tool_call_id=call_ids,
        outcome=mostly("success", "failed", "retried"),
        timestamp=_times,
    ),
    shaped(part_kind=mostly("retry-prompt"), tool_name=mostly("f", None), content=_returned, tool_call_id=call_ids),
    shaped(part_kind=mostly("retry-feedback"), content=_returned),
)
_response_parts = mostly(
    shaped(part_kind=mostly("text"), content=texts, id=texts),
    shaped(part_kind=mostly("thinking"), content=texts, signature=mostly(texts, None)),
    shaped(
        part_kind=mostly("tool-call"), tool_name=mostly("f"), args=mostly(arguments, objects), tool_call_id=call_ids
    ),
    shaped(part_kind=mostly("file"), content=_content),
    shaped(part_kind=mostly("builtin-tool-call"), args=objects),
)
_usage = mostly(
    shaped(
        input_tokens=mostly(5, 2**70),
        output_tokens=mostly(0),
        output_reasoning_tokens=mostly(1),
        details=mostly({"reasoning_tokens": 2}),
    )
)
model_messages = mostly(
    shaped(kind=mostly("request"), parts=mostly(st.lists(_request_parts, max_size=3)), timestamp=_times, run_id=texts),
    shaped(
        kind=mostly("response"),
        parts=mostly(st.lists(_response_parts, max_size=3)),
        usage=_usage,
        model_name=mostly("m", None),
        timestamp=_times,
    ),
).filter(lambda item: isinstance(item, dict))

# LangChain

_blocks = mostly(
    texts,
    shaped(type=mostly("text"), text=texts),
    shaped(type=mostly("image_url"), image_url=mostly({"url": "data:image/png;base64,aGk="}, "https://x")),
    shaped(type=mostly("image"), base64=_data, mime_type=mostly("image/png")),
    shaped(type=mostly("image"), source_type=mostly("base64"), data=_data, mime_type=mostly("image/png")),
    shaped(type=mostly("image"), url=mostly("https://example.org/a.png", "data:image/png;base64,aGk=")),
    shaped(type=mostly("thinking"), thinking=texts, signature=mostly(texts)),
    shaped(type=mostly("reasoning"), reasoning=texts),
)
_calls = mostly(shaped(name=mostly("f"), args=mostly(objects), id=mostly(call_ids, None), type=mostly("tool_call")))
_fields: dict[str, Any] = {
    "content": mostly(texts, st.lists(_blocks, max_size=3)),
    "additional_kwargs": mostly({}, {"reasoning_content": "hm"}, {"__openai_role__": "developer"}),
    "response_metadata": mostly({}, {"model_name": "m", "model_provider": "p"}),
    "name": mostly(None),
    "id": mostly(None, "run-1"),
}
_answers = shaped(
    **_fields,
    tool_calls=mostly(st.lists(_calls, max_size=2)),
    usage_metadata=mostly(None, {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
)
_results = shaped(**_fields, tool_call_id=call_ids, artifact=json_values, status=mostly("success", "error"))
langchain_messages = mostly(
    shaped(type=mostly("human", "system", "HumanMessageChunk"), data=mostly(shaped(**_fields))),
    shaped(type=mostly("ai", "AIMessageChunk"), data=mostly(_answers)),
    shaped(type=mostly("tool"), data=mostly(_results)),
    shaped(type=mostly("chat"), data=mostly(shaped(**_fields, role=mostly("user", "critic", "tool")))),
    shaped(type=mostly("function", "remove"), data=objects),
).filter(lambda item: isinstance(item, dict))
