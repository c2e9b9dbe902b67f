"""The laws of `SessionStore` as tests, for every implementation to be held to. docs/testing.md says how."""

from importlib.util import find_spec

_missing = [name for name in ("pytest", "pytest_asyncio", "hypothesis") if find_spec(name) is None]
if _missing:
    raise ModuleNotFoundError(
        f"sessionstore.testing needs {', '.join(_missing)}: pip install 'sessionstore[testing]'", name=_missing[0]
    )

import pytest  # noqa: E402

# Before they are imported, so that a broken law shows what it compared.
pytest.register_assert_rewrite(f"{__name__}.build", f"{__name__}.laws")

from sessionstore.testing.suite import SessionStoreLaws  # noqa: E402

__all__ = ["SessionStoreLaws"]
