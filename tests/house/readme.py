"""README.md, and pages like it, as readers use them: the code they copy, what it shows, the commands they type."""

import re
import shlex
from dataclasses import dataclass

from .project import ROOT

TEXT = (ROOT / "README.md").read_text()

PAGES = ("README.md", "docs/conversations.md", "docs/frameworks.md")
"""Those whose code is run."""

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A block of Python and the output that stands right behind it."""

    line: int
    code: str
    output: str


def examples(page: str) -> list[Example]:
    """Return a page's ```python blocks, each with the ```output block that follows it, if one does."""
    text = (ROOT / page).read_text()
    fences = list(_FENCED.finditer(text))
    following = [*fences[1:], None]
    return [
        Example(text.count("\n", 0, fence.start(2)), fence[2], _output_behind(text, fence, after))
        for fence, after in zip(fences, following, strict=True)
        if fence[1] == "python"
    ]


def _output_behind(text: str, fence: re.Match[str], after: re.Match[str] | None) -> str:
    is_output = after and after[1] == "output" and not text[fence.end() : after.start()].strip()
    return after[2] if after and is_output else ""


def outputs(page: str) -> int:
    """Return how many ```output blocks a page has."""
    return sum(fence[1] == "output" for fence in _FENCED.finditer((ROOT / page).read_text()))


def commands() -> list[list[str]]:
    """Return the commands of the ```sh and ```console blocks, one by one, as lists of words."""
    blocks = [fence for fence in _FENCED.finditer(TEXT) if fence[1] in ("sh", "console")]
    lines = [line for fence in blocks for line in _lines(fence[2], prompted=fence[1] == "console")]
    return [shlex.split(command) for line in lines for command in line.split("&&")]


def _lines(block: str, *, prompted: bool) -> list[str]:
    lines = block.replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.strip() and (line.startswith("$ ") or not prompted)]


def links() -> list[str]:
    """Return the targets of links into the project."""
    return [target for target in re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT) if "://" not in target]
