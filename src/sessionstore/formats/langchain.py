"""LangChain's messages, as `message_to_dict` gives them, and each as a message of ours.

Text and images of the content, reasoning, tool calls and results become parts; other blocks are raw. What the typed
fields don't hold (ids, names, artifacts, all that a provider adds) is kept in ``metadata["langchain"]`` of the message
and its parts, so that a message comes back exactly, key order included. One that can't be told so (a message that
removes others, an old function's result) is kept whole as one `RawPart`.

Messages that came from elsewhere become human, AI, system and tool messages, calls paired with their results. Their
reasoning stands in ``additional_kwargs["reasoning_content"]``, which LangChain shows as reasoning and sends to nobody
who doesn't know it. Signatures and raw parts of other systems are left out.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeGuard, cast

from pydantic import ValidationError

from sessionstore import jsontext
from sessionstore.formats.conversations import ROLES, whole_of
from sessionstore.formats.grouping import grouped
from sessionstore.formats.langchain_blocks import KEY, block_part, call_part, written_block, written_call
from sessionstore.formats.pieces import read_content, read_output, unparsed_of, write_content, write_output
from sessionstore.formats.residue import WHOLE, fill, fits, kept_in, template_of
from sessionstore.models import (
    ImagePart,
    Message,
    Part,
    RawPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from sessionstore.models.llm_format import result_text
from sessionstore.models.message import Role
from sessionstore.models.usage import count_tokens

_ROLES: dict[str, Role] = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
_TYPES: dict[Role, str] = {"user": "human", "assistant": "ai", "system": "system", "developer": "system"}
_DEVELOPER = {"__openai_role__": "developer"}
"""How LangChain marks a system message that OpenAI is to be given as a developer's."""
_REASONING = "reasoning_content"


class Told(NamedTuple):
    """A message's dict, and the message that it tells."""

    item: dict[str, Any]
    message: Message


# Reading


def messages_of_items(items: Sequence[dict[str, Any]], session_id: str) -> list[Message]:
    """Return the messages of LangChain's; `items_of_messages` gives them back exactly.

    Raises `InvalidValue` for what JSON can't hold.
    """
    tools: dict[str, str] = {}
    return [_message(item, f"messages[{index}]", session_id, tools) for index, item in enumerate(items)]


def _message(item: dict[str, Any], place: str, session_id: str, tools: dict[str, str]) -> Message:
    """Return the message of an item in parts, or whole."""
    text = jsontext.dumps(item, place)
    message = _read(item, session_id, tools)
    if message is not None and all(fits(owner.metadata) for owner in (message, *message.parts)):
        written = _own(message)
        if written is not None and jsontext.dumps(written) == text:
            return message
    role = "tool" if item.get("type") == "function" else "system"
    return Message(session_id=session_id, role=role, parts=[RawPart(data=item)], metadata={KEY: WHOLE})


def _read(item: dict[str, Any], session_id: str, tools: dict[str, str]) -> Message | None:
    data: Any = item.get("data")
    role = _role(item.get("type"), data)
    if role is None:
        return None
    form: dict[str, Any] = template_of(data, ("content",))
    if role == "tool":
        parts = _read_result(data, form, tools)
    else:
        content = data.get("content")
        parts = [] if content == "" else read_content(content, block_part)
    if parts is None:
        return None
    if role == "assistant":
        parts = [*_read_reasoning(data, form), *parts, *_read_calls(data, form)]
        tools.update((part.tool_call_id, part.tool_name) for part in parts if isinstance(part, ToolCallPart))
    message = Message(session_id=session_id, role=role, parts=parts, metadata={KEY: {**item, "data": form}})
    about = kept_in(data, "response_metadata") or {}
    fields = {
        "model": about.get("model_name") or about.get("model"),
        "provider": about.get("model_provider"),
        "usage": _usage(data.get("usage_metadata")),
    }
    for name, value in fields.items():
        with suppress(ValidationError):  # it stays in the form, whatever it is
            setattr(message, name, value)
    return message


def _role(kind: Any, data: Any) -> Role | None:
    """Return the role of a message; `None` for one that is kept whole."""
    if not isinstance(kind, str) or not isinstance(data, dict):
        return None
    given = cast("dict[str, Any]", data)
    kind = kind.removesuffix("MessageChunk").lower()
    if kind == "system" and given.get("additional_kwargs") == _DEVELOPER:
        return "developer"
    if kind == "chat":
        own: Any = given.get("role")
        return own if own in ROLES and own not in ("tool", "assistant") else "assistant"
    return _ROLES.get(kind)


def _read_result(data: dict[str, Any], form: dict[str, Any], tools: Mapping[str, str]) -> list[Part] | None:
    call_id, name = data.get("tool_call_id"), data.get("name")
    if not isinstance(call_id, str):
        return None
    text, form["content"] = read_output(data.get("content"))
    form["tool_call_id"] = ""
    if isinstance(name, str):
        form["name"] = ""
    output, error = ("", text) if data.get("status") == "error" else (text, None)
    tool = name if isinstance(name, str) else tools.get(call_id, "")
    return [ToolResultPart(tool_call_id=call_id, tool_name=tool, output=output, error=error)]


def _read_reasoning(data: dict[str, Any], form: dict[str, Any]) -> list[Part]:
    """Return the reasoning that stands beside the content, as some providers give it."""
    match data.get("additional_kwargs"):
        case {"reasoning_content": str(text)} as given if text:
            form["additional_kwargs"] = template_of(cast("dict[str, Any]", given), (_REASONING,))
            return [ReasoningPart(content=text)]
        case _:
            return []


def _read_calls(data: dict[str, Any], form: dict[str, Any]) -> list[Part]:
    calls: Any = data.get("tool_calls")
    if not isinstance(calls, list):
        return []
    parts = [call_part(call) for call in cast("list[Any]", calls)]
    if any(part is None for part in parts):
        return []  # they stay in the form
    form["tool_calls"] = []
    return [part for part in parts if part is not None]


def _usage(given: Any) -> dict[str, int] | None:
    """Return the token counts under our names."""
    if not isinstance(given, dict):
        return None
    counts = cast("dict[str, Any]", given)
    details = (kept_in(counts, "input_token_details") or {}) | (kept_in(counts, "output_token_details") or {})
    ours: dict[str, Any] = {
        "input_tokens": counts.get("input_tokens"),
        "output_tokens": counts.get("output_tokens"),
        "total_tokens": counts.get("total_tokens"),
        "cache_read_tokens": details.get("cache_read"),
        "cache_write_tokens": details.get("cache_creation"),
        "reasoning_tokens": details.get("reasoning"),
    }
    return {name: count for name, count in ours.items() if count is not None} or None


# Writing


def items_of_messages(messages: Iterable[Message]) -> list[Told]:
    """Return a conversation's messages as LangChain has them, each with the message that it tells."""
    all_of_them = list(messages)
    own = {id(message): item for message in all_of_them if (item := _own(message)) is not None}
    answered = {result.tool_call_id for message in all_of_them for result in message.get_tool_results()}
    told: list[Told] = []
    names: dict[str, str] = {}
    for message in grouped(all_of_them, lambda message: id(message) in own, to_send=True):
        names.update((call.tool_call_id, call.tool_name) for call in message.get_tool_calls())
        items = [own[id(message)]] if id(message) in own else foreign_items(message, names, answered)
        told.extend(Told(item, message) for item in items)
    return told


def _own(message: Message) -> dict[str, Any] | None:
    """Return the item of a message that was made of one; `None` for others, and for one that has been changed."""
    form = kept_in(message.metadata, KEY)
    if form is None:
        whole = whole_of(message.parts, message.metadata, KEY)
        return whole[0] if whole else None
    data = kept_in(form, "data") or {}
    if message.role != _role(form.get("type"), data):
        return None
    match message.parts:
        case [ToolResultPart() as part] if message.role == "tool":
            ours = {"content": write_output(_told_of(part), data.get("content")), "tool_call_id": part.tool_call_id}
            if data.get("name") is not None:
                ours["name"] = part.tool_name
        case parts if message.role != "tool" and _are_sayable(parts, message.role):
            ours = _written(parts, data)
        case _:
            return None
    return {**form, "data": fill(data, ours)}


def _told_of(part: ToolResultPart) -> str:
    return part.output if part.error is None else "\n".join(filter(None, (part.error, part.output)))


def _are_sayable(parts: Iterable[Part], role: Role) -> bool:
    """Whether a message of the role can hold such parts."""
    kinds = (TextPart, ImagePart, RawPart, *((ToolCallPart, ReasoningPart) if role == "assistant" else ()))
    return all(isinstance(part, kinds) for part in parts)


def _written(parts: Sequence[Part], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what parts are in a message's data: content, reasoning beside it, and calls."""
    aside = [part.content for part in parts if _is_aside(part)]
    calls = [written_call(part) for part in parts if isinstance(part, ToolCallPart)]
    content = [part for part in parts if not isinstance(part, ToolCallPart) and not _is_aside(part)]
    ours: dict[str, Any] = {"content": write_content(content, data.get("content", ""), written_block)}
    if aside:
        ours["additional_kwargs"] = {_REASONING: "\n".join(aside)}
    return ours | ({"tool_calls": calls} if calls else {})


def _is_aside(part: Part) -> TypeGuard[ReasoningPart]:
    """Whether a part is reasoning that is no block of the content."""
    return isinstance(part, ReasoningPart) and kept_in(part.metadata, KEY) is None


# What other systems wrote


def foreign_items(message: Message, names: Mapping[str, str], answered: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return what the typed fields of a message tell, whoever wrote it; `names` are those of tools by call ids.

    A call whose arguments couldn't be parsed is an invalid one, unless it has been answered: providers refuse the
    result of a call that they aren't sent, and not all are sent the invalid ones.
    """
    calls = [call for call in message.get_tool_calls() if call.tool_call_id not in answered]
    invalid = [call for call in calls if unparsed_of(call) is not None]
    parts = [part.model_copy(update={"metadata": {}}) for part in message.parts if part not in invalid]
    if message.role == "tool":
        return [_foreign_result(part, names) for part in parts if isinstance(part, ToolResultPart)]
    kinds = (TextPart, ToolCallPart, ReasoningPart) if message.role == "assistant" else (TextPart, ImagePart)
    sayable = [part for part in parts if isinstance(part, kinds) and getattr(part, "content", True) != ""]
    if not sayable and not invalid:
        return []
    data = _written(sayable, {}) | ({"invalid_tool_calls": list(map(_invalid_call, invalid))} if invalid else {})
    if message.role == "developer":
        data["additional_kwargs"] = dict(_DEVELOPER)
    if message.model is not None:
        data["response_metadata"] = {"model_name": message.model}
    if message.role == "assistant" and message.usage:
        tokens = count_tokens(message.usage)
        data["usage_metadata"] = {
            name: getattr(tokens, name) for name in ("input_tokens", "output_tokens", "total_tokens")
        }
    return [{"type": _TYPES[message.role], "data": data}]


def _invalid_call(part: ToolCallPart) -> dict[str, Any]:
    told = {"name": part.tool_name, "args": unparsed_of(part), "id": part.tool_call_id}
    return {**told, "error": None, "type": "invalid_tool_call"}


def _foreign_result(part: ToolResultPart, names: Mapping[str, str]) -> dict[str, Any]:
    data = {
        "content": result_text(part),
        "tool_call_id": part.tool_call_id,
        "name": part.tool_name or names.get(part.tool_call_id),
        "status": "success" if part.error is None else "error",
    }
    return {"type": "tool", "data": data}
