"""The options that commands share, each declared once."""

from typing import Annotated

import typer

from sessionstore.defaults import DATABASE_URL, DATABASE_VARIABLE
from sessionstore.formats import FORMATS

DEFAULT_URL = DATABASE_URL

STANDARD = "-"
"""The file name that stands for stdin or stdout."""


def _known(name: str | None) -> str | None:
    if name is not None and name not in FORMATS:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(FORMATS)}")
    return name


DatabaseUrl = Annotated[
    str,
    typer.Option("--database-url", metavar="URL", envvar=DATABASE_VARIABLE, help="The database."),
]
Schema = Annotated[str | None, typer.Option("--schema", metavar="NAME", help="The database schema with the tables.")]
Tenant = Annotated[str, typer.Option("--tenant", metavar="ID", help="The owner of the sessions.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
FORMAT = typer.Option("--format", "-f", metavar=f"[{'|'.join(FORMATS)}]", callback=_known, help="The lines' format.")
