"""`count_tokens`: which keys of a provider's usage count."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.models.usage import TOKEN_FIELDS, Tokens, count_tokens

COUNTS: list[tuple[dict[str, int] | None, dict[str, int]]] = [
    (None, {}),
    ({}, {}),
    ({"input_tokens": 3, "output_tokens": 4}, {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}),
    ({"prompt_tokens": 3, "completion_tokens": 4}, {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}),
    ({"input_tokens": 3, "total_tokens": 9}, {"input_tokens": 3, "total_tokens": 9}),
    ({"input_tokens": 3, "total_tokens": 0}, {"input_tokens": 3}),
    ({"input_tokens": 0, "prompt_tokens": 3}, {}),
    ({"cache_read_tokens": 1, "cache_write_tokens": 2}, {"cache_read_tokens": 1, "cache_write_tokens": 2}),
    ({"reasoning_tokens": 5, "other": 6}, {"reasoning_tokens": 5}),
]


@pytest.mark.parametrize(("usage", "expected"), COUNTS)
def test_what_counts(usage: dict[str, int] | None, expected: dict[str, int]) -> None:
    assert count_tokens(usage) == Tokens(**expected)


def test_the_fields_are_those_of_a_session() -> None:
    assert Tokens._fields == TOKEN_FIELDS


tokens = st.builds(Tokens, *[st.integers(-(2**53), 2**53)] * len(TOKEN_FIELDS))


@given(one=tokens, two=tokens)
def test_what_is_added_can_be_taken_away(one: Tokens, two: Tokens) -> None:
    assert one.plus(two).minus(two) == one
    assert one.plus(two) == two.plus(one)
    assert one.minus(one) == Tokens()


@given(usage=st.dictionaries(st.sampled_from([*TOKEN_FIELDS, "prompt_tokens", "other"]), st.integers(0, 99)))
def test_nothing_is_counted_twice(usage: dict[str, Any]) -> None:
    counted = count_tokens(usage)
    assert counted.input_tokens == usage.get("input_tokens", usage.get("prompt_tokens", 0))
    assert counted.total_tokens == usage.get("total_tokens", counted.input_tokens + counted.output_tokens)
