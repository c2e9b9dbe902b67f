"""Values to try: any JSON value, any text, and how Hypothesis is to try them on one store."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

on_one_store = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
"""All examples of a test run on the same store, each in a session of its own."""

_AWKWARD = [
    "",
    "\0",
    "\ud83d",
    "\ude00",
    "\ud83d\ude00",
    "\ude00\ud83d",
    "\U0001f600",
    "\\u0000",
    "\\ud83d\\ude00",
    "\\",
    '"',
    " ",
    "\u2028",
    "\x7f",
    "\ufeff",
    "\uffff",
    "NaN",
    "null",
]

texts = st.lists(st.sampled_from(_AWKWARD) | st.text(st.characters(exclude_categories=())), max_size=4).map("".join)
"""Any Python string, with a liking for NUL, lone surrogates, split pairs and backslashes."""

_numbers = (
    st.integers() | st.floats() | st.sampled_from([2**63, -(2**63) - 1, 10**4299, -(10**4299), -0.0, 1e308, 5e-324])
)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _numbers | texts,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(texts, children, max_size=4),
    max_leaves=12,
)
"""Any JSON value."""

json_objects = st.dictionaries(texts, json_values, max_size=4)
"""Any JSON object."""
