"""The content blocks of Anthropic's messages, as parts and back.

`block_part` takes what the API has and `block` gives that back exactly; what the typed fields
don't hold is in the part's ``metadata["anthropic"]``.
"""

from collections.abc import Callable
from typing import Any, cast

from sessionstore.formats.pieces import read_arguments, read_output, write_arguments, write_output
from sessionstore.formats.residue import fill, keep, kept_in, template_of
from sessionstore.models import ImagePart, Part, RawPart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart

KEY = "anthropic"

_TEXT = {"type": "text", "text": ""}
_THINKING = {"type": "thinking", "thinking": "", "signature": ""}
_TOOL_USE: dict[str, Any] = {"type": "tool_use", "id": "", "name": "", "input": {}}
_TOOL_RESULT = {"type": "tool_result", "tool_use_id": "", "content": ""}
_BASE64: dict[str, Any] = {"type": "image", "source": {"type": "base64", "media_type": "", "data": ""}}
_URL: dict[str, Any] = {"type": "image", "source": {"type": "url", "url": ""}}


# Reading


def block_part(given: Any) -> Part:
    """Return a block as a part; kinds that have no part of their own as raw ones."""
    if not isinstance(given, dict):
        return RawPart(data=given)
    entry = cast("dict[str, Any]", given)
    kind: Any = entry.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    return (read(entry) if read else None) or RawPart(data=entry)


def _read_text(given: dict[str, Any]) -> Part | None:
    text = given.get("text")
    if not isinstance(text, str):
        return None
    return TextPart(content=text, metadata=keep(KEY, template_of(given, ("text",)), _TEXT))


def _read_thinking(given: dict[str, Any]) -> Part | None:
    text, signature = given.get("thinking"), given.get("signature")
    if not isinstance(text, str) or not isinstance(signature, str | None):
        return None
    metadata = keep(KEY, template_of(given, ("thinking", "signature")), _THINKING)
    return ReasoningPart(content=text, signature=signature, metadata=metadata)


def _read_call(given: dict[str, Any]) -> Part | None:
    call_id, name = given.get("id"), given.get("name")
    if not (isinstance(call_id, str) and isinstance(name, str)):
        return None
    arguments, noted = read_arguments(given.get("input"))
    template = template_of(given, ("id", "name")) | ({"input": noted} if "input" in given else {})
    metadata = keep(KEY, template, _TOOL_USE)
    return ToolCallPart(tool_call_id=call_id, tool_name=name, arguments=arguments, metadata=metadata)


def _read_result(given: dict[str, Any]) -> Part | None:
    call_id = given.get("tool_use_id")
    if not isinstance(call_id, str):
        return None
    text, noted = read_output(given.get("content"))
    template = template_of(given, ("tool_use_id",)) | ({"content": noted} if "content" in given else {})
    output, error = ("", text) if given.get("is_error") is True else (text, None)
    metadata = keep(KEY, template, _TOOL_RESULT)
    return ToolResultPart(tool_call_id=call_id, tool_name="", output=output, error=error, metadata=metadata)


def _read_image(given: dict[str, Any]) -> Part | None:
    match given.get("source"):
        case {"type": "base64", "media_type": str(media_type), "data": str(data)} as source:
            part, typed, plain = ImagePart(media_type=media_type, data=data), ("media_type", "data"), _BASE64
        case {"type": "url", "url": str(url)} as source:
            part, typed, plain = ImagePart(media_type="image/*", url=url), ("url",), _URL
        case _:
            return None
    form = template_of(cast("dict[str, Any]", source), typed)
    part.metadata = keep(KEY, given | {"source": form}, plain)
    return part


_READERS: dict[str, Callable[[dict[str, Any]], Part | None]] = {
    "text": _read_text,
    "thinking": _read_thinking,
    "tool_use": _read_call,
    "tool_result": _read_result,
    "image": _read_image,
}


# Writing


def block(part: Part) -> Any:
    """Return the block of a part of any known type."""
    template = kept_in(part.metadata, KEY)
    match part:
        case TextPart():
            return fill(template or _TEXT, {"text": part.content})
        case ReasoningPart():
            return fill(template or _THINKING, {"thinking": part.content, "signature": part.signature})
        case ToolCallPart():
            template = template or _TOOL_USE
            arguments = write_arguments(part.arguments, template.get("input", {}))
            return fill(template, {"id": part.tool_call_id, "name": part.tool_name, "input": arguments})
        case ToolResultPart():
            return _result(part, template or _TOOL_RESULT)
        case ImagePart():
            return _image(part, template)
        case _:
            return cast("RawPart", part).data


def _result(part: ToolResultPart, template: dict[str, Any]) -> dict[str, Any]:
    text = part.output if part.error is None else "\n".join(filter(None, (part.error, part.output)))
    ours = {"tool_use_id": part.tool_call_id, "content": write_output(text, template.get("content"))}
    if part.error is not None:
        ours["is_error"] = True
    elif template.get("is_error") is True:
        ours["is_error"] = False
    return fill(template, ours)


def _image(part: ImagePart, template: dict[str, Any] | None) -> dict[str, Any]:
    plain = _URL if part.data is None else _BASE64
    source = {"url": part.url} if part.data is None else {"media_type": part.media_type, "data": part.data}
    form: Any = (template or plain).get("source")
    same_kind = isinstance(form, dict) and cast("dict[str, Any]", form).get("type") == plain["source"]["type"]
    return fill(template if template and same_kind else plain, {"source": source})
