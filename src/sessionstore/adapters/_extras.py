"""What an adapter says when the framework that it is for isn't installed."""


def missing(extra: str, error: ImportError) -> ImportError:
    """Return the error to raise from that of a framework's import: it names the extra to install."""
    return ImportError(f"{error}: pip install 'sessionstore[{extra}]'", name=error.name, path=error.path)
