"""Messages in the chat format that OpenAI's API made common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessionstore import jsontext

if TYPE_CHECKING:
    from sessionstore.models.message import Message
    from sessionstore.models.parts import ImagePart, ToolCallPart, ToolResultPart


def one(message: Message) -> dict[str, Any]:
    """Return the message without its tool results, but for a tool's message, which is its first result."""
    calls = message.get_tool_calls()
    results = message.get_tool_results()
    text = message.get_text_content()
    if message.role == "tool" and results:
        return _result(results[0])
    if message.role == "assistant" and calls:
        return {"role": "assistant", "content": text or None, "tool_calls": [_call(call) for call in calls]}
    if message.role == "user" and message.has_images():
        texts = [{"type": "text", "text": text}] if text else []
        return {"role": "user", "content": [*texts, *(_image(image) for image in message.get_images())]}
    return {"role": message.role, "content": text}


def all_of(message: Message) -> list[dict[str, Any]]:
    """Return the message and, behind it, its tool results; only those where it holds nothing else to send."""
    results = [_result(result) for result in message.get_tool_results()]
    has_more = message.get_text_content() or message.has_images() or message.get_tool_calls()
    if results and (message.role == "tool" or not has_more):
        return results
    return [one(message), *results]


def _call(call: ToolCallPart) -> dict[str, Any]:
    function = {"name": call.tool_name, "arguments": jsontext.dumps(call.arguments, "arguments")}
    return {"id": call.tool_call_id, "type": "function", "function": function}


def _result(result: ToolResultPart) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": result.tool_call_id, "content": result_text(result)}


def result_text(result: ToolResultPart) -> str:
    """Return what a model is told of a tool's result: its output, behind its error if it has one."""
    return result.output if result.error is None else f"Error: {result.error}\n{result.output}"


def _image(image: ImagePart) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": image_url(image), "detail": image.detail}}


def image_url(image: ImagePart) -> str:
    """Return the image as a URL; one that is held as base64 as a ``data:`` URL."""
    return image.url if image.url is not None else f"data:{image.media_type};base64,{image.data}"
