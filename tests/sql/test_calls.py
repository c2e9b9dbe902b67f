"""The laws of the table of calls itself."""

import inspect

from sessionstore import Conversation, SessionStore
from sessionstore.sql.operations import Operations

from .calls import CALLS


def test_no_method_is_forgotten() -> None:
    """Every public method of a store, the interface's and those beyond it, is among the calls."""
    public = {
        name
        for kind in (SessionStore, Operations)
        for name, value in vars(kind).items()
        if inspect.iscoroutinefunction(value) and not name.startswith("_")
    }
    public |= {
        f"conversation.{name}"
        for name, value in vars(Conversation).items()
        if inspect.iscoroutinefunction(value) and not name.startswith("_")
    }
    assert {name.split(" ", 1)[0] for name in CALLS} == public
