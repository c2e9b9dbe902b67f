"""The laws of what may be told: no password in any form, and no content in what we say or log."""

import asyncio
import logging
import pickle
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url
from sqlalchemy.engine import URL

from sessionstore import Message, SessionInfo, SQLSessionStore, doctor, migrate
from sessionstore.errors import SessionStoreError, StoreUnavailable
from sessionstore.sql import attempts
from sessionstore.testing.build import user

from .calls import CALLS, Target, filled_session
from .test_errors import ESCAPED, PASSWORD

SECRET = "content that nobody else may see"
ROLE = "sessionstore_test_secret"
DRIVERS = ("asyncpg", "psycopg")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "RETRY_SECONDS", 0.1)


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every logger's messages, down to DEBUG."""
    names = (
        "",
        "sessionstore",
        "sqlalchemy",
        "sqlalchemy.engine",
        "sqlalchemy.pool",
        "asyncio",
        "psycopg",
        "aiosqlite",
    )
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        yield caplog
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def assert_untold(told: str, secrets: tuple[str, ...] = (PASSWORD, ESCAPED, "s3cr")) -> None:
    for secret in secrets:
        assert secret not in told
        assert repr(secret)[1:-1] not in told


def told_of(error: BaseException) -> str:
    """Return everything that is printed of an error, what it came from and came up in included."""
    chain: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        if (one := todo.pop()) is not None and one not in chain:
            chain.append(one)
            todo += (one.__cause__, one.__context__)
    texts = [f"{one!r} {one} {one.args!r}" for one in chain]
    return "\n".join([*texts, *traceback.format_exception(error), str(pickle.dumps(str(error)))])


def _urls(url: URL) -> dict[str, str]:
    """Every way to write a password into a URL."""
    query = "&".join(f"{name}={value}" for name, value in url.query.items())
    address = f"{url.host or ''}{f':{url.port}' if url.port else ''}/{url.database}"
    return {
        "in front": f"{url.drivername}://{url.username}:{ESCAPED}@{address}?{query}",
        "as an option": f"{url.drivername}://{url.username}@{address}?{query}&password={ESCAPED}",
    }


WRONG: dict[str, dict[str, Any]] = {
    "password": {},
    "user": {"username": "nobody_of_that_name"},
    "database": {"database": "nothing_of_that_name"},
    "host": {"host": "nowhere.invalid", "query": {}},
    "port": {"host": "127.0.0.1", "port": 1, "query": {}},
}


def _works(store: SQLSessionStore, *, every: int) -> list[Callable[[], Awaitable[Any]]]:
    """Every method as a call, or every so many of them, and what works beside the store."""
    methods = [lambda call=call: call(store, Target("s")) for call in list(CALLS.values())[::every]]
    return [*methods, store.upgrade, lambda: migrate.check(store.engine), lambda: anext(doctor.check(store))]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("wrong", WRONG)
async def test_every_call_says_where_and_no_password(
    postgresql_url: str, driver: str, wrong: str, everything_logged: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong with a URL, each method says host and database, and nothing tells the password."""
    url = make_url(postgresql_url.replace("asyncpg", driver)).set(**WRONG[wrong])
    if wrong == "password":
        url = url.set(host="127.0.0.1", port=1, query={})
    for text in _urls(url).values():
        store = SQLSessionStore.from_url(text)
        objects = (store, store.engine, store.engine.pool, store.for_tenant("x"), store.events, vars(store))
        assert_untold(" ".join(f"{one!r} {one}" for one in objects))
        works = _works(store, every=1 if wrong == "port" else 4)
        for number, work in enumerate(works):
            with pytest.raises(StoreUnavailable) as raised:
                await work()
            assert_untold(told_of(raised.value))
            assert repr(url.database) in str(raised.value), number
            assert url.host is None or url.host in str(raised.value)
            if number > 2 and wrong in ("host", "database"):
                break  # a look-up each, and the same words
        await store.close()
    assert_untold(everything_logged.text)


@pytest.fixture
def guarded(postgresql_url: str) -> Iterator[URL]:
    """The URL of a role with a password, which the test server doesn't ask for."""
    url = make_url(postgresql_url)
    with closing(psycopg.connect(url.set(drivername="postgresql").render_as_string(False), autocommit=True)) as admin:
        admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(ROLE)))
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(PASSWORD)))
        yield url.set(username=ROLE)
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(ROLE)))


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_role_without_privileges(
    guarded: URL, driver: str, everything_logged: pytest.LogCaptureFixture
) -> None:
    """A role that may do nothing: each method's error is ours, and tells neither password nor content."""
    url = guarded.set(drivername=f"postgresql+{driver}")
    for text in _urls(url).values():
        async with SQLSessionStore.from_url(text) as store:
            for name, call in CALLS.items():
                with pytest.raises(SessionStoreError) as raised:
                    await call(store, Target(SECRET))
                assert raised.value.__cause__ is not None, name
                assert_untold(told_of(raised.value), (PASSWORD, ESCAPED, "s3cr", SECRET))
    assert_untold(everything_logged.text, (PASSWORD, ESCAPED, "s3cr", SECRET))


@pytest.fixture
async def echoing(database_url: str, everything_logged: pytest.LogCaptureFixture) -> AsyncIterator[SQLSessionStore]:
    """A store whose engine logs its statements."""
    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)  # DEBUG logs rows: that is SQLAlchemy's, and said so
    logging.getLogger("aiosqlite").setLevel(logging.INFO)  # logs each function that its thread runs, parameters and all
    async with SQLSessionStore.from_url(database_url, engine_kwargs={"echo": True}) as store:
        yield store


def _secret() -> Message:
    message = user("s", SECRET, id="m9", metadata={"key": SECRET})
    message.add_tool_call("c", "tool", {"argument": SECRET})
    return message


async def test_logs_hold_no_content(echoing: SQLSessionStore, everything_logged: pytest.LogCaptureFixture) -> None:
    """Engines that from_url makes log statements without parameters, and our own logger no content at all."""
    target = await filled_session(echoing)
    await echoing.save_message(_secret())
    for name, call in CALLS.items():
        try:
            await call(echoing, target)
        except SessionStoreError as error:
            assert_untold(told_of(error), (SECRET,))
        assert_untold(everything_logged.text, (SECRET,))
        assert name
    assert "INSERT INTO" in everything_logged.text  # they are logged indeed
    await asyncio.sleep(0)


async def test_refusals_hold_no_content(store: SQLSessionStore) -> None:
    """What refuses a message says its id and the place, and not what is in it."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_message(_secret())
    other = _secret()
    other.add_text(SECRET)
    bad = _secret()
    bad.metadata["key"] = {"deeper": [SECRET, {SECRET.encode()}]}
    calls = [
        store.save_message(other),
        store.save_messages([other, other]),
        store.save_message(bad),
        store.replace_message(bad),
        store.update_session_title("s", f"{SECRET}\0"),
        store.save_message(_secret().model_copy(update={"role": SECRET})),
        store.save_message(_secret().model_copy(update={"usage": {"input_tokens": SECRET}})),
        store.save_message(_secret().model_copy(update={"parts": [SECRET]})),
    ]
    for call in calls:
        with pytest.raises(SessionStoreError) as raised:
            await call
        assert_untold(told_of(raised.value), (SECRET,))
