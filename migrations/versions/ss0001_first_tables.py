"""The five tables.

Frozen once released: it imports alembic and sqlalchemy, never sessionstore.
"""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "ss0001"
down_revision = None
branch_labels = ("sessionstore",)
depends_on = None

TOKENS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


def key() -> sa.types.TypeEngine[str]:
    return sa.String().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def instant() -> sa.types.TypeEngine[object]:
    return sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def counters(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def upgrade() -> None:
    schema = op.get_context().opts.get("sessionstore_schema")
    prefix = f"{schema}." if schema else ""

    def partial_index(name: str, table: str, columns: list[str], where: str, sqlite_where: str | None = None) -> None:
        op.create_index(
            name,
            table,
            columns,
            schema=schema,
            postgresql_where=sa.text(where),
            sqlite_where=sa.text(sqlite_where or where),
        )

    op.create_table(
        "sessionstore_sessions",
        sa.Column("id", key(), nullable=False),
        sa.Column("tenant_id", key(), nullable=False),
        sa.Column("user_id", key()),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("project_dir", sa.Text),
        sa.Column("working_dir", sa.Text),
        sa.Column("model_id", sa.Text),
        sa.Column("provider_id", sa.Text),
        sa.Column("root_session_id", key()),
        sa.Column("parent_session_id", key()),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("last_message_at", instant()),
        sa.Column("turn_count", sa.BigInteger, nullable=False),
        sa.Column("message_count", sa.BigInteger, nullable=False),
        *counters(*TOKENS),
        *counters(*(f"base_{name}" for name in TOKENS)),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("created_at", instant(), nullable=False),
        sa.Column("updated_at", instant(), nullable=False),
        sa.Column("archived_at", instant()),
        sa.PrimaryKeyConstraint("id", name="sessionstore_sessions_pkey"),
        schema=schema,
    )
    listed, user_listed = ["tenant_id", "updated_at", "id"], ["tenant_id", "user_id", "updated_at", "id"]
    partial_index("sessionstore_sessions_listed", "sessionstore_sessions", listed, "archived_at IS NULL")
    partial_index("sessionstore_sessions_archived", "sessionstore_sessions", listed, "archived_at IS NOT NULL")
    partial_index(
        "sessionstore_sessions_user_listed",
        "sessionstore_sessions",
        user_listed,
        "archived_at IS NULL AND user_id IS NOT NULL",
    )
    partial_index(
        "sessionstore_sessions_user_archived",
        "sessionstore_sessions",
        user_listed,
        "archived_at IS NOT NULL AND user_id IS NOT NULL",
    )
    partial_index(
        "sessionstore_sessions_children",
        "sessionstore_sessions",
        ["parent_session_id"],
        "parent_session_id IS NOT NULL",
    )

    # On Postgres the primary key's index is made behind the unique one. While the table has no statistics, both look
    # equally good for a part's foreign key, the newer one is taken, and connections keep that plan: by the other one
    # each part would be checked by reading its session.
    key_comes_last = op.get_context().dialect.name == "postgresql"
    op.create_table(
        "sessionstore_messages",
        sa.Column("session_id", key(), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("id", key(), nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.Column("starts_turn", sa.Boolean, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("provider", sa.Text),
        *counters(*TOKENS),
        sa.Column("usage", sa.Text),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("created_at", instant(), nullable=False),
        sa.Column("updated_at", instant(), nullable=False),
        *(() if key_comes_last else [sa.PrimaryKeyConstraint("session_id", "seq", name="sessionstore_messages_pkey")]),
        sa.UniqueConstraint("session_id", "id", name="sessionstore_messages_id_key"),
        sa.ForeignKeyConstraint(
            ["session_id"],
            [f"{prefix}sessionstore_sessions.id"],
            name="sessionstore_messages_session_fkey",
            ondelete="CASCADE",
        ),
        schema=schema,
    )
    if key_comes_last:
        op.create_primary_key(
            "sessionstore_messages_pkey", "sessionstore_messages", ["session_id", "seq"], schema=schema
        )
    # Partial, though no time is NULL: so it serves questions of time only, and no look-up by another key.
    partial_index(
        "sessionstore_messages_created",
        "sessionstore_messages",
        ["session_id", "created_at"],
        "created_at IS NOT NULL",
    )
    partial_index(
        "sessionstore_messages_turns",
        "sessionstore_messages",
        ["session_id", "turn"],
        "starts_turn",
        sqlite_where="starts_turn = 1",
    )
    partial_index("sessionstore_messages_drafts", "sessionstore_messages", ["updated_at"], "status = 'in_progress'")

    op.create_table(
        "sessionstore_parts",
        sa.Column("session_id", key(), nullable=False),
        sa.Column("message_seq", sa.BigInteger, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("id", key(), nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("text", sa.Text),
        sa.Column("tool_call_id", key()),
        sa.Column("tool_name", sa.Text),
        sa.Column("payload", sa.Text),
        sa.Column("extra", sa.Text),
        sa.PrimaryKeyConstraint("session_id", "message_seq", "position", name="sessionstore_parts_pkey"),
        sa.ForeignKeyConstraint(
            ["session_id", "message_seq"],
            [f"{prefix}sessionstore_messages.session_id", f"{prefix}sessionstore_messages.seq"],
            name="sessionstore_parts_message_fkey",
            ondelete="CASCADE",
        ),
        schema=schema,
    )
    partial_index(
        "sessionstore_parts_tool_calls",
        "sessionstore_parts",
        ["session_id", "tool_call_id"],
        "tool_call_id IS NOT NULL",
    )

    op.create_table(
        "sessionstore_read_files",
        sa.Column("session_id", key(), nullable=False),
        sa.Column("path_hash", sa.LargeBinary, nullable=False),
        sa.Column("path_bytes", sa.LargeBinary, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("read_at", instant(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger),
        sa.Column("size", sa.BigInteger),
        sa.Column("content_hash", sa.Text),
        sa.PrimaryKeyConstraint("session_id", "path_hash", name="sessionstore_read_files_pkey"),
        sa.ForeignKeyConstraint(
            ["session_id"],
            [f"{prefix}sessionstore_sessions.id"],
            name="sessionstore_read_files_session_fkey",
            ondelete="CASCADE",
        ),
        schema=schema,
    )

    op.create_table(
        "sessionstore_summaries",
        sa.Column("session_id", key(), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("message_id", key()),
        sa.Column("from_seq", sa.BigInteger, nullable=False),
        sa.Column("through_seq", sa.BigInteger, nullable=False),
        sa.Column("kept", sa.Text, nullable=False),
        sa.Column("at_seq", sa.BigInteger, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("strategy", sa.Text, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("tokens_before", sa.BigInteger),
        sa.Column("tokens_after", sa.BigInteger),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("created_at", instant(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "number", name="sessionstore_summaries_pkey"),
        sa.ForeignKeyConstraint(
            ["session_id"],
            [f"{prefix}sessionstore_sessions.id"],
            name="sessionstore_summaries_session_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["session_id", "message_id"],
            [f"{prefix}sessionstore_messages.session_id", f"{prefix}sessionstore_messages.id"],
            name="sessionstore_summaries_message_fkey",
            ondelete="CASCADE",
        ),
        schema=schema,
    )

    if op.get_context().dialect.name == "postgresql":
        compress_with_lz4(f'"{schema}".' if schema else "")
        say_that_sessions_are_long(f'"{schema}".' if schema else "")


def compress_with_lz4(prefix: str) -> None:
    """Faster than the default at the same size; a server built without it goes on with the default."""
    for table, column in (("parts", "text"), ("parts", "payload"), ("messages", "metadata")):
        op.execute(
            "DO $$ BEGIN "
            f"EXECUTE 'ALTER TABLE {prefix}sessionstore_{table} ALTER COLUMN {column} SET COMPRESSION lz4'; "
            "EXCEPTION WHEN feature_not_supported OR invalid_parameter_value OR syntax_error THEN NULL; "
            "END $$"
        )


def say_that_sessions_are_long(prefix: str) -> None:
    """Keep the planner from taking any index that starts with the session for a look-up by the whole key.

    Where most sessions have one message, statistics say that the session alone finds one row,
    and a long session would be read for each foreign key that is checked.
    """
    for table in ("messages", "parts"):
        op.execute(f"ALTER TABLE {prefix}sessionstore_{table} ALTER COLUMN session_id SET (n_distinct = -0.005)")


def downgrade() -> None:
    schema = op.get_context().opts.get("sessionstore_schema")
    if not op.get_context().opts.get("sessionstore_own_track") and not context.is_offline_mode():
        refuse_to_drop_sessions(schema)
    for table in ("summaries", "read_files", "parts", "messages", "sessions"):
        op.drop_table(f"sessionstore_{table}", schema=schema)


def refuse_to_drop_sessions(schema: str | None) -> None:
    """In a host's history, `downgrade -1` may mean the host's last revision, and take this one."""
    sessions = sa.table("sessionstore_sessions", schema=schema)
    count = op.get_bind().scalar(sa.select(sa.func.count()).select_from(sessions))
    if count and context.get_x_argument(as_dictionary=True).get("sessionstore") != "drop":
        raise RuntimeError(
            f"this would drop {count} sessions; to go back one revision of your own, name it; "
            "to drop them, add -x sessionstore=drop before the command"
        )
