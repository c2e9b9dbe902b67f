"""An adapter whose framework isn't installed says in one line what to install."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(("adapter", "framework", "extra"), [("openai_agents", "agents", "openai-agents")])
def test_the_extra_is_named(adapter: str, framework: str, extra: str) -> None:
    """The last line of the traceback is all that one needs."""
    program = f"import sys; sys.modules[{framework!r}] = None; import sessionstore.adapters.{adapter}"
    result = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert last.endswith(f": pip install 'sessionstore[{extra}]'")
