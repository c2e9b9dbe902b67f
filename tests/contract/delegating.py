"""A store that has the interface's methods and nothing else: what the laws may ask for."""

import inspect
from collections.abc import Callable
from typing import Any

from sessionstore import SessionStore

METHODS = [
    name for name, _ in inspect.getmembers(SessionStore, inspect.iscoroutinefunction) if not name.startswith("_")
]


def _delegation(name: str) -> Callable[..., Any]:
    async def method(self: "Delegating", *args: Any, **kwargs: Any) -> Any:
        return await getattr(self._inner, name)(*args, **kwargs)

    return method


class Delegating:
    """Hands each call to another store."""

    def __init__(self, inner: SessionStore) -> None:
        self._inner = inner


for _name in METHODS:
    setattr(Delegating, _name, _delegation(_name))
