"""The items of OpenAI's Responses API, by kind, as parts and back.

Each kind that has typed parts has a reader and a writer. A reader gives role, parts and the item's
template, or `None` for an item whose keys aren't as the API has them. A writer gives the item
of such parts back, or `None` when they have been changed to what isn't one item of that kind.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sessionstore.formats.pieces import (
    image_part,
    read_arguments,
    read_content,
    read_output,
    unparsed,
    unparsed_of,
    write_arguments,
    write_content,
    write_output,
)
from sessionstore.formats.residue import fill, keep, kept_in, template_of
from sessionstore.models import ImagePart, Part, RawPart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from sessionstore.models.llm_format import image_url, result_text
from sessionstore.models.message import Role

KEY = "openai_responses"
CUSTOM_CALL, CUSTOM_OUTPUT = "custom_tool_call", "custom_tool_call_output"

_INPUT_TEXT = {"type": "input_text", "text": ""}
_OUTPUT_TEXT = {"type": "output_text", "text": ""}
_IMAGE = {"type": "input_image", "image_url": "", "detail": ""}
_SUMMARY = {"type": "summary_text", "text": ""}
_MESSAGE_ROLES: tuple[Role, ...] = ("user", "assistant", "system", "developer")
_BLOCK_TEXTS = {"input_text": "text", "output_text": "text", "refusal": "refusal"}
"""The kinds of content that are text, and the key that holds it."""


class Read(NamedTuple):
    """What an item holds, and its form."""

    role: Role
    parts: list[Part]
    template: dict[str, Any]


# Messages


def _read_message(item: dict[str, Any], _: dict[str, str]) -> Read | None:
    role: Any = item.get("role")
    parts = read_content(item.get("content"), block_part) if role in _MESSAGE_ROLES else None
    return None if parts is None else Read(role, parts, template_of(item, ("role", "content")))


def _write_message(role: Role, parts: Sequence[Part], template: dict[str, Any]) -> dict[str, Any] | None:
    if role not in _MESSAGE_ROLES or not all(isinstance(part, TextPart | ImagePart | RawPart) for part in parts):
        return None
    content = write_content(parts, template.get("content"), lambda part: block(part, role))
    return fill(template, {"role": role, "content": content})


def block_part(given: Any) -> Part:
    """Return a block of a message's content as a part; kinds that have no part of their own as raw ones."""
    if not isinstance(given, dict):
        return RawPart(data=given)
    entry = cast("dict[str, Any]", given)
    kind: Any = entry.get("type")
    key = _BLOCK_TEXTS.get(kind) if isinstance(kind, str) else None
    if key and isinstance(entry.get(key), str):
        return TextPart(content=entry[key], metadata={KEY: template_of(entry, (key,))})
    url, detail = entry.get("image_url"), entry.get("detail", "auto")
    if kind == "input_image" and isinstance(url, str) and isinstance(detail, str):
        part = image_part(url, detail)
        part.metadata = keep(KEY, template_of(entry, ("image_url", "detail")), _IMAGE)
        return part
    return RawPart(data=entry)


def block(part: Part, role: Role) -> Any:
    """Return the content block of a text, an image or a raw part, in a message of the role."""
    match part:
        case TextPart():
            template = kept_in(part.metadata, KEY) or (_OUTPUT_TEXT if role == "assistant" else _INPUT_TEXT)
            return fill(template, {"refusal" if template.get("type") == "refusal" else "text": part.content})
        case ImagePart():
            template = kept_in(part.metadata, KEY) or _IMAGE
            return fill(template, {"image_url": image_url(part), "detail": part.detail})
        case _:
            return cast("RawPart", part).data


# Tool calls and their outputs


def _read_call(item: dict[str, Any], tools: dict[str, str]) -> Read | None:
    call_id, name = item.get("call_id"), item.get("name")
    if not (isinstance(call_id, str) and isinstance(name, str)):
        return None
    template, metadata = template_of(item, ("call_id", "name")), unparsed(item.get("arguments"))
    if item["type"] == CUSTOM_CALL:
        if not isinstance(item.get("input"), str):
            return None
        arguments, template["input"] = {"input": item["input"]}, ""
    else:
        arguments, noted = read_arguments(item.get("arguments"))
        if "arguments" in item:
            template["arguments"] = noted
    tools[call_id] = name
    call = ToolCallPart(tool_call_id=call_id, tool_name=name, arguments=arguments, metadata=metadata)
    return Read("assistant", [call], template)


def _write_call(_: Role, parts: Sequence[Part], template: dict[str, Any]) -> dict[str, Any] | None:
    match parts:
        case [ToolCallPart() as part]:
            ours: dict[str, Any] = {"call_id": part.tool_call_id, "name": part.tool_name}
        case _:
            return None
    if template.get("type") != CUSTOM_CALL:
        return fill(template, ours | {"arguments": write_arguments(part.arguments, template.get("arguments", "{}"))})
    match part.arguments:
        case {"input": str(text), **rest} if not rest:
            return fill(template, ours | {"input": text})
        case _:
            return None


def _read_output(item: dict[str, Any], tools: dict[str, str]) -> Read | None:
    call_id = item.get("call_id")
    if not isinstance(call_id, str):
        return None
    output, noted = read_output(item.get("output"))
    template = template_of(item, ("call_id",))
    if "output" in item:
        template["output"] = noted
    return Read(
        "tool", [ToolResultPart(tool_call_id=call_id, tool_name=tools.get(call_id, ""), output=output)], template
    )


def _write_output(_: Role, parts: Sequence[Part], template: dict[str, Any]) -> dict[str, Any] | None:
    match parts:
        case [ToolResultPart() as part]:
            output = write_output(result_text(part), template.get("output"))
            return fill(template, {"call_id": part.tool_call_id, "output": output})
        case _:
            return None


# Reasoning


def _read_reasoning(item: dict[str, Any], _: dict[str, str]) -> Read | None:
    """Read each summary as a part, or, without summaries, each text of the content; the first one is signed."""
    source, kind = ("summary", "summary_text") if item.get("summary") else ("content", "reasoning_text")
    found: Any = item.get(source) or []
    if not isinstance(found, list):
        return None
    blocks = cast("list[Any]", found)
    given_signature = item.get("encrypted_content")
    signature = given_signature if isinstance(given_signature, str) else None
    typed = {source: bool(blocks), "encrypted_content": signature is not None}
    template = template_of(item, [key for key, is_typed in typed.items() if is_typed])
    if not blocks:
        return Read("assistant", [ReasoningPart(content="", signature=signature)], template)
    parts: list[Part] = []
    for given in blocks:
        match given:
            case {"type": str(given_kind), "text": str(text)} if given_kind == kind:
                form = template_of(cast("dict[str, Any]", given), ("text",))
            case _:
                return None
        metadata = keep(KEY, form, _SUMMARY) if text else {KEY: form}  # an empty part without a form is no block
        parts.append(ReasoningPart(content=text, signature=None if parts else signature, metadata=metadata))
    return Read("assistant", parts, template)


def _write_reasoning(_: Role, parts: Sequence[Part], template: dict[str, Any]) -> dict[str, Any] | None:
    reasoning = [part for part in parts if isinstance(part, ReasoningPart)]
    if not reasoning or len(reasoning) < len(parts):
        return None
    ours: dict[str, Any] = {}
    blocks = [_reasoning_block(part) for part in reasoning if part.content or kept_in(part.metadata, KEY)]
    if blocks:
        ours["content" if blocks[0].get("type") == "reasoning_text" else "summary"] = blocks
    signature = reasoning[0].signature
    if signature is not None or isinstance(template.get("encrypted_content"), str):
        ours["encrypted_content"] = signature
    return fill(template, ours)


def _reasoning_block(part: ReasoningPart) -> dict[str, Any]:
    return fill(kept_in(part.metadata, KEY) or _SUMMARY, {"text": part.content})


# By kind

_Reader = Callable[[dict[str, Any], dict[str, str]], Read | None]
_Writer = Callable[[Role, Sequence[Part], dict[str, Any]], dict[str, Any] | None]

KINDS: Mapping[Any, tuple[_Reader, _Writer]] = {
    "message": (_read_message, _write_message),
    "function_call": (_read_call, _write_call),
    CUSTOM_CALL: (_read_call, _write_call),
    "function_call_output": (_read_output, _write_output),
    CUSTOM_OUTPUT: (_read_output, _write_output),
    "reasoning": (_read_reasoning, _write_reasoning),
}
"""How items of each kind are read and written; all others are kept whole."""


def kind_of_item(item: Mapping[str, Any]) -> str:
    """Return an item's kind; one that doesn't say is a message."""
    kind: Any = item.get("type", "message")
    return kind if isinstance(kind, str) else ""


# What other systems wrote


def foreign_items(role: Role, parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
    """Give the items that tell these parts, as the API takes them as input."""
    run: list[TextPart | ImagePart] = []
    for part in parts:
        if isinstance(part, TextPart | ImagePart):
            run.append(part)
        elif isinstance(part, ToolCallPart | ToolResultPart):
            yield from _foreign_message(role, run)
            run.clear()
            yield _foreign_call(part) if isinstance(part, ToolCallPart) else _foreign_output(part)
    yield from _foreign_message(role, run)


def message_item(role: Role, content: str | list[Any]) -> dict[str, Any]:
    """Return a message."""
    return {"role": "user" if role == "tool" else role, "content": content}


def joined(texts: Iterable[str]) -> str:
    """Return several texts as one."""
    return "\n".join(filter(None, texts))


def call_item(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """Return a function's call."""
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def output_item(call_id: str, output: str) -> dict[str, Any]:
    """Return a function's output."""
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def _foreign_message(role: Role, parts: Sequence[TextPart | ImagePart]) -> Iterator[dict[str, Any]]:
    texts = [part.content for part in parts if isinstance(part, TextPart)]
    if (
        role == "assistant" or len(texts) == len(parts) == 1
    ):  # an assistant's text blocks need ids, and it has no images
        content = joined(texts)
    else:
        content = [block(part, role) for part in parts]
    if content or texts:
        yield message_item(role, content)


def _foreign_call(part: ToolCallPart) -> dict[str, Any]:
    arguments = unparsed_of(part) or write_arguments(part.arguments)
    return call_item(part.tool_call_id, part.tool_name, arguments)


def _foreign_output(part: ToolResultPart) -> dict[str, Any]:
    return output_item(part.tool_call_id, result_text(part))
