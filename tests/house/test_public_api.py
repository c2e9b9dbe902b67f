"""The public API is one sorted, documented page."""

import inspect
import types

import sessionstore

PROMISED = {
    "ContextUsage",
    "Conversation",
    "Draft",
    "Event",
    "ImagePart",
    "Message",
    "Part",
    "RawPart",
    "ReadFile",
    "ReasoningPart",
    "SQLSessionStore",
    "Session",
    "SessionInfo",
    "SessionStore",
    "SessionTime",
    "Summary",
    "TextPart",
    "ToolCallPart",
    "ToolResultPart",
    "ToolUse",
    "Turn",
    "UnknownPart",
}
"""What applications import; names are added, and none is taken away."""


def test_all_is_sorted() -> None:
    assert sessionstore.__all__ == sorted(set(sessionstore.__all__))


def test_all_is_what_is_public() -> None:
    names = {
        name
        for name, value in vars(sessionstore).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert set(sessionstore.__all__) == names


def test_what_was_promised_is_there() -> None:
    assert set(sessionstore.__all__) >= PROMISED


def test_everything_is_documented() -> None:
    members = {name: getattr(sessionstore, name) for name in sessionstore.__all__}
    bare = [name for name, value in members.items() if inspect.isclass(value) and not vars(value).get("__doc__")]
    bare += [name for name, value in members.items() if inspect.isfunction(value) and not value.__doc__]
    assert bare == []


def test_the_interface_is_documented() -> None:
    methods = inspect.getmembers(sessionstore.SessionStore, inspect.isfunction)
    assert [name for name, method in methods if not name.startswith("_") and not method.__doc__] == []


def test_the_store_has_the_interfaces_signatures() -> None:
    for name, method in inspect.getmembers(sessionstore.SessionStore, inspect.isfunction):
        if not name.startswith("_"):
            implementation = getattr(sessionstore.SQLSessionStore, name)
            assert inspect.signature(implementation).parameters == inspect.signature(method).parameters, name
