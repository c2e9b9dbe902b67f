"""What a user's prompt in Pydantic AI's model messages holds, as parts of ours and back.

`content_part` takes what its type adapter dumps, and `written_content_part` gives that back exactly.
"""

from base64 import b64decode
from mimetypes import guess_type
from typing import Any, cast

from sessionstore.formats.pieces import image_part
from sessionstore.formats.residue import fill, kept_in, template_of
from sessionstore.models import ImagePart, Part, RawPart, TextPart
from sessionstore.models.llm_format import image_url

KEY = "pydantic_ai"

_ANY_IMAGE = "image/*"
_TO_STANDARD, _TO_URL_SAFE = str.maketrans("-_", "+/"), str.maketrans("+/", "-_")
"""The alphabets of base64: providers take the standard one, the type adapter writes the other."""


def content_part(given: Any) -> Part:
    """Return an item of a user's content as a part: text, images, and all else as raw ones."""
    match given:
        case str():
            return TextPart(content=given)
        case {"kind": "text-content" | "structured-content", "content": str(text)}:
            return TextPart(content=text, metadata=form_of(given, "content"))
        case {"kind": "image-url", "url": str(url)}:
            part = image_part(url, _detail(given))
            given_type: Any = given.get("media_type")
            if isinstance(given_type, str) and given_type != part.media_type:  # of a URL, or not what a data URL says
                part = ImagePart(media_type=given_type, url=url, detail=part.detail)
        case {"kind": "binary", "data": str(data), "media_type": str(media_type)} if media_type.startswith("image/"):
            part = ImagePart(media_type=media_type, data=data.translate(_TO_STANDARD), detail=_detail(given))
        case _:
            return RawPart(data=given)
    part.metadata = form_of(cast("dict[str, Any]", given), "url", "data", "media_type")
    options: Any = given.get("vendor_metadata")
    if isinstance(options, dict) and isinstance(cast("dict[str, Any]", options).get("detail"), str):
        part.metadata[KEY]["vendor_metadata"] = template_of(cast("dict[str, Any]", options), ("detail",))
    return part


def _detail(given: Any) -> str:
    match given:
        case {"vendor_metadata": {"detail": str(detail)}}:
            return detail
        case _:
            return "auto"


def written_content_part(part: Part) -> Any:
    """Return the item of a user's content that a text, an image or a raw part tells."""
    form = kept_in(part.metadata, KEY)
    match part:
        case TextPart():
            return part.content if form is None else fill(form, {"content": part.content})
        case ImagePart():
            return _image(part, form)
        case _:
            return cast("RawPart", part).data


def _image(part: ImagePart, form: dict[str, Any] | None) -> dict[str, Any]:
    if form is not None and form.get("kind") == "image-url":
        ours: dict[str, Any] = {"url": image_url(part)}
    elif part.data is not None:
        ours = {"data": part.data.translate(_TO_URL_SAFE), "kind": "binary"}
    else:
        ours, form = {"url": part.url, "kind": "image-url"}, None
    if form is None and part.url is not None and part.media_type == _ANY_IMAGE:
        ours["media_type"] = guess_type(part.url)[0] or _ANY_IMAGE  # older versions can't dump what they can't guess
    elif form is None or isinstance(form.get("media_type"), str):
        ours["media_type"] = part.media_type
    options = kept_in(form or {}, "vendor_metadata") or {}
    if isinstance(options.get("detail"), str) or (form is None and part.detail != "auto"):
        ours["vendor_metadata"] = {"detail": part.detail}
    return ours if form is None else fill(form, ours)


def form_of(given: dict[str, Any], *typed: str) -> dict[str, Any]:
    """Return the metadata of the part of an object whose `typed` keys it holds."""
    return {KEY: template_of(given, typed)}


def is_base64(data: str) -> bool:
    """Whether an image's data can be read as bytes."""
    try:
        return bool(b64decode(data, validate=True))
    except ValueError:
        return False
