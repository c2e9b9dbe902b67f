"""A session with everything that hangs on it, to be carried elsewhere and put back whole."""

from pydantic import Field

from sessionstore.models.base import Count, Model
from sessionstore.models.message import Message
from sessionstore.models.read_file import ReadFile
from sessionstore.models.session import SessionInfo
from sessionstore.models.summary import Summary


class SessionArchive(Model):
    """What `export_session` gives and `import_session` takes.

    Messages without a `seq` are numbered from 1; those that have one keep it (all or none have).
    `last_seq` is the highest number ever given in the session, popped messages included; left
    out, it is the last message's.
    """

    info: SessionInfo
    messages: list[Message] = Field(default_factory=list[Message])
    read_files: list[ReadFile] = Field(default_factory=list[ReadFile])
    summaries: list[Summary] = Field(default_factory=list[Summary])
    last_seq: Count | None = None
