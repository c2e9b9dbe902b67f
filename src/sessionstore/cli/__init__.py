"""The command line, `sessionstore`: the one place that puts everything together."""

import logging
import sys


def main() -> None:
    """Run the command line; the entry point of the `sessionstore` command."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="backslashreplace")  # what the terminal has no characters for is spelled out
    logging.getLogger("sessionstore").setLevel(logging.ERROR)  # warnings are for applications that log
    try:
        from sessionstore.cli.app import app

        app()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        sys.exit("error: the command line needs Typer and Rich: pip install 'sessionstore[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
