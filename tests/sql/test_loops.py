"""The laws of event loops: a store that is used from a second one works, or says at once what is wrong."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool, Pool

from sessionstore import SessionInfo, SQLSessionStore
from sessionstore.errors import SessionStoreError
from sessionstore.testing.build import user

Call = Callable[[SQLSessionStore], Awaitable[Any]]

CALLS: tuple[Call, ...] = 3 * (
    lambda s: s.get_session("s"),
    lambda s: s.save_message(user("s")),
    lambda s: s.get_messages("s", limit=2),
    lambda s: s.pop_message("s"),
    lambda s: s.list_sessions(),
    lambda s: s.upgrade(),
)
BIND_NOTHING = ("sqlite", "psycopg")
"""What works from several loops: aiosqlite's and psycopg's connections belong to none."""


@pytest.fixture(params=["sqlite", "postgresql", "psycopg"])
def driver(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(driver: str, request: pytest.FixtureRequest) -> str:
    name = "sqlite" if driver == "sqlite" else "postgresql"
    url: str = request.getfixturevalue(f"{name}_url")
    return url.replace("asyncpg", "psycopg") if driver == "psycopg" else url


def _loop() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=asyncio.new_event_loop)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    with _loop() as runner:
        return runner.run(work)


async def _fill(store: SQLSessionStore) -> None:
    await store.create_session(SessionInfo(id="s"))
    await asyncio.gather(*(store.save_message(user("s")) for _ in range(3)))  # and so several connections


async def _outcomes(store: SQLSessionStore) -> list[str]:
    """Return what came of each call, and see that none took long."""
    found: list[str] = []
    for call in CALLS:
        started = time.monotonic()
        try:
            await call(store)
            found.append("done")
        except SessionStoreError as error:
            found.append(str(error))
        assert time.monotonic() - started < 5
    return found


def _assert_lawful(driver: str, outcomes: list[str]) -> None:
    if driver in BIND_NOTHING:
        assert set(outcomes) == {"done"}
    assert all(outcome == "done" or "event loop" in outcome for outcome in outcomes), outcomes


def test_in_turn(driver: str, url: str) -> None:
    """With one engine in two loops in turn each call works, or names the loop as the reason at once."""
    store = SQLSessionStore.from_url(url)
    with _loop() as first, _loop() as second:
        first.run(_fill(store))
        _assert_lawful(driver, second.run(_outcomes(store)))
        assert set(first.run(_outcomes(store))) == {"done"}
        first.run(store.engine.dispose())


def test_in_turn_after_dispose(driver: str, url: str) -> None:
    """An engine that is disposed of before its loop ends works in the next one."""
    store = SQLSessionStore.from_url(url)

    async def fill() -> None:
        await _fill(store)
        await store.engine.dispose()

    async def use() -> list[str]:
        found = await _outcomes(store)
        await store.engine.dispose()
        return found

    _run(fill())
    assert set(_run(use())) == {"done"}


def test_at_once(driver: str, url: str) -> None:
    """With one engine in two threads at once each call works or names the loop, and the first loop's go on."""
    store = SQLSessionStore.from_url(url)
    filled, over = threading.Event(), threading.Event()
    first: list[str] = []
    failed: list[Exception] = []

    async def work() -> None:
        await _fill(store)
        filled.set()
        while not over.is_set():
            first.extend(await _outcomes(store))
        await store.engine.dispose()

    def run() -> None:
        try:
            _run(work())
        except Exception as error:  # noqa: BLE001 - told in the test's own thread
            failed.append(error)
            filled.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert filled.wait(30)
    second: list[str] = []
    try:
        second = _run(_outcomes(store))
    finally:
        over.set()
        thread.join()
    assert failed == []
    _assert_lawful(driver, second)
    assert set(first) == {"done"}


def test_the_first_call_of_a_second_engine(url: str) -> None:
    """An engine for each loop, as the error advises, works."""
    for number in range(2):
        engine = create_async_engine(url)

        async def use(engine: AsyncEngine = engine, number: int = number) -> None:
            store = SQLSessionStore(engine)
            await store.create_session(SessionInfo(id=str(number)))
            await engine.dispose()

        _run(use())


@pytest.mark.parametrize(
    ("driver", "pool"),
    [*((driver, None) for driver in BIND_NOTHING), ("postgresql", NullPool)],
    indirect=["driver"],
)
def test_first_used_in_several_at_once(url: str, pool: type[Pool] | None) -> None:
    """An engine may be used for the first time in several event loops at once: none waits for ever."""
    options = {} if pool is None else {"poolclass": pool}
    store = SQLSessionStore.from_url(url, engine_kwargs=options)
    together, failed = threading.Barrier(5), list[BaseException]()

    async def work(number: int) -> None:
        together.wait()
        await store.upgrade()
        await store.create_session(SessionInfo(id=f"s{number}"))

    def run(number: int) -> None:
        try:
            _run(work(number))
        except BaseException as error:  # noqa: BLE001 - reported by the test
            failed.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert failed == []
    assert len(_run(store.list_sessions())) == 5
    _run(store.close())
