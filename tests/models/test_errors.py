"""The exceptions: one base, and messages that say what happened."""

import inspect

import pytest

from sessionstore import errors

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]

PROMISED = {
    "CompactionConflict",
    "CompactionFailed",
    "CorruptRecord",
    "InvalidValue",
    "MessageConflict",
    "MessageNotFound",
    "SchemaOutOfDate",
    "SessionExists",
    "SessionNotFound",
    "SessionStoreError",
    "StoreUnavailable",
}


def test_every_promised_error_is_there() -> None:
    assert {kind.__name__ for kind in ALL} == PROMISED


@pytest.mark.parametrize("kind", ALL)
def test_one_base(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.SessionStoreError)


def test_invalid_values_are_value_errors() -> None:
    assert issubclass(errors.InvalidValue, ValueError)


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not errors.CorruptRecord])
def test_the_docstring_is_the_default_message(kind: type[Exception]) -> None:
    assert str(kind()) == (inspect.getdoc(kind) or "").split("\n")[0]
    assert str(kind("what happened")) == "what happened"


def test_a_corrupt_record_names_its_place() -> None:
    error = errors.CorruptRecord("sessionstore_parts", ("s", 3, 0), "no JSON")
    assert (error.table, error.key) == ("sessionstore_parts", ("s", 3, 0))
    assert str(error) == "sessionstore_parts ('s', 3, 0): no JSON"


def test_unavailable_says_whether_the_write_may_be_there() -> None:
    assert errors.StoreUnavailable().maybe_applied is False
    assert errors.StoreUnavailable("gone", maybe_applied=True).maybe_applied is True
