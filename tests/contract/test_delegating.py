"""The laws ask for nothing but the interface: a store that has only its methods keeps them."""

from collections.abc import AsyncIterator

import pytest

from sessionstore import SQLSessionStore
from sessionstore.testing import SessionStoreLaws

from .conftest import OpenStore
from .delegating import METHODS, Delegating


@pytest.mark.slow
class TestDelegating(SessionStoreLaws):
    """Every law, on a store that hands its calls on."""

    @pytest.fixture
    async def store(self, open_sqlite: OpenStore) -> AsyncIterator[Delegating]:
        async with open_sqlite() as inner:
            yield Delegating(inner)


def test_it_has_the_interfaces_methods_only() -> None:
    """What is tested has no method that isn't the interface's."""
    assert {name for name in vars(Delegating) if not name.startswith("_")} == set(METHODS)
    assert set(METHODS) < {name for name in dir(SQLSessionStore) if not name.startswith("_")}
