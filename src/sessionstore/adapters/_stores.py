"""The store that an adapter works on, and closes if it is its own."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

from sessionstore.errors import InvalidValue
from sessionstore.sql.store import BoundSessionStore, SQLSessionStore

Store = SQLSessionStore | BoundSessionStore


class Closing(ABC):
    """What is closed when its context is left."""

    @abstractmethod
    async def close(self) -> None:
        """Dispose of what is its own."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def checked(store: Any) -> Store:
    """Return the store. Raises `InvalidValue` for anything else: frameworks' own sessions take engines."""
    if isinstance(store, Store):
        return store
    raise InvalidValue(f"store: is {type(store).__name__}; give SQLSessionStore(engine), or store.bind(connection)")
