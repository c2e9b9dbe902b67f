"""What a driver's error means, as one of ours. No message carries parameters, content or a password."""

import re
import sqlite3
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from asyncpg.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
    ClientConfigurationError,
    InterfaceError,
    InternalClientError,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import InterfaceError as SAInterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sessionstore.errors import InvalidValue, SchemaOutOfDate, SessionStoreError, StoreUnavailable

_SCHEMA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_OUTDATED = (
    "the tables are missing or too old; run `sessionstore db upgrade` or call `await store.upgrade()`, "
    "as auto_upgrade does on entering `async with store`"
)

_LOCKED = (
    "the database stayed locked by another connection; try again, or, if it is this task's own transaction "
    "that holds the lock, work inside that with store.bind(connection)"
)

_MISSING_OBJECTS = {"42P01", "42703", "3F000"}  # undefined table, undefined column, invalid schema name
_REPEATABLE = {"40001", "40P01", "23505"}  # serialization failure, deadlock; two writers of one id
_LOST = {"57P01", "57P02", "57P03", "25006"}  # shutdown, crash, starting up; read-only after a failover
_REFUSED = {
    "53300": "it has no connection left",
    "55P03": "a lock was not to be had in time",
    "57014": "the statement was cancelled, as by statement_timeout",
    "28000": "it doesn't know this user, or not from here",
    "28P01": "the password is wrong; in a URL, write @ # / : as %40 %23 %2F %3A",
    "3D000": "it has no such database; create it first",
    "42501": "the role lacks a privilege on the tables",
}
_UNKNOWN_OPTION = re.compile(r"connect\(\) got an unexpected keyword argument '(\w+)'")
_STARTUP_PARAMETER = re.compile(r"unsupported startup parameter: (\w+)")
_SQLITE_MISSING = re.compile(r"no such (table|column)|has no column named")
_SQLITE_BUSY = re.compile(r"database (table |schema )?is locked")
_WRONG_LOOP = re.compile(r"different (event )?loop|Event loop is closed")
_BUSY_CONNECTION = "another operation is in progress"
OTHER_LOOP = (
    "the engine's connections belong to another event loop: make an engine for each loop, "
    "`await engine.dispose()` before its loop ends, or use psycopg, as in sync code, whose connections work in several"
)


@dataclass(frozen=True)
class Failure:
    """An error of ours for a driver's, and what may be done about it."""

    error: SessionStoreError
    retryable: bool = False
    """Trying again soon may succeed."""

    outcome_unknown: bool = False
    """If this came while committing, it may have been committed."""


def check_schema_name(schema: str | None) -> None:
    """Raise `InvalidValue` unless the name of a database schema can stand in SQL as it is."""
    if schema is not None and not (isinstance(schema, str) and _SCHEMA_NAME.fullmatch(schema)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(
            f"schema: {schema!r:.100} isn't a plain name; use letters, digits and underscores, at most 63"
        )


def place_of(url: URL) -> str:
    """Return in words where a database is; nothing for a URL that may have its password in the wrong place."""
    query = {name: value if isinstance(value, str) else ",".join(value) for name, value in url.query.items()}
    host = query.get("host") or url.host or ""
    port = query.get("port") or url.port
    database = query.get("database") or query.get("dbname") or url.database or ""
    if "@" in f"{host}{port}{database}" or not (host or database):
        return ""
    on = f" on {host}{f':{port}' if port else ''}" if host else ""
    return f"database {database!r}{on}"


def failure_of(error: Exception, place: str = "") -> Failure | None:
    """Return what an error means, or `None` for one that is nobody's but the program's.

    `place` is added where it helps, which is when the database isn't to be had.
    """
    failure = _failure_of(error)
    if failure is None or not place or not isinstance(failure.error, StoreUnavailable):
        return failure
    return replace(failure, error=StoreUnavailable(f"{failure.error} [{place}]"))


def _failure_of(error: Exception) -> Failure | None:
    if isinstance(error, PoolTimeoutError):
        return Failure(StoreUnavailable("no connection became free in the engine's pool; enlarge it or its timeout"))
    if isinstance(error, DBAPIError):
        return _database_failure(error, error.orig)
    if isinstance(error, sqlite3.Error):
        return _database_failure(error, error)
    state = getattr(error, "sqlstate", None)  # asyncpg's own errors, which come as they are while connecting
    if isinstance(state, str):
        return _by_state(state, error)
    if isinstance(error, ClientConfigurationError):
        return Failure(InvalidValue("url: the driver can't use an option's value; see the error's cause"))
    if isinstance(error, RuntimeError) and _WRONG_LOOP.search(str(error)):
        return Failure(SessionStoreError(OTHER_LOOP))
    if isinstance(error, TimeoutError):
        slow = StoreUnavailable(f"the database didn't answer in time ({_name(error)})")
        return Failure(slow, retryable=True, outcome_unknown=True)
    if isinstance(error, (OSError, InterfaceError, InternalClientError)) or _is_psycopgs(error):
        return _lost(f"the database can't be reached ({_name(error)})")
    if isinstance(error, SQLAlchemyError):  # a closed connection, a transaction that must be rolled back first
        return Failure(SessionStoreError(f"the connection can't be used ({_name(error)}); see the error's cause"))
    if isinstance(error, OverflowError):  # asyncpg's; infinity it gives as something else
        return Failure(SessionStoreError("a row holds a time outside the years 1 to 9999, which Python can't hold"))
    if isinstance(error, TypeError) and (option := _UNKNOWN_OPTION.search(str(error))):
        return Failure(InvalidValue(f"url: the driver has no option {option[1]!r}; give its own in connect_args"))
    return None


def _is_psycopgs(error: Exception) -> bool:
    """Whether it is psycopg's error for a connection, as it comes where SQLAlchemy passes it on as it is."""
    driver = sys.modules.get("psycopg")  # an optional dependency: who has such an error has it loaded
    return driver is not None and isinstance(error, driver.OperationalError)


def reported_by_server(error: Exception) -> bool:
    """Whether a database server answered with this error, and so is ready for what comes next."""
    return isinstance(_state(getattr(error, "orig", error)), str)


@contextmanager
def translated(place: str = "") -> Generator[None]:
    """Raise our error from the driver's, with the database's place where `failure_of` adds it."""
    try:
        yield
    except SessionStoreError:
        raise
    except Exception as error:
        failure = failure_of(error, place)
        if failure is None:
            raise
        raise failure.error from error


def _database_failure(error: DBAPIError | sqlite3.Error, original: BaseException | None) -> Failure:
    state = _state(original)
    if isinstance(state, str):
        return _by_state(state, original)
    if _BUSY_CONNECTION in str(original):
        return Failure(SessionStoreError(f"a connection is in use by another task, or {OTHER_LOOP}"))
    if getattr(error, "connection_invalidated", False) or _is_connection_loss(original):
        return _lost(f"the connection to the database was lost ({_name(original)})")
    if isinstance(original, sqlite3.Error):
        return _by_text(original)
    if isinstance(error, OperationalError):  # a server's errors have a SQLSTATE: there was no server to give it
        return _startup_failure(original) or _lost(f"the database can't be reached ({_name(original)})")
    return _refused(original, isinstance(error, SAInterfaceError))


def _by_text(original: sqlite3.Error) -> Failure:
    text = str(original)
    if _SQLITE_MISSING.search(text):
        return Failure(SchemaOutOfDate(_OUTDATED))
    if _SQLITE_BUSY.search(text):
        return Failure(StoreUnavailable(_LOCKED))
    return _refused(original, isinstance(original, sqlite3.OperationalError))


def _refused(original: BaseException | None, operational: bool) -> Failure:
    if operational:
        refused = StoreUnavailable(f"the database refused ({_name(original)}); is it reachable and writable?")
        return Failure(refused, outcome_unknown=True)  # a disk's error, while committing: who knows
    return Failure(SessionStoreError(f"the database reported {_name(original)}"))


def _by_state(state: str, original: BaseException | None) -> Failure:
    name = f"{_name(original)}, SQLSTATE {state}"
    if state in _MISSING_OBJECTS:
        return Failure(SchemaOutOfDate(_OUTDATED))
    if state in _REPEATABLE:
        return Failure(StoreUnavailable(f"a concurrent transaction got in the way ({name}); try again"), retryable=True)
    if state == "0A000" and "cached" in str(original):
        stale = StoreUnavailable(f"the tables were changed while a connection was open ({name}); try again")
        return Failure(stale, retryable=True)
    if state == "08P01" and (refused := _startup_failure(original)):
        return refused
    if state in _LOST or state.startswith("08"):
        return _lost(f"the connection to the database was lost ({name})")
    if state in _REFUSED or state.startswith("53"):
        reason = _REFUSED.get(state, "it is out of resources")
        return Failure(StoreUnavailable(f"the database server refused: {reason} ({name})"))
    if state in {"26000", "42P05"}:
        return Failure(
            StoreUnavailable(
                f"a prepared statement got lost ({name}): behind PgBouncer use from_url(..., pgbouncer=True), "
                "or create the engine with statement_cache_size=0 and prepared_statement_cache_size=0 "
                "(psycopg: prepare_threshold=None)"
            )
        )
    if state.startswith("22"):
        return Failure(InvalidValue(f"the database can't hold a value ({name})"))
    return Failure(SessionStoreError(f"the database reported an error ({name})"))


def _startup_failure(original: BaseException | None) -> Failure | None:
    """Return what it means that PgBouncer refuses an option of the connection's, if that is what it says."""
    refused = _STARTUP_PARAMETER.search(str(original))
    return refused and Failure(
        InvalidValue(
            f"engine: the pooler refuses the connection option {refused[1]!r}; leave it out of connect_args, "
            "or name it in PgBouncer's ignore_startup_parameters"
        )
    )


def _state(original: BaseException | None) -> object:
    return getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)


def _lost(message: str) -> Failure:
    return Failure(StoreUnavailable(message), retryable=True, outcome_unknown=True)


def _is_connection_loss(original: BaseException | None) -> bool:
    cause = original
    while cause is not None:
        if isinstance(cause, (ConnectionError, InterfaceError, InternalClientError)):
            return True
        cause = cause.__cause__
    return False


def _name(error: BaseException | None) -> str:
    while error is not None and error.__cause__ is not None:  # SQLAlchemy's adapters wrap the driver's error
        error = error.__cause__
    return type(error).__name__
