"""`jsontext`: JSON as exact text."""

import json
import math
import re
import sys
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given, settings

from sessionstore import jsontext
from sessionstore.errors import InvalidValue
from sessionstore.testing.strategies import json_values


@settings(max_examples=100)
@given(value=json_values)
def test_values_come_back(value: Any) -> None:
    text = jsontext.dumps(value)
    assert repr(jsontext.loads(text)) == repr(value)


@settings(max_examples=100)
@given(value=json_values)
def test_the_text_is_what_databases_hold(value: Any) -> None:
    text = jsontext.dumps(value)
    assert "\0" not in text
    text.encode()
    json.loads(text)
    assert jsontext.dumps(jsontext.loads(text)) == text


@settings(max_examples=100)
@given(one=json_values, two=json_values)
def test_texts_are_equal_when_values_are(one: Any, two: Any) -> None:
    assert (jsontext.dumps(one) == jsontext.dumps(two)) == (repr(one) == repr(two))


def test_plain_values_are_plain_json() -> None:
    value = {"z": "ü\0\U0001f600", "a": [1, 2.5, True, None, {}]}
    assert jsontext.dumps(value) == '{"z":"ü\\u0000\U0001f600","a":[1,2.5,true,null,{}]}'


def test_lone_surrogates_are_escaped() -> None:
    assert jsontext.dumps(["\ud800", "ü"]) == '["\\ud800","\\u00fc"]'


def test_a_split_pair_stays_split() -> None:
    split = {"\ud83d\ude00": ["\ud83d\ude00", "\U0001f600", "\\ud83d", "\\"]}
    text = jsontext.dumps(split)
    assert repr(jsontext.loads(text)) == repr(split)
    assert len(jsontext.loads(text)["\ud83d\ude00"][0]) == 2


def test_a_pair_that_two_strings_would_make_is_none() -> None:
    value = ["\ud83d", "\ude00", {"\ud83d": "\ude00"}]
    assert repr(jsontext.loads(jsontext.dumps(value))) == repr(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e308, 10**4299, -(2**64)])
def test_numbers(value: float) -> None:
    assert repr(jsontext.loads(jsontext.dumps(value))) == repr(value)


def test_texts_are_the_same_whoever_writes_them() -> None:
    """What is stored is compared with what comes again, perhaps from a process with another pydantic."""
    numbers = [1e16, 1e-05, 1.5e300, 1e22, 5e-324, 0.1, -0.0, 1.0]
    expected = "[1e+16,1e-05,1.5e+300,1e+22,5e-324,0.1,-0.0,1.0]"
    assert jsontext.dumps(numbers) == jsontext.dumps([*map(_Number, numbers)]) == expected
    assert jsontext.dumps([*numbers, "\ud800"]) == f'{expected[:-1]},"\\ud800"]'


@settings(max_examples=300)
@given(value=json_values)
def test_the_text_is_pythons(value: Any) -> None:
    """Whichever of the two writers wrote it."""
    text = jsontext.dumps(value)
    if not text.startswith(" "):
        escaped = re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)) is not None
        assert text == json.dumps(value, ensure_ascii=escaped, separators=(",", ":"))


class _Text(StrEnum):
    IT = "ü"


class _Number(float):
    def __repr__(self) -> str:
        return "something else"


@pytest.mark.parametrize(
    ("derived", "own"),
    [
        (_Text.IT, "ü"),
        ({_Text.IT: _Text.IT}, {"ü": "ü"}),
        (HTTPStatus.OK, 200),
        (_Number(1e-7), 1e-7),
        (OrderedDict(b=[_Number(1e16)], a=1), {"b": [1e16], "a": 1}),
        (defaultdict(list, a=[]), {"a": []}),
    ],
)
def test_values_of_derived_types_are_those_that_they_derive_from(derived: Any, own: Any) -> None:
    assert jsontext.dumps(derived) == jsontext.dumps(own)
    assert repr(jsontext.loads(jsontext.dumps(derived))) == repr(own)


def _nested(depth: int, make: Callable[[Any], Any]) -> Any:
    value = make(None)
    for _ in range(depth - 1):
        value = make(value)
    return value


@pytest.mark.parametrize("make", [lambda inner: [inner], lambda inner: {"k": inner}], ids=["lists", "objects"])
def test_500_levels(make: Callable[[Any], Any]) -> None:
    value = _nested(500, make)
    assert repr(jsontext.loads(jsontext.dumps(value))) == repr(value)
    for depth in (501, 5000, 100_000):
        with pytest.raises(InvalidValue, match="deeper than 500"):
            jsontext.dumps(_nested(depth, make))


def test_500_levels_with_split_pairs() -> None:
    value = _nested(499, lambda inner: {"\ud83d\ude00": inner} if inner else "\ud83d\ude00")
    assert repr(jsontext.loads(jsontext.dumps(value))) == repr(value)


def test_a_deep_stack_is_no_crash() -> None:
    outcomes: list[object] = []

    def descend(levels: int) -> None:
        if levels:
            descend(levels - 1)
            return
        try:
            outcomes.append(jsontext.dumps(_nested(500, lambda inner: [inner])))
        except InvalidValue as error:
            outcomes.append(error)

    thread = threading.Thread(target=descend, args=(sys.getrecursionlimit() - 100,))
    thread.start()
    thread.join()
    assert len(outcomes) == 1


def test_a_circle_is_refused() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = [circle]
    with pytest.raises(InvalidValue, match="deeper than 500"):
        jsontext.dumps(circle)


REFUSED: dict[str, tuple[Any, str]] = {
    "integer key": ({"a": [{1: "x"}]}, r"place\['a'\]\[0\].*int"),
    "None key": ({None: 1}, "place.*NoneType"),
    "bool key": ({True: 1}, "place.*bool"),
    "float key": ({"a": {1.5: 1}}, r"place\['a'\].*float"),
    "bytes key": ({b"a": 1}, "place.*bytes"),
    "tuple": ([0, (1, 2)], r"place\[1\].*tuple"),
    "bytes": ({"a": b"x"}, r"place\['a'\].*bytes"),
    "set": ([[{1}]], r"place\[0\]\[0\].*set"),
    "Decimal": ({"a": {"b": Decimal("1.0")}}, r"place\['a'\]\['b'\].*Decimal"),
    "object": (object(), "place.*object"),
    "complex": (1j, "place.*complex"),
    "a long integer": ({"a": 10**4300}, r"place\['a'\].*too long"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_path_is_named(name: str) -> None:
    value, pattern = REFUSED[name]
    with pytest.raises(InvalidValue, match=pattern):
        jsontext.dumps(value, "place")


def test_refusing_changes_nothing() -> None:
    value = {"a": ["\ud83d\ude00", {"b": {1, 2}}]}
    before = repr(value)
    with pytest.raises(InvalidValue):
        jsontext.dumps(value)
    assert repr(value) == before


def test_dumping_changes_nothing() -> None:
    value = {"\ud83d\ude00": ["\ud83d\ude00", {"b": "\\"}]}
    before = repr(value)
    jsontext.dumps(value)
    assert repr(value) == before


@pytest.mark.parametrize("text", ["", "{", "nonsense", "[1,]", '{"a":1} x', "'a'", "[" * 100_000])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever json says
        jsontext.loads(text)


def test_text_by_others_is_read() -> None:
    assert jsontext.loads('{ "a" : "\\ud83d\\ude00" }') == {"a": "\U0001f600"}
