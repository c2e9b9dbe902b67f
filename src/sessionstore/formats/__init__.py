"""Transcript formats: a conversation as one line of JSON, in the shape that some system gives it.

A format is two pure functions, `parse(conversation) -> SessionArchive` and
`render(archive) -> conversation`, and one entry in `registry.FORMATS`. A conversation is a
JSON object with an ``id`` and ``messages``; what else it holds is the format's own. `conversations`,
`pieces`, `residue` and `grouping` are what the providers' formats share.
"""

from sessionstore.formats.lines import info_line, parse_line, render_line
from sessionstore.formats.registry import FORMATS, NATIVE, Format

__all__ = ["FORMATS", "NATIVE", "Format", "info_line", "parse_line", "render_line"]
