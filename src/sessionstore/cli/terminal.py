"""Text from conversations on a terminal: shown, never obeyed."""

import re
from typing import TextIO

from rich.console import Console
from rich.text import Text

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but for tab and newline: escape sequences begin with one
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks, which show text in another order than it has
    "\u2028\u2029\ud800-\udfff]"  # line separators; lone surrogates
)


def visible(text: str) -> str:
    r"""Return the text with control characters spelled out, such as ``\x1b``."""
    return _UNPRINTABLE.sub(_spelled_out, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return the text on one line, in one column."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def counted(number: int, thing: str) -> str:
    """Return a number of things in words: `1 session`, `2 sessions`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def is_terminal(stream: TextIO) -> bool:
    """Whether a person sits at the stream's other end."""
    return stream.isatty()


def output() -> Console:
    """Return a console for stdout that takes no text for markup and breaks no line of it."""
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=True)


def styled(text: str, style: str = "") -> Text:
    """Return text to print, made harmless."""
    return Text(visible(text), style=style)


def _spelled_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
