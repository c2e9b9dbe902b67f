"""The parts of Pydantic AI's model messages, as parts of ours and back.

`response_part` takes what its type adapter dumps, and `written_response_part` gives that back exactly; what the typed
fields don't hold is in the part's ``metadata["pydantic_ai"]``. A request's part is a message of ours, whose metadata
has its form: `request_part` and `written_request_part`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, cast

from sessionstore.formats.pieces import read_arguments, read_content, unparsed, write_arguments, write_content
from sessionstore.formats.pydantic_ai_content import KEY, content_part, form_of, written_content_part
from sessionstore.formats.pydantic_ai_returns import read_return, write_return
from sessionstore.formats.residue import fill, kept_in, template_of
from sessionstore.models import ImagePart, Part, RawPart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from sessionstore.models.message import Role

SYSTEM_PROMPT, USER_PROMPT, TOOL_RETURN = "system-prompt", "user-prompt", "tool-return"

_TRANSCRIPT = "transcript"
_TEXTS: dict[str, tuple[Role, str]] = {
    SYSTEM_PROMPT: ("system", "content"),
    "compaction": ("system", "content"),
    "speech": ("user", _TRANSCRIPT),
}
"""The parts of requests that are one text: the role that says it, and the key that holds it."""

_FAILED = ("failed", "denied", "interrupted", "retried")


class Piece(NamedTuple):
    """A part of a request, as a message has it."""

    role: Role
    parts: list[Part]
    template: dict[str, Any] | None
    """The part's form; `None` for one that is kept raw."""


# Parts of a response


def response_part(given: Any) -> Part:
    """Return a part of a response; kinds that have no part of their own as raw ones."""
    if not isinstance(given, dict):
        return RawPart(data=given)
    entry = cast("dict[str, Any]", given)
    kind: Any = entry.get("part_kind")
    read = _RESPONSE_PARTS.get(kind) if isinstance(kind, str) else None
    return (read(entry) if read else None) or RawPart(data=entry)


def _read_text(given: dict[str, Any]) -> Part | None:
    text = given.get("content")
    return TextPart(content=text, metadata=form_of(given, "content")) if isinstance(text, str) else None


def _read_speech(given: dict[str, Any]) -> Part | None:
    text = given.get(_TRANSCRIPT)
    return TextPart(content=text, metadata=form_of(given, _TRANSCRIPT)) if isinstance(text, str) else None


def _read_thinking(given: dict[str, Any]) -> Part | None:
    text, signature = given.get("content"), given.get("signature")
    if not isinstance(text, str) or not isinstance(signature, str | None):
        return None
    return ReasoningPart(content=text, signature=signature, metadata=form_of(given, "content", "signature"))


def _read_call(given: dict[str, Any]) -> Part | None:
    name, call_id = given.get("tool_name"), given.get("tool_call_id")
    if not (isinstance(name, str) and isinstance(call_id, str)):
        return None
    arguments, noted = read_arguments(given.get("args"))
    form = template_of(given, ("tool_name", "tool_call_id")) | ({"args": noted} if "args" in given else {})
    metadata = unparsed(given.get("args")) | {KEY: form}
    return ToolCallPart(tool_call_id=call_id, tool_name=name, arguments=arguments, metadata=metadata)


def _read_file(given: dict[str, Any]) -> Part | None:
    part = content_part(given.get("content"))
    if not isinstance(part, ImagePart):
        return None
    part.metadata = {KEY: given | {"content": kept_in(part.metadata, KEY)}}
    return part


_RESPONSE_PARTS: dict[str, Callable[[dict[str, Any]], Part | None]] = {
    "text": _read_text,
    "speech": _read_speech,
    "thinking": _read_thinking,
    "tool-call": _read_call,
    "file": _read_file,
}


def written_response_part(part: Part) -> Any:
    """Return the part of a response that a part of any type but a result's tells."""
    form = kept_in(part.metadata, KEY) or {}
    match part:
        case TextPart():
            key = _TRANSCRIPT if form.get("part_kind") == "speech" else "content"
            return fill(form or {"content": "", "part_kind": "text"}, {key: part.content})
        case ReasoningPart():
            plain = {"content": "", "part_kind": "thinking"}
            return fill(form or plain, {"content": part.content, "signature": part.signature})
        case ToolCallPart():
            form = form or {"tool_name": "", "args": {}, "tool_call_id": "", "part_kind": "tool-call"}
            arguments = write_arguments(part.arguments, form.get("args"))
            return fill(form, {"tool_name": part.tool_name, "tool_call_id": part.tool_call_id, "args": arguments})
        case ImagePart():
            file = part.model_copy(update={"metadata": {KEY: form.get("content")}})
            return (form or {"part_kind": "file"}) | {"content": written_content_part(file)}
        case _:
            return cast("RawPart", part).data


# Parts of a request


def request_part(given: Any) -> Piece:
    """Return a part of a request with the role that it has; kinds that have no part of their own as raw ones."""
    raw = Piece("system", [RawPart(data=given)], None)
    if not isinstance(given, dict):
        return raw
    entry = cast("dict[str, Any]", given)
    match entry:
        case {"part_kind": str(kind)} if kind in _TEXTS:
            role, key = _TEXTS[kind]
            text: Any = entry.get(key)
            return Piece(role, [TextPart(content=text)], template_of(entry, (key,))) if isinstance(text, str) else raw
        case {"part_kind": "user-prompt"}:
            parts = read_content(entry.get("content"), content_part)
            return raw if parts is None else Piece("user", parts, template_of(entry, ("content",)))
        case {"part_kind": "tool-return" | "retry-prompt", "tool_name": str(name), "tool_call_id": str(call_id)}:
            text, noted = read_return(entry.get("content"))
            failed = entry["part_kind"] == "retry-prompt" or entry.get("outcome") in _FAILED
            output, error = ("", text) if failed else (text, None)
            part = ToolResultPart(tool_call_id=call_id, tool_name=name, output=output, error=error)
            return Piece("tool", [part], template_of(entry, ("tool_name", "tool_call_id")) | {"content": noted})
        case {"part_kind": "retry-prompt" | "retry-feedback"}:
            text, noted = read_return(entry.get("content"))
            return Piece("user", [TextPart(content=text)], template_of(entry, ()) | {"content": noted})
        case _:
            return raw


def written_request_part(role: Role, parts: Sequence[Part], form: dict[str, Any] | None) -> Any:
    """Return the part of a request; `None` when the message has been changed to what isn't one of its kind."""
    kind = (form or {}).get("part_kind")
    match role, parts:
        case "system", [RawPart() as part] if form is None:
            return part.data
        case _, [TextPart() as part] if form is not None and kind in _TEXTS and role == _TEXTS[kind][0]:
            return fill(form, {_TEXTS[kind][1]: part.content})
        case "user", [TextPart() as part] if form is not None and kind in ("retry-prompt", "retry-feedback"):
            return fill(form, {"content": write_return(part.content, form.get("content"))})
        case "user", _ if form is not None and kind == USER_PROMPT and _is_content(parts):
            return fill(form, {"content": write_content(parts, form.get("content"), written_content_part)})
        case "tool", [ToolResultPart() as part] if form is not None and kind in (TOOL_RETURN, "retry-prompt"):
            text = part.output if part.error is None else "\n".join(filter(None, (part.error, part.output)))
            content = write_return(text, form.get("content"))
            return fill(form, {"tool_name": part.tool_name, "tool_call_id": part.tool_call_id, "content": content})
        case _:
            return None


def _is_content(parts: Iterable[Part]) -> bool:
    return all(isinstance(part, TextPart | ImagePart | RawPart) for part in parts)
