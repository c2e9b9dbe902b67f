"""What a large Postgres database costs over a small one: `python -m benchmarks.scale`.

1,000,000 sessions with 5,000,000 messages, against 1,000 sessions with 5,000, in one run and
interleaved. Messages have one part of 200 bytes here: it is the number of rows that is asked
about. One session of 1,000 messages in each database is what is read and appended to, and
appends go to sessions chosen at random too, whose pages are in no cache.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from typing import Any

import asyncpg

from benchmarks import content
from benchmarks.machine import machine
from benchmarks.measuring import Series
from benchmarks.processes import silence
from benchmarks.servers import Server, servers
from benchmarks.systems.own_tables import MESSAGE_COLUMNS, NO_TOKENS, TOKENS
from benchmarks.target import POOL, Target
from sessionstore import Message, SQLSessionStore

_EACH = 5
_LONG = content.long(1_000)
_OF_A_USER = 100
"""How many sessions each user has."""

_BYTES_A_SESSION = 7_000
"""What one session with its five messages takes on disk, with room for the log."""

_COUNTED = ", ".join((TOKENS, *(f"base_{name}" for name in TOKENS.split(", "))))
_SESSIONS = f"""
    INSERT INTO sessionstore_sessions (id, tenant_id, user_id, title, last_seq, last_message_at, turn_count,
        message_count, {_COUNTED}, metadata, created_at, updated_at)
    SELECT CASE WHEN n = 0 THEN '{_LONG}' ELSE 'session-' || n END, '', 'user-' || n % $3::bigint, 'New Session',
        length, at, 0, length, {NO_TOKENS}, {NO_TOKENS}, '{{}}', at, at
    FROM generate_series($1::bigint, $2::bigint) AS n,
        LATERAL (SELECT CASE WHEN n = 0 THEN 1000 ELSE {_EACH} END AS length,
            timestamptz '2025-01-01' + n * interval '1 second' AS at) AS made"""
_MESSAGES = f"""
    INSERT INTO sessionstore_messages ({MESSAGE_COLUMNS})
    SELECT s.id, seq, md5(s.id || seq), 'assistant', 0, false, 'complete', NULL, NULL, {NO_TOKENS}, NULL, '{{}}',
        last_message_at - (last_seq - seq) * interval '1 microsecond', last_message_at
    FROM unnest($1::text[]) AS chosen (id) JOIN sessionstore_sessions s USING (id),
        generate_series(1, last_seq) AS seq"""
_PARTS = """
    INSERT INTO sessionstore_parts (session_id, message_seq, position, id, type, text)
    SELECT id, seq, 0, md5(id || seq || 'part'), 'text', left(repeat(md5(id || seq), 7), 200)
    FROM unnest($1::text[]) AS chosen (id) JOIN sessionstore_sessions s USING (id),
        generate_series(1, last_seq) AS seq"""
_IDS = f"""
    SELECT array_agg(CASE WHEN n = 0 THEN '{_LONG}' ELSE 'session-' || n END)
    FROM generate_series($1::bigint, $2::bigint) AS n"""
_CHUNK = 50_000


async def seed(target: Target, sessions: int) -> None:
    """Fill a database, by INSERT … SELECT."""
    async with SQLSessionStore.from_url(target.url()) as store:
        await store.upgrade()
    connection: Any = await asyncpg.connect(target.location)
    try:
        for first in range(0, sessions, _CHUNK):
            ends = first, min(first + _CHUNK, sessions) - 1
            ids = await connection.fetchval(_IDS, *ends)
            async with connection.transaction():
                await connection.execute(_SESSIONS, *ends, max(1, sessions // _OF_A_USER))
                await connection.execute(_MESSAGES, ids)
                await connection.execute(_PARTS, ids)
            print(f"{ends[1] + 1:,} of {sessions:,} sessions", end="\r", file=sys.stderr, flush=True)
    finally:
        await connection.close()


def _message(session: str, number: int) -> Message:
    message = Message(session_id=session, role="assistant")
    message.add_text(content.TEXTS[content.variant(number)][:200])
    return message


class Subject:
    """One of the databases, and what is done on it."""

    def __init__(self, target: Target, sessions: int) -> None:
        self._store = SQLSessionStore.from_url(target.url(), engine_kwargs=POOL)
        self._sessions = sessions
        self._chosen = random.Random(5)
        self.close = self._store.close

    async def append(self, number: int) -> None:
        """Append to the session of 1,000 messages."""
        await self._store.save_message(_message(_LONG, number))

    async def append_anywhere(self, number: int) -> None:
        """Append to a session chosen at random."""
        session = f"session-{self._chosen.randrange(1, self._sessions)}"
        await self._store.save_message(_message(session, number))

    async def last(self, _number: int) -> None:
        """Read the last 20 messages."""
        await self._store.get_messages(_LONG, limit=20)

    async def page(self, _number: int) -> None:
        """List 50 sessions."""
        await self._store.list_sessions(archived=False, limit=50)

    async def page_of_user(self, _number: int) -> None:
        """List 50 sessions of one user."""
        await self._store.list_sessions(user_id="user-7", archived=False, limit=50)


_WORK = {
    "append 1": Subject.append,
    "append 1 to any session": Subject.append_anywhere,
    "last 20": Subject.last,
    "list 50": Subject.page,
    "list 50 of a user": Subject.page_of_user,
}


async def _measure(small: Subject, large: Subject, rounds: int, batch: int) -> dict[str, tuple[Series, Series]]:
    found = {title: (Series(), Series()) for title in _WORK}
    for number in range(rounds + 1):  # the first isn't counted
        for title, work in _WORK.items():
            subjects = list(zip((small, large), found[title], strict=True))
            for subject, series in reversed(subjects) if number % 2 else subjects:
                for turn in range(batch):
                    began = time.perf_counter()
                    await work(subject, number * batch + turn)
                    if number:
                        series.values.append((time.perf_counter() - began) * 1000)
    return found


async def _compare(server: Server, small: int, large: int, rounds: int) -> dict[str, tuple[Series, Series]]:
    targets = [server.new(), server.new()]
    try:
        for target, sessions in zip(targets, (small, large), strict=True):
            await seed(target, sessions)
            server.settled(target)
        subjects = [Subject(target, size) for target, size in zip(targets, (small, large), strict=True)]
        try:
            return await _measure(subjects[0], subjects[1], rounds, batch=20)
        finally:
            for subject in subjects:
                await subject.close()
    finally:
        for target in targets:
            server.drop(target)


def main() -> None:
    """Seed both databases, measure in turns, and print the ratios."""
    parser = argparse.ArgumentParser("python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000, help="in the large database, with 5 messages each")
    parser.add_argument("--small", type=int, default=1_000, help="in the small one")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    silence()
    needed, free = options.sessions * _BYTES_A_SESSION, shutil.disk_usage(tempfile.gettempdir()).free
    if free < needed:
        sys.exit(f"this needs {needed / 1e9:.0f} GB, and {free / 1e9:.0f} GB are free")
    with servers(["postgresql"]) as found:
        server = found["postgresql"]
        result = asyncio.run(_compare(server, options.small, options.sessions, options.rounds))
        about = machine()
        print(f"{server.description()}. {about['processor']}, {about['processors']} processors.\n")
    print(f"| | {options.small:,} sessions, ms | {options.sessions:,} sessions, ms | ratio |\n|---|---:|---:|---:|")
    for title, (few, many) in result.items():
        a, b = few.summary(), many.summary()
        figures = [f"{one['median']:.2f} ({one['low']:.2f} to {one['high']:.2f})" for one in (a, b)]
        print(f"| {title} | {figures[0]} | {figures[1]} | {b['median'] / a['median']:.2f} |")


if __name__ == "__main__":
    main()
