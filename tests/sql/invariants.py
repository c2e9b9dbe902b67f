"""What must hold of the tables after anything that can happen."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore import SQLSessionStore, doctor

TOKENS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)

_BROKEN = {
    "counters don't equal rows": """
        SELECT s.id FROM sessionstore_sessions s
        LEFT JOIN sessionstore_messages m ON m.session_id = s.id GROUP BY s.id, s.message_count, s.last_seq
        HAVING count(m.seq) <> s.message_count OR coalesce(max(m.seq), 0) > s.last_seq""",
    "messages without a session": """
        SELECT session_id FROM sessionstore_messages WHERE session_id NOT IN (SELECT id FROM sessionstore_sessions)""",
    "parts without a message": """
        SELECT p.session_id FROM sessionstore_parts p LEFT JOIN sessionstore_messages m
        ON m.session_id = p.session_id AND m.seq = p.message_seq WHERE m.seq IS NULL""",
    "positions aren't dense": """
        SELECT session_id FROM sessionstore_parts GROUP BY session_id, message_seq
        HAVING max(position) <> count(*) - 1""",
    "read files without a session": """
        SELECT session_id FROM sessionstore_read_files
        WHERE session_id NOT IN (SELECT id FROM sessionstore_sessions)""",
    "summaries of dead messages": """
        SELECT u.session_id FROM sessionstore_summaries u LEFT JOIN sessionstore_messages m
        ON m.session_id = u.session_id AND m.id = u.message_id WHERE u.message_id IS NOT NULL AND m.id IS NULL""",
    **{
        f"{name} don't equal the sum": f"""
        SELECT s.id FROM sessionstore_sessions s LEFT JOIN sessionstore_messages m ON m.session_id = s.id
        GROUP BY s.id, s.{name}, s.base_{name} HAVING s.{name} <> s.base_{name} + coalesce(sum(m.{name}), 0)"""
        for name in TOKENS
    },
}


async def broken(engine: AsyncEngine) -> list[str]:
    """Return what doesn't hold, by SQL of our own for all tenants, and as the doctor finds it for the default one."""
    async with engine.connect() as connection:
        found = [law for law, query in _BROKEN.items() if (await connection.execute(text(query))).first() is not None]
    return found + [repr(problem) async for problem in doctor.check(SQLSessionStore(engine))]
