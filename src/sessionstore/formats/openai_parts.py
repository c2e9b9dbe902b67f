"""The pieces of OpenAI chat messages, as parts and back: content blocks, tool calls, a tool's output.

Each `…_part` function takes what the API has and each of its counterparts gives that back
exactly; what the typed fields don't hold is in the part's ``metadata["openai_chat"]``.
"""

from typing import Any, cast

from sessionstore.formats.pieces import image_part, read_arguments, read_output, unparsed, write_arguments
from sessionstore.formats.residue import WHOLE, fill, keep, kept_in, template_of
from sessionstore.models import ImagePart, Part, RawPart, TextPart, ToolCallPart, ToolResultPart
from sessionstore.models.llm_format import image_url

KEY = "openai_chat"

_TEXT = {"type": "text", "text": ""}
_IMAGE = {"type": "image_url", "image_url": {"url": "", "detail": ""}}
_CALL = {"id": "", "type": "function", "function": {"name": "", "arguments": "{}"}}


# Content blocks


def block_part(given: Any) -> Part:
    """Return a block of a message's content as a part; kinds that have no part of their own as raw ones."""
    match given:
        case {"type": "text", "text": str(text)}:
            template = template_of(cast("dict[str, Any]", given), ("text",))
            return TextPart(content=text, metadata=keep(KEY, template, _TEXT))
        case {"type": "image_url", "image_url": {"url": str(url), **options}} if isinstance(
            detail := options.get("detail", "auto"), str
        ):
            template = cast("dict[str, Any]", given) | {"image_url": template_of(given["image_url"], ("url", "detail"))}
            part = image_part(url, detail)
            part.metadata = keep(KEY, template, _IMAGE)
            return part
        case _:
            return RawPart(data=given)


def block(part: Part) -> Any:
    """Return the content block of a text, an image or a raw part."""
    template = kept_in(part.metadata, KEY)
    match part:
        case TextPart():
            return fill(template or _TEXT, {"text": part.content})
        case ImagePart():
            return fill(template or _IMAGE, {"image_url": {"url": image_url(part), "detail": part.detail}})
        case _:
            return cast("RawPart", part).data


# Tool calls


def call_part(given: Any) -> ToolCallPart | RawPart:
    """Return an entry of `tool_calls` as a part; what isn't a function's call with an id as a raw one."""
    match given:
        case {"id": str(call_id), "function": {"name": str(name), **rest}} if _is_function(given):
            function = template_of(given["function"], ("name",))
        case _:
            return RawPart(data=given, metadata={KEY: WHOLE})
    arguments, noted = read_arguments(rest.get("arguments"))
    if "arguments" in function:
        function["arguments"] = noted
    template = template_of(cast("dict[str, Any]", given), ("id",)) | {"function": function}
    metadata = unparsed(rest.get("arguments")) | keep(KEY, template, _CALL)
    return ToolCallPart(tool_call_id=call_id, tool_name=name, arguments=arguments, metadata=metadata)


def call(part: ToolCallPart | RawPart) -> Any:
    """Return the entry of `tool_calls` of a part."""
    if isinstance(part, RawPart):
        return part.data
    template = kept_in(part.metadata, KEY) or _CALL
    function: Any = template.get("function")
    noted: Any = cast("dict[str, Any]", function).get("arguments", "{}") if isinstance(function, dict) else "{}"
    function = {"name": part.tool_name, "arguments": write_arguments(part.arguments, noted)}
    return fill(template, {"id": part.tool_call_id, "function": function})


def is_call(part: Part) -> bool:
    """Whether the part stands among a message's `tool_calls`."""
    return isinstance(part, ToolCallPart) or (isinstance(part, RawPart) and part.metadata.get(KEY) is WHOLE)


def _is_function(given: dict[str, Any]) -> bool:
    return given.get("type", "function") == "function"


# Tools' output


def result_parts(item: dict[str, Any], tools: dict[str, str]) -> list[Part]:
    """Return a tool's message as results, one for each call it answers; the first one has the output.

    `tools` tells the names of the tools by the ids of their calls.
    """
    call_ids: Any = [item["tool_call_id"]] if "tool_call_id" in item else item.get("tool_call_ids")
    if not isinstance(call_ids, list) or not all(isinstance(call_id, str) for call_id in cast("list[Any]", call_ids)):
        return []
    name = item["name"] if isinstance(item.get("name"), str) else ""
    output, _ = read_output(item.get("content"))
    return [
        ToolResultPart(tool_call_id=call_id, tool_name=tools.get(call_id, name), output="" if index else output)
        for index, call_id in enumerate(cast("list[str]", call_ids))
    ]
