"""A session: one conversation, as its metadata (`SessionInfo`) and as the whole (`Session`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from sessionstore.errors import InvalidValue
from sessionstore.models.base import CleanText, Count, Id, Metadata, Model, UTCDatetime, new_id, utcnow
from sessionstore.models.message import Message
from sessionstore.models.parts import ImagePart
from sessionstore.models.usage import TOKEN_FIELDS, count_tokens


class SessionTime(Model):
    """When the session was made, last used, and put away."""

    created: UTCDatetime = Field(default_factory=utcnow)
    updated: UTCDatetime = Field(default_factory=utcnow)
    archived: UTCDatetime | None = None


class SessionInfo(Model):
    """What is known of a session without its messages. The counters are the store's own."""

    id: Id = Field(default_factory=new_id)
    title: CleanText = "New Session"
    project_dir: CleanText | None = None
    working_dir: CleanText | None = None
    time: SessionTime = Field(default_factory=SessionTime)
    model_id: CleanText | None = None
    provider_id: CleanText | None = None
    root_session_id: Id | None = None
    parent_session_id: Id | None = None
    user_id: Id | None = None
    summary_message_id: Id | None = None
    message_count: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    total_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    reasoning_tokens: Count = 0
    metadata: Metadata = Field(default_factory=dict)


class Session(Model):
    """A conversation in memory: its metadata and its messages, in order."""

    info: SessionInfo
    messages: list[Message] = Field(default_factory=list[Message])

    @property
    def id(self) -> str:
        """The session's id."""
        return self.info.id

    @property
    def title(self) -> str:
        """The session's title."""
        return self.info.title

    def add_message(self, message: Message) -> Message:
        """Append a message and move `updated`; adding the last one once more changes nothing.

        Raises `InvalidValue` for a message of another session.
        """
        if message.session_id != self.id:
            raise InvalidValue(f"message.session_id is {message.session_id!r}, and this is session {self.id!r}")
        if not self.messages or self.messages[-1] is not message:
            self.messages.append(message)
            self.info.message_count = len(self.messages)
            self._touch()
        return message

    def create_user_message(
        self, content: str, images: Sequence[ImagePart | Mapping[str, Any]] | None = None
    ) -> Message:
        """Append a user's message with text and images (`ImagePart`s, or dicts of their fields)."""
        message = Message(session_id=self.id, role="user")
        message.add_text(content)
        for image in images or ():
            message.parts.append(ImagePart.model_validate(image))
        return self.add_message(message)

    def create_assistant_message(self) -> Message:
        """Append an empty message of the assistant, with the session's model and provider."""
        return self.add_message(
            Message(session_id=self.id, role="assistant", model=self.info.model_id, provider=self.info.provider_id)
        )

    def create_system_message(self, content: str) -> Message:
        """Append a system message."""
        message = Message(session_id=self.id, role="system")
        message.add_text(content)
        return self.add_message(message)

    def get_messages_for_llm(self) -> list[dict[str, Any]]:
        """Return all messages in the chat format, ready to send (`Message.to_llm_messages`)."""
        return [entry for message in self.messages for entry in message.to_llm_messages()]

    def update_title(self, title: str) -> None:
        """Set the title, and move `updated`."""
        self.info.title = title
        self._touch()

    def add_usage(self, usage: Mapping[str, int]) -> None:
        """Add the recognised counts that the dict holds to the session's counters.

        Nothing is derived: without `total_tokens` the total stays. (`SessionStore.add_usage`
        does derive it.)
        """
        counts = count_tokens({"total_tokens": 0, **usage})
        totals = {f: getattr(self.info, f) + count for f, count in zip(TOKEN_FIELDS, counts, strict=True)}
        SessionInfo(**totals)  # a bad count is refused before any is added
        for field, total in totals.items():
            setattr(self.info, field, total)

    def _touch(self) -> None:
        self.info.time.updated = utcnow()
