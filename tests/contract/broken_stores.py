"""Stores that break a law each, and are held to all of them. test_testing.py runs this file and looks at what fails."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from sessionstore import Message, SQLSessionStore
from sessionstore.errors import MessageConflict
from sessionstore.testing import SessionStoreLaws

from .delegating import Delegating


class _Overwriting(Delegating):
    """Takes the last word for the right one."""

    async def save_message(self, message: Message) -> Message:
        try:
            return await self._inner.save_message(message)
        except MessageConflict:
            return await self._inner.replace_message(message)


class _CountingFromZero(Delegating):
    """Numbers messages as Python does."""

    async def save_message(self, message: Message) -> Message:
        saved = await self._inner.save_message(message)
        return saved.model_copy(update={"seq": (saved.seq or 0) - 1})


class _Laws(SessionStoreLaws):
    kind: type[Delegating] = Delegating

    @pytest_asyncio.fixture
    async def store(self, tmp_path: Any) -> AsyncIterator[Delegating]:
        async with SQLSessionStore.from_url(f"sqlite+aiosqlite:///{tmp_path}/s.db", auto_upgrade=True) as inner:
            yield self.kind(inner)


class TestKeeping(_Laws):
    """Nothing of what fails is this file's fault."""


class TestOverwriting(_Laws):
    kind = _Overwriting


class TestCountingFromZero(_Laws):
    kind = _CountingFromZero


class TestLeavingOut(_Laws):
    kind = _Overwriting
    TestIdempotency = None
