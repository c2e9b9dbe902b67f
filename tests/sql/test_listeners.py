"""The laws of engines that somebody listens to: what listeners do to a connection holds, and nothing is lost by it."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore import Message, Part, SessionInfo, SQLSessionStore, TextPart, ToolResultPart
from sessionstore.errors import InvalidValue, StoreUnavailable
from sessionstore.models.usage import MAX_TOKENS
from sessionstore.testing.build import ids, user
from tests.databases import upgrade

from .hosts import disposing
from .invariants import broken


def _run(connection: Any, sql: str) -> None:
    cursor = connection.cursor()
    cursor.execute(sql)
    cursor.close()


async def _appends_stay(store: SQLSessionStore) -> None:
    await store.create_session(SessionInfo(id="s"))
    for number in range(3):
        await store.save_message(user("s", id=f"m{number}"))
    await store.save_messages([user("s", id="m3"), user("s", id="m4")])
    async with SQLSessionStore.from_url(store.engine.url) as other:
        assert ids(await other.get_messages("s")) == ["m0", "m1", "m2", "m3", "m4"]
        assert await broken(other.engine) == []


@pytest.mark.parametrize("moment", ["checkout", "connect"])
async def test_a_pool_listener_that_leaves_a_transaction_open(postgresql_url: str, moment: str) -> None:
    """On our own engine an acknowledged append is committed, whatever a listener of the pool has begun before it."""
    async with SQLSessionStore.from_url(postgresql_url) as store:
        event.listen(
            store.engine.sync_engine,
            moment,
            lambda connection, *_: _run(connection, "SELECT set_config('a.b', 'c', false)"),
        )
        await _appends_stay(store)


def _on_begin(engine: AsyncEngine) -> None:
    event.listen(engine.sync_engine, "begin", lambda c: c.exec_driver_sql("SET LOCAL search_path = other"))


def _on_checkout(engine: AsyncEngine) -> None:
    event.listen(engine.sync_engine, "checkout", lambda c, *_: _run(c, "SET search_path = other"))


def _on_engine_connect(engine: AsyncEngine) -> None:
    event.listen(engine.sync_engine, "engine_connect", lambda c: c.exec_driver_sql("SET search_path = other"))


@pytest.mark.parametrize("listen", [_on_begin, _on_checkout, _on_engine_connect])
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_what_a_hosts_listener_sets_holds(
    empty_postgresql_url: str, listen: Callable[[AsyncEngine], None], driver: str
) -> None:
    """A host's listener that sets a search path (or a role) for each transaction sets it for all of ours."""
    await upgrade(empty_postgresql_url)
    await upgrade(empty_postgresql_url, schema="other")
    async with disposing(create_async_engine(empty_postgresql_url.replace("asyncpg", driver))) as engine:
        listen(engine)
        store = SQLSessionStore(engine)
        await store.create_session(SessionInfo(id="s"))
        await store.save_message(user("s", id="m"))
        assert ids(await store.get_messages("s")) == ["m"]
    async with SQLSessionStore.from_url(empty_postgresql_url, schema="other") as other:
        assert ids(await other.get_messages("s")) == ["m"]


async def test_sqlite_that_begins_nothing_by_itself(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With sqlite3's isolation_level=None a write of our own engine is still whole or absent."""
    options = {"connect_args": {"isolation_level": None}}
    async with SQLSessionStore.from_url(sqlite_url, engine_kwargs=options) as store:
        await store.create_session(SessionInfo(id="s"))
        bad = user("s", id="bad")
        with monkeypatch.context() as patch:
            patch.setattr("sessionstore.sql.changing._part_rows", _Broken.rows)
            with pytest.raises(_Broken):
                await store.save_message(bad)
        assert await store.get_messages("s") == []
        assert await broken(store.engine) == []
        assert (await store.save_message(bad)).seq == 1


class _Broken(Exception):
    @classmethod
    def rows(cls, *_: Any) -> Any:
        raise cls


async def test_an_autocommit_connection_is_refused() -> None:
    """sqlite3's autocommit=True would tear writes: it is refused, with the remedy."""
    with pytest.raises(InvalidValue, match="leave it out"):
        SQLSessionStore.from_url("sqlite+aiosqlite://", engine_kwargs={"connect_args": {"autocommit": True}})


async def test_a_slow_statement_costs_one_connection(postgresql_url: str) -> None:
    """A statement that takes too long costs its own connection, and no other of the pool's."""
    options = {"connect_args": {"command_timeout": 0.3}}
    async with SQLSessionStore.from_url(postgresql_url, engine_kwargs=options) as store:
        await store.create_session(SessionInfo(id="s"))
        await store.create_session(SessionInfo(id="locked"))
        made: list[int] = []
        event.listen(store.engine.sync_engine, "connect", lambda *_: made.append(1))
        async with disposing(create_async_engine(postgresql_url)) as other, other.begin() as holder:
            await holder.execute(text("SELECT 1 FROM sessionstore_sessions WHERE id = 'locked' FOR UPDATE"))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("sessionstore.sql.attempts.RETRY_SECONDS", 0)
                with pytest.raises(StoreUnavailable) as raised:
                    await store.save_message(user("locked"))
            assert raised.value.maybe_applied
            for _ in range(5):
                await store.save_message(user("s"))
        assert len(made) <= 1


async def test_tables_that_change_under_an_open_connection(empty_postgresql_url: str) -> None:
    """A plan that a migration made stale is planned again: the caller sees nothing of it."""
    async with SQLSessionStore.from_url(empty_postgresql_url, auto_upgrade=True) as store:
        await store.create_session(SessionInfo(id="s"))
        await store.update_session(SessionInfo(id="s", title="before"))
        await store.get_messages("s")
        async with disposing(create_async_engine(empty_postgresql_url)) as other, other.begin() as connection:
            await connection.execute(text("ALTER TABLE sessionstore_sessions ALTER COLUMN title TYPE varchar(500)"))
        assert (await store.update_session(SessionInfo(id="s", title="after"))).title == "after"
        await store.save_message(user("s"))


async def test_what_is_set_in_a_read_message(store: SQLSessionStore) -> None:
    """Of a message that was read all is known, whether pydantic made its parts or not."""
    await store.create_session(SessionInfo(id="s"))
    parts: list[Part] = [
        part
        for text in ("usual", "\0")
        for part in (TextPart(content=text), ToolResultPart(tool_call_id="c", tool_name="t", output=text))
    ]
    await store.save_message(Message(session_id="s", role="tool", parts=parts))
    (read,) = await store.get_messages("s")
    assert [part.model_dump(exclude_unset=True) for part in read.parts] == [part.model_dump() for part in parts]
    assert read.model_dump(exclude_unset=True) == read.model_dump()
    assert read.model_copy(update={"seq": None}) == read.model_validate(read.model_dump() | {"seq": None})


async def test_token_counts_that_add_up_to_too_much(store: SQLSessionStore) -> None:
    """A batch whose counts no database can add up is refused, and nothing of it is stored."""
    await store.create_session(SessionInfo(id="s"))
    usage = {"input_tokens": MAX_TOKENS, "output_tokens": MAX_TOKENS}
    with pytest.raises(InvalidValue, match="add up"):
        await store.save_messages([user("s", usage=usage) for _ in range(520)])
    assert await store.get_messages("s") == []
    assert await broken(store.engine) == []
