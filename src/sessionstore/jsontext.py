r"""JSON as exact text: what goes in comes out, key order, NUL, lone surrogates, NaN and all.

Three forms, the first that holds the value:

1. plain JSON with characters as they are (most values);
2. JSON with ``\uXXXX`` escapes, when a string holds a lone surrogate, which UTF-8 can't;
3. form 2 behind one space, its strings escaped once more, when a high surrogate stands
   right before a low one: JSON readers would join the two into another character.

All three are JSON that other tools read.
"""

import json
import re
from collections.abc import Callable
from typing import Any, cast

from pydantic_core import from_json, to_json

from sessionstore.errors import InvalidValue

MAX_DEPTH = 500
"""How many lists and objects may be nested in one value."""

_SHORT_INT_BITS = 2000  # Python refuses to print integers somewhere above this
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPLIT_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_ESCAPED_UNIT = re.compile(r"\\(u[0-9a-f]{4}|\\)")
_SCALARS = (str, int, float, type(None))
_PLAIN = frozenset({str, bool, type(None)})  # nothing about them can be wrong
_SAME = _PLAIN | {dict, list, int}

_encode_plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_encode_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), check_circular=False).encode


def dumps(value: Any, place: str = "value", *, max_depth: int = MAX_DEPTH) -> str:
    """Return the text of a JSON value.

    Raises `InvalidValue`, naming the path from `place` on, for what JSON can't hold without
    loss: keys that aren't text, tuples, bytes, sets, Decimals and other objects, integers too
    long to print, and nesting beyond `max_depth` levels.
    """
    if _check(value, place, max_depth):
        try:
            return to_json(value).decode()
        except ValueError:  # pydantic's writer knows no lone surrogates and no deep nesting
            pass
    try:
        text = _encode_plain(value)
    except RecursionError as error:
        raise InvalidValue(f"{place}: nested too deeply for what is left of Python's stack") from error
    if text.isascii() or not _SURROGATE.search(text):
        return text
    if _SPLIT_PAIR.search(text):
        return " " + _encode_ascii(_map_strings(value, _escape))
    return _encode_ascii(value)


def copied(value: Any, place: str = "value") -> Any:
    """Return a copy with nothing in it that its owner can change. Raises `InvalidValue`, as `dumps` does."""
    return loads(dumps(value, place))


def loads(text: str) -> Any:
    """Return the value whose text `dumps` gave. Raises `ValueError` for other text."""
    try:
        value = from_json(text, cache_strings="keys")
    except ValueError:  # pydantic's parser is exact, but knows no lone surrogates and no deep nesting
        value = _loads_slowly(text)
    return _map_strings(value, _unescape) if text.startswith(" ") else value


def _loads_slowly(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _check(value: Any, place: str, max_depth: int) -> bool:
    """Return whether pydantic's writer gives the same text as Python's. Raises `InvalidValue`.

    So it does but for numbers with a point, whose text changes with its version, and for values of derived types.
    Texts are compared, and one value has one text. It walks depth first with a stack of its own, so that deep values
    meet our limit and not Python's.
    """
    same = True
    stack: list[tuple[Any, int, Any]] = [(value, 1, None)]
    while stack:
        item, depth, path = stack.pop()
        same = same and type(item) in _SAME
        if isinstance(item, dict):
            _check_depth(depth, max_depth, place, path)
            for key, child in cast("dict[Any, Any]", item).items():
                if type(key) is not str:
                    same = False
                    _check_key(key, place, path)
                if type(child) not in _PLAIN and not (type(child) is int and child.bit_length() <= _SHORT_INT_BITS):
                    stack.append((child, depth + 1, (path, key)))
        elif isinstance(item, list):
            _check_depth(depth, max_depth, place, path)
            stack.extend((child, depth + 1, (path, index)) for index, child in enumerate(cast("list[Any]", item)))
        elif not isinstance(item, _SCALARS):
            raise InvalidValue(
                f"{_where(place, path)}: JSON can't hold {type(item).__name__} without loss; "
                "use text, numbers, booleans, None, lists and dicts with text keys"
            )
        elif isinstance(item, int) and item.bit_length() > _SHORT_INT_BITS:
            _check_int(item, place, path)
    return same


def _check_key(key: object, place: str, path: Any) -> None:
    if not isinstance(key, str):
        raise InvalidValue(
            f"{_where(place, path)}: the key {key!r:.100} is {type(key).__name__}, not text; "
            "JSON would turn it into text: use a str"
        )


def _check_depth(depth: int, max_depth: int, place: str, path: Any) -> None:
    if depth > max_depth:
        raise InvalidValue(f"{_where(place, path, shorten=True)}: nested deeper than {max_depth} levels; flatten it")


def _check_int(item: int, place: str, path: Any) -> None:
    try:
        int.__repr__(item)
    except ValueError as error:
        raise InvalidValue(f"{_where(place, path)}: the integer is too long to print; send it as text") from error


def _where(place: str, path: Any, *, shorten: bool = False) -> str:
    steps: list[str] = []
    while path is not None:
        path, step = path
        steps.append(f"[{step}]" if isinstance(step, int) else f"[{step!r:.100}]")
    steps.reverse()
    return place + ("".join(steps[:5]) + "[…]" if shorten else "".join(steps))


def _map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """Return a copy with every key and string changed; without recursion, for the reason `_check` has."""
    box = [value]
    stack: list[tuple[Any, Any]] = [(box, 0)]  # places still to be copied, as (container, key)
    while stack:
        container, key = stack.pop()
        item = container[key]
        if isinstance(item, str):
            container[key] = change(item)
        elif isinstance(item, dict):
            copy = {change(name): child for name, child in cast("dict[str, Any]", item).items()}
            container[key] = copy
            stack.extend((copy, name) for name in copy)
        elif isinstance(item, list):
            items = list(cast("list[Any]", item))
            container[key] = items
            stack.extend((items, index) for index in range(len(items)))
    return box[0]


def _escape(text: str) -> str:
    return _SURROGATE.sub(lambda unit: f"\\u{ord(unit[0]):04x}", text.replace("\\", "\\\\"))


def _unescape(text: str) -> str:
    return _ESCAPED_UNIT.sub(lambda m: "\\" if m[1] == "\\" else chr(int(m[1][1:], 16)), text)
