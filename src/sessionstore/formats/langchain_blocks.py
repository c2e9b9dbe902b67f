"""The content blocks and tool calls of LangChain's messages, as parts and back.

What the typed fields don't hold is in the part's ``metadata["langchain"]``.
"""

from typing import Any, cast

from sessionstore.formats.pieces import image_part
from sessionstore.formats.residue import fill, keep, kept_in, template_of
from sessionstore.models import ImagePart, Part, RawPart, ReasoningPart, TextPart, ToolCallPart
from sessionstore.models.llm_format import image_url

KEY = "langchain"

_TEXT = {"type": "text", "text": ""}
_IMAGE: dict[str, Any] = {"type": "image_url", "image_url": {"url": "", "detail": ""}}
_CALL: dict[str, Any] = {"name": "", "args": {}, "id": "", "type": "tool_call"}


def block_part(given: Any) -> Part:
    """Return a block of a message's content as a part; kinds that have no part of their own as raw ones."""
    match given:
        case str():
            return TextPart(content=given, metadata={KEY: {}})
        case {"type": "text", "text": str(text)}:
            return TextPart(content=text, metadata=keep(KEY, template_of(_dict(given), ("text",)), _TEXT))
        case {"type": "thinking" | "reasoning" as key, **rest} if isinstance(text := rest.get(key), str):
            signature = rest.get("signature")
            signed = ("signature",) if isinstance(signature, str) else ()
            form = template_of(_dict(given), (key, *signed))
            return ReasoningPart(content=text, signature=signature if signed else None, metadata={KEY: form})
        case {"type": "image_url", "image_url": {"url": str(url), **options}} if isinstance(
            detail := options.get("detail", "auto"), str
        ):
            part = image_part(url, detail)
            form = _dict(given) | {"image_url": template_of(given["image_url"], ("url", "detail"))}
            part.metadata = keep(KEY, form, _IMAGE)
            return part
        case {"type": "image", "url": str(url)}:
            part = image_part(url, "auto")
            part.metadata = {KEY: template_of(_dict(given), ("url",))}
            return part
        case {"type": "image", **rest} if isinstance(key := _data_key(rest), str) and isinstance(
            media_type := rest.get("mime_type"), str
        ):
            form = template_of(_dict(given), (key, "mime_type"))
            return ImagePart(media_type=media_type, data=rest[key], metadata={KEY: form})
        case _:
            return RawPart(data=given)


def _data_key(block: dict[str, Any]) -> str | None:
    """Return under which key an image's block has its base64: the standard one, or that of LangChain 0.3."""
    return next((key for key in ("base64", "data") if isinstance(block.get(key), str)), None)


def written_block(part: Part) -> Any:
    """Return the block of a text, an image, reasoning or a raw part."""
    form = kept_in(part.metadata, KEY)
    match part:
        case TextPart():
            return part.content if form == {} else fill(form or _TEXT, {"text": part.content})
        case ReasoningPart():
            form = form or {"type": "reasoning", "reasoning": ""}
            text = {"thinking" if form.get("type") == "thinking" else "reasoning": part.content}
            return fill(form, text | ({} if part.signature is None else {"signature": part.signature}))
        case ImagePart():
            return _image(part, form or _IMAGE)
        case _:
            return cast("RawPart", part).data


def _image(part: ImagePart, form: dict[str, Any]) -> dict[str, Any]:
    key = _data_key(form)
    if form.get("type") == "image" and key is not None and part.data is not None:
        return fill(form, {key: part.data, "mime_type": part.media_type})
    if form.get("type") == "image" and "url" in form:
        return fill(form, {"url": image_url(part)})
    plain = form if form.get("type") == "image_url" else _IMAGE
    return fill(plain, {"image_url": {"url": image_url(part), "detail": part.detail}})


def call_part(given: Any) -> ToolCallPart | None:
    """Return an entry of `tool_calls` as a part; `None` for what isn't as LangChain has it."""
    match given:
        case {"name": str(name), "args": dict(), "id": str() | None as call_id}:
            form = template_of(_dict(given), ("name", "args", "id"))
            return ToolCallPart(
                tool_call_id=call_id or "",
                tool_name=name,
                arguments=given["args"],
                metadata=keep(KEY, form, _CALL),
            )
        case _:
            return None


def written_call(part: ToolCallPart) -> dict[str, Any]:
    """Return the entry of `tool_calls` of a part."""
    form = kept_in(part.metadata, KEY) or _CALL
    call_id = part.tool_call_id or form.get("id")
    return fill(form, {"name": part.tool_name, "args": part.arguments, "id": call_id})


def _dict(given: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", given)
