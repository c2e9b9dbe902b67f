"""What databases can and can't do, as named capabilities: the only file that says which is which.

Two families are known. A Postgres-compatible engine under another name belongs to the
Postgres family when its SQLAlchemy dialect derives from that one.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    DateTime,
    Dialect,
    String,
    Table,
    TableValuedAlias,
    Text,
    TypeDecorator,
    bindparam,
    column,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement

from sessionstore.errors import InvalidValue
from sessionstore.models.base import LATEST, utcnow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Capabilities:
    """How a family of databases does what the store needs."""

    locks_rows: bool
    """`SELECT … FOR UPDATE` locks the session's row. Without it, a write to the row takes the one write
    lock there is; it must be the transaction's first statement, since a reader can't become the writer."""

    writes_in_ctes: bool
    """INSERT and UPDATE may stand in a WITH clause, so that one statement, one round trip, appends a message."""

    advisory_locks: bool
    """`pg_advisory_xact_lock` serialises migrations. Without it BEGIN IMMEDIATE does, and must be sent by
    hand, because the driver begins no transaction before DDL."""

    isolation_level: str | None
    """What turns an autocommit connection into a transactional one, until it goes back to the pool. Without it
    BEGIN IMMEDIATE is sent by hand: the driver would not be set back to what the host had set."""

    insert: Callable[[Table], "postgresql.Insert | sqlite.Insert"]
    """INSERT with ON CONFLICT, which SQLAlchemy has once a dialect."""

    row_level_security: bool
    """The database can hide rows itself (`sessionstore.rls`)."""

    interruptible: bool
    """A statement whose caller is cancelled can be given up. Without it the driver's thread runs on, and the
    connection would be thrown away with it, and with that a database in memory."""

    autocommit: bool
    """A statement outside a transaction saves the round trips of BEGIN and COMMIT. Where the driver begins no
    transaction for reads anyway, asking for it would only cost; and psycopg's connection must be asked, which may
    fail when it goes back to the pool."""


_POSTGRESQL = Capabilities(
    locks_rows=True,
    writes_in_ctes=True,
    advisory_locks=True,
    isolation_level="READ COMMITTED",
    insert=postgresql.insert,
    row_level_security=True,
    interruptible=True,
    autocommit=True,
)
_BY_PSYCOPG = replace(_POSTGRESQL, autocommit=False)
_SQLITE = Capabilities(
    locks_rows=False,
    writes_in_ctes=False,
    advisory_locks=False,
    isolation_level=None,
    insert=sqlite.insert,
    row_level_security=False,
    interruptible=False,
    autocommit=False,
)


def capabilities_of(dialect: Dialect) -> Capabilities:
    """Return the capabilities of a dialect. Raises `InvalidValue` for a database that isn't supported."""
    if dialect.name == "sqlite":
        return _SQLITE
    if isinstance(dialect, PGDialect):
        return _POSTGRESQL if dialect.driver == "asyncpg" else _BY_PSYCOPG
    raise InvalidValue(f"engine: the dialect {dialect.name!r} isn't supported; use SQLite or PostgreSQL")


def binds_to_loop(dialect: Dialect) -> bool:
    """Whether the driver's connections work only in the event loop that made them.

    aiosqlite's have a thread of their own, and psycopg's ask for the loop at each call.
    """
    return dialect.driver == "asyncpg"


# Column types


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime with microseconds: `timestamptz`, or an integer on SQLite, which has no type for times."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Return the column's type."""
        kind: Any = BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True)
        return dialect.type_descriptor(kind)

    def bind_processor(self, dialect: Dialect) -> Any:
        """Return what makes of a time what the driver is given, where that is another thing."""
        return _to_microseconds if dialect.name == "sqlite" else None

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ARG002
        """Return what makes the time of what the driver gives; `None` where that is the time in UTC."""
        if dialect.name == "sqlite":
            return _from_microseconds
        return None if dialect.driver == "asyncpg" else _in_utc


def _to_microseconds(time: datetime | None) -> int | None:
    return None if time is None else (time - _EPOCH) // _MICROSECOND


def _from_microseconds(value: Any) -> Any:
    """Return the time, or what can't be one as it is: the model's check names the row."""
    try:
        return None if value is None else _EPOCH + value * _MICROSECOND
    except (OverflowError, TypeError):
        return repr(value)


def _in_utc(value: Any) -> Any:
    """Return the time, which drivers may give in the connection's time zone."""
    if isinstance(value, str):  # what is no instant to the driver: the model's check names the row
        return repr(value)
    return value if value is None or value.tzinfo in (UTC, None) else value.astimezone(UTC)


class _TextList(TypeDecorator[list[str]]):
    """A list of texts as one parameter, however long: an array, or JSON where there are none."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        kind: Any = Text() if dialect.name == "sqlite" else postgresql.ARRAY(Text())
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> Any:
        return json.dumps(value) if dialect.name == "sqlite" else value


Key = String().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Ids and hashes, in byte order: the same everywhere, and no index that a glibc upgrade corrupts."""


PAGE_SIZE: BindParameter[int] = bindparam("page_size", type_=BigInteger())
"""The parameter of a LIMIT: any size that a caller may give."""


# Expressions that are spelled differently


class now(FunctionElement[datetime]):  # noqa: N801 - named as SQL functions are
    """The present time: the server's, or the process's where the database has no clock worth the name."""

    type = Instant()
    inherit_cache = True


class strictly_after(FunctionElement[datetime]):  # noqa: N801
    """`strictly_after(time, previous)`: the time, or a microsecond after the previous one if that is later."""

    type = Instant()
    inherit_cache = True


class unindexed(FunctionElement[str]):  # noqa: N801
    """`unindexed(column)`: the column, but no reason to use an index that starts with it.

    For SQLite, which keeps no statistics. Others know better, and see the column.
    """

    type = Key
    inherit_cache = True


class any_of(FunctionElement[Any]):  # noqa: N801
    """`any_of(column, select.scalar_subquery())`: whether the column's value is one that the query gives.

    The query comes first, whatever Postgres thinks of the sizes: as a join with a table that was never analysed it
    may read a whole session. It has no boolean type: SQLAlchemy would compare one with 1 on SQLite, and no index is
    used then.
    """

    inherit_cache = True


class each_text(FunctionElement[str]):  # noqa: N801
    """`each_text(parameter)`: a table of the texts of a list; `texts_of` makes it one for all databases."""

    inherit_cache = True


class seconds_ago(FunctionElement[datetime]):  # noqa: N801
    """`seconds_ago(n)`: the time n seconds before `now()`."""

    type = Instant()
    inherit_cache = True


def texts_of(name: str) -> TableValuedAlias:
    """Return a table of one column, `value`: the texts of a parameter that takes a list of them."""
    # Where a function's only column is called after its alias, and where it is always `value`.
    return each_text(bindparam(name, type_=_TextList())).table_valued(column("value", Text()), name="value")


@compiles(now)
def _now(_element: Any, _compiler: SQLCompiler, **_options: Any) -> str:
    return "clock_timestamp()"


@compiles(now, "sqlite")
def _now_sqlite(_element: Any, compiler: SQLCompiler, **options: Any) -> str:
    # SQLite's own clock has milliseconds. The callable is asked at each execution, not once.
    return compiler.process(bindparam("sessionstore_now", callable_=utcnow, type_=Instant()), **options)


@compiles(strictly_after)
def _strictly_after(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    time, previous = (compiler.process(clause, **options) for clause in element.clauses)
    return f"least(greatest({time}, {previous} + interval '1 microsecond'), timestamptz '{LATEST.isoformat()}')"


@compiles(strictly_after, "sqlite")
def _strictly_after_sqlite(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    time, previous = (compiler.process(clause, **options) for clause in element.clauses)
    return f"min(max({time}, {previous} + 1), {(LATEST - _EPOCH) // _MICROSECOND})"


@compiles(unindexed)
def _unindexed(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(unindexed, "sqlite")
def _unindexed_sqlite(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


@compiles(seconds_ago)
def _seconds_ago(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    return f"clock_timestamp() - {compiler.process(element.clauses, **options)} * interval '1 second'"


@compiles(seconds_ago, "sqlite")
def _seconds_ago_sqlite(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    return f"{compiler.process(now(), **options)} - {compiler.process(element.clauses, **options)} * 1000000"


@compiles(any_of)
def _any_of(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY (ARRAY{values})"


@compiles(any_of, "sqlite")
def _any_of_sqlite(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN {values}"


@compiles(each_text)
def _each_text(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    return f"unnest({compiler.process(element.clauses, **options)})"


@compiles(each_text, "sqlite")
def _each_text_sqlite(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"
