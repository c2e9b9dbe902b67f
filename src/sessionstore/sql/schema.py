"""The five tables. Why they are as they are: docs/schema.md.

Every key below a session starts with the session's id, so that the tables can be
partitioned or distributed by it. JSON is exact text (`sessionstore.jsontext`).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from sessionstore.models.usage import TOKEN_FIELDS
from sessionstore.sql.dialect import Instant, Key

metadata = MetaData()


def qualified(table: str, schema: str | None) -> str:
    """Return a table's name as it stands in SQL that is written by hand; the schema's name has been checked."""
    return table if schema is None else f'"{schema}".{table}'


def _partial(name: str, *columns: str, where: str, sqlite_where: str | None = None) -> Index:
    return Index(name, *columns, sqlite_where=text(sqlite_where or where), postgresql_where=text(where))


sessions = Table(
    "sessionstore_sessions",
    metadata,
    Column("id", Key, nullable=False),
    Column("tenant_id", Key, nullable=False),
    Column("user_id", Key),
    Column("title", Text, nullable=False),
    Column("project_dir", Text),
    Column("working_dir", Text),
    Column("model_id", Text),
    Column("provider_id", Text),
    Column("root_session_id", Key),
    Column("parent_session_id", Key),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_message_at", Instant()),
    Column("turn_count", BigInteger, nullable=False),
    Column("message_count", BigInteger, nullable=False),
    *(Column(field, BigInteger, nullable=False) for field in TOKEN_FIELDS),
    *(Column(f"base_{field}", BigInteger, nullable=False) for field in TOKEN_FIELDS),
    Column("metadata", Text, nullable=False),
    Column("created_at", Instant(), nullable=False),
    Column("updated_at", Instant(), nullable=False),
    Column("archived_at", Instant()),
    PrimaryKeyConstraint("id", name="sessionstore_sessions_pkey"),
    _partial("sessionstore_sessions_listed", "tenant_id", "updated_at", "id", where="archived_at IS NULL"),
    _partial("sessionstore_sessions_archived", "tenant_id", "updated_at", "id", where="archived_at IS NOT NULL"),
    _partial(
        "sessionstore_sessions_user_listed",
        "tenant_id",
        "user_id",
        "updated_at",
        "id",
        where="archived_at IS NULL AND user_id IS NOT NULL",
    ),
    _partial(
        "sessionstore_sessions_user_archived",
        "tenant_id",
        "user_id",
        "updated_at",
        "id",
        where="archived_at IS NOT NULL AND user_id IS NOT NULL",
    ),
    _partial("sessionstore_sessions_children", "parent_session_id", where="parent_session_id IS NOT NULL"),
)

messages = Table(
    "sessionstore_messages",
    metadata,
    Column("session_id", Key, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("id", Key, nullable=False),
    Column("role", Text, nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("starts_turn", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("model", Text),
    Column("provider", Text),
    *(Column(field, BigInteger, nullable=False) for field in TOKEN_FIELDS),
    Column("usage", Text),
    Column("metadata", Text, nullable=False),
    Column("created_at", Instant(), nullable=False),
    Column("updated_at", Instant(), nullable=False),
    PrimaryKeyConstraint("session_id", "seq", name="sessionstore_messages_pkey"),
    UniqueConstraint("session_id", "id", name="sessionstore_messages_id_key"),
    ForeignKeyConstraint(
        ["session_id"], ["sessionstore_sessions.id"], name="sessionstore_messages_session_fkey", ondelete="CASCADE"
    ),
    # Partial, though no time is NULL: so it serves questions of time only. As a whole one, Postgres takes it for
    # others too where most sessions are short, and then reads a long session for each message looked up by its key.
    _partial("sessionstore_messages_created", "session_id", "created_at", where="created_at IS NOT NULL"),
    _partial("sessionstore_messages_turns", "session_id", "turn", where="starts_turn", sqlite_where="starts_turn = 1"),
    _partial("sessionstore_messages_drafts", "updated_at", where="status = 'in_progress'"),
)

parts = Table(
    "sessionstore_parts",
    metadata,
    Column("session_id", Key, nullable=False),
    Column("message_seq", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),
    Column("id", Key, nullable=False),
    Column("type", Text, nullable=False),
    Column("text", Text),
    Column("tool_call_id", Key),
    Column("tool_name", Text),
    Column("payload", Text),
    Column("extra", Text),
    PrimaryKeyConstraint("session_id", "message_seq", "position", name="sessionstore_parts_pkey"),
    ForeignKeyConstraint(
        ["session_id", "message_seq"],
        ["sessionstore_messages.session_id", "sessionstore_messages.seq"],
        name="sessionstore_parts_message_fkey",
        ondelete="CASCADE",
    ),
    _partial("sessionstore_parts_tool_calls", "session_id", "tool_call_id", where="tool_call_id IS NOT NULL"),
)

read_files = Table(
    "sessionstore_read_files",
    metadata,
    Column("session_id", Key, nullable=False),
    Column("path_hash", LargeBinary, nullable=False),
    Column("path_bytes", LargeBinary, nullable=False),
    Column("path", Text, nullable=False),
    Column("read_at", Instant(), nullable=False),
    Column("mtime_ns", BigInteger),
    Column("size", BigInteger),
    Column("content_hash", Text),
    PrimaryKeyConstraint("session_id", "path_hash", name="sessionstore_read_files_pkey"),
    ForeignKeyConstraint(
        ["session_id"], ["sessionstore_sessions.id"], name="sessionstore_read_files_session_fkey", ondelete="CASCADE"
    ),
)

summaries = Table(
    "sessionstore_summaries",
    metadata,
    Column("session_id", Key, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("message_id", Key),
    Column("from_seq", BigInteger, nullable=False),
    Column("through_seq", BigInteger, nullable=False),
    Column("kept", Text, nullable=False),
    Column("at_seq", BigInteger, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("tokens_before", BigInteger),
    Column("tokens_after", BigInteger),
    Column("details", Text, nullable=False),
    Column("created_at", Instant(), nullable=False),
    PrimaryKeyConstraint("session_id", "number", name="sessionstore_summaries_pkey"),
    ForeignKeyConstraint(
        ["session_id"], ["sessionstore_sessions.id"], name="sessionstore_summaries_session_fkey", ondelete="CASCADE"
    ),
    ForeignKeyConstraint(
        ["session_id", "message_id"],
        ["sessionstore_messages.session_id", "sessionstore_messages.id"],
        name="sessionstore_summaries_message_fkey",
        ondelete="CASCADE",
    ),
)
