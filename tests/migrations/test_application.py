"""The laws of an application with tables and an Alembic history of its own: neither history touches the other's."""

import io
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, inspect, make_url, text
from sqlalchemy.engine import Engine

from sessionstore import Message, SessionInfo, SQLSessionStore, TextPart, migrate
from tests.databases import TABLES, run

OURS = {*TABLES, migrate.VERSION_TABLE}
THEIRS = {"sessions", "messages", "alembic_version"}

_INI = """
[alembic]
script_location = %(here)s/alembic
path_separator = newline
"""

_ENV = """
from alembic import context
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, create_engine, pool
from sessionstore.migrate import include_name

metadata = MetaData()
Table("sessions", metadata, Column("id", Integer, primary_key=True), Column("user", String(50), nullable=False))
Table(
    "messages", metadata,
    Column("id", Integer, primary_key=True),
    Column("session_id", ForeignKey("sessions.id"), index=True),
    Column("body", String(200)),
    # MORE
)

options = context.config.attributes
with create_engine(options["url"], poolclass=pool.NullPool).connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        include_schemas=options.get("include_schemas", False),
        **({"include_name": include_name} if options.get("include_name", True) else {}),
    )
    with context.begin_transaction():
        context.run_migrations()
"""

_MAKO = '''"""${message}"""
from alembic import op
import sqlalchemy as sa
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}

def upgrade():
    ${upgrades if upgrades else "pass"}

def downgrade():
    ${downgrades if downgrades else "pass"}
'''


@dataclass
class Application:
    """A host's project in a folder: its alembic.ini, env.py and versions, and its database."""

    folder: Path
    url: str
    engine: Engine
    options: dict[str, Any]

    def __post_init__(self) -> None:
        (self.folder / "alembic" / "versions").mkdir(parents=True)
        (self.folder / "alembic.ini").write_text(_INI)
        (self.folder / "alembic" / "env.py").write_text(_ENV)
        (self.folder / "alembic" / "script.py.mako").write_text(_MAKO)

    def config(self) -> Config:
        """Return Alembic's configuration, as its command reads it."""
        config = Config(self.folder / "alembic.ini", stdout=io.StringIO())
        config.attributes.update(url=self.engine.url, **self.options)
        return config

    def one_track(self) -> None:
        """Add our folder of revisions to the host's."""
        locations = f"version_locations =\n    %(here)s/alembic/versions\n    {migrate.versions_location()}\n"
        (self.folder / "alembic.ini").write_text(_INI + locations)

    def autogenerate(self, message: str = "auto", **options: Any) -> str:
        """Have Alembic write a revision, and return what its upgrade would do."""
        script: Any = command.revision(self.config(), message=message, autogenerate=True, **options)
        upgrade = Path(script.path).read_text().split("def upgrade():")[1].split("def downgrade():")[0]
        return "\n".join(line.strip() for line in upgrade.splitlines() if line.strip() and "###" not in line)

    def forget_last(self) -> None:
        """Remove the newest revision's file."""
        max((self.folder / "alembic" / "versions").glob("*.py"), key=lambda path: path.stat().st_mtime_ns).unlink()

    def tables(self, schema: str | None = None) -> set[str]:
        """Return the names of the tables in the database."""
        return set(inspect(self.engine).get_table_names(schema=schema))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what SQL finds."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def start(self) -> None:
        """Make the host's tables by the host's first revision, and put rows into them."""
        self.autogenerate("first")
        command.upgrade(self.config(), "head")
        with self.engine.begin() as connection:
            connection.execute(text("INSERT INTO sessions VALUES (1, 'ann')"))
            connection.execute(text("INSERT INTO messages VALUES (7, 1, 'theirs')"))

    def theirs(self) -> list[Any]:
        """Return all that is the host's: rows, version, columns and indexes."""
        inspector = inspect(self.engine)
        columns = [[str(column) for column in inspector.get_columns(table)] for table in sorted(THEIRS)]
        indexes = [sorted(map(str, inspector.get_indexes(table))) for table in sorted(THEIRS)]
        return [self.rows(f"SELECT * FROM {table}") for table in sorted(THEIRS)] + columns + indexes

    def store_something(self, schema: str | None = None) -> None:
        """Upgrade our tables by our own call, and store a message."""

        async def act() -> None:
            async with SQLSessionStore.from_url(self.url, schema=schema, auto_upgrade=True) as store:
                await self.save(store)

        run(act())

    def save(self, store: SQLSessionStore) -> Any:
        """Store a session with a message."""

        async def act() -> None:
            await store.create_session(SessionInfo(id="s"))
            await store.save_message(Message(session_id="s", role="user", parts=[TextPart(content="ours")]))

        return act()

    def is_stored(self, schema: str | None = None) -> bool:
        """Whether the message that was stored is there, as the store reads it."""

        async def act() -> bool:
            async with SQLSessionStore.from_url(self.url, schema=schema) as store:
                return [m.get_text_content() for m in await store.get_messages("s")] == ["ours"]

        return run(act())

    def version(self) -> set[str]:
        """Return what the host's version table says."""
        return {row[0] for row in self.rows("SELECT version_num FROM alembic_version")}


def _application(folder: Path, url: str) -> Iterator[Application]:
    parsed = make_url(url)
    driver = "sqlite" if parsed.get_backend_name() == "sqlite" else "postgresql+psycopg"
    engine = create_engine(parsed.set(drivername=driver))
    yield Application(folder / "application", url, engine, {})
    engine.dispose()


@pytest.fixture
def application(tmp_path: Path, empty_database_url: str) -> Iterator[Application]:
    """An application on a database without tables."""
    yield from _application(tmp_path, empty_database_url)


@pytest.fixture
def postgres_application(tmp_path: Path, empty_postgresql_url: str) -> Iterator[Application]:
    """An application on a PostgreSQL database without tables."""
    yield from _application(tmp_path, empty_postgresql_url)


def _add_column(application: Application) -> None:
    env = application.folder / "alembic" / "env.py"
    env.write_text(env.read_text().replace("# MORE", 'Column("note", String(9)),'))


def test_own_track(application: Application) -> None:
    """On a track of our own the host's next autogenerate proposes nothing, and loses nothing of anybody's."""
    application.start()
    theirs = application.theirs()
    application.store_something()
    assert application.theirs() == theirs
    assert application.tables() == THEIRS | OURS
    assert application.autogenerate() == "pass"
    command.upgrade(application.config(), "head")
    command.check(application.config())
    assert application.is_stored()
    _add_column(application)
    change = application.autogenerate()
    assert "note" in change
    assert "sessionstore" not in change
    command.upgrade(application.config(), "head")
    command.downgrade(application.config(), "-1")
    command.upgrade(application.config(), "head")
    assert application.is_stored()
    assert application.rows("SELECT body, note FROM messages") == [("theirs", None)]


def test_without_include_name_they_would_be_dropped(application: Application) -> None:
    """Without include_name the host's next autogenerate proposes to drop our tables: that is what it is for."""
    application.start()
    application.store_something()
    application.options["include_name"] = False
    change = application.autogenerate()
    assert {table for table in OURS if f"op.drop_table('{table}')" in change} == OURS
    application.forget_last()
    application.options["include_name"] = True
    assert application.autogenerate() == "pass"


def test_own_track_in_a_schema(postgres_application: Application) -> None:
    """A host that looks at all schemas leaves ours alone too, in a schema of our own and beside its tables."""
    application = postgres_application
    application.options["include_schemas"] = True
    application.start()
    theirs = application.theirs()
    application.store_something("agents")
    application.store_something()
    assert application.theirs() == theirs
    assert application.tables("agents") == OURS
    assert application.autogenerate() == "pass"
    application.forget_last()
    application.options["include_name"] = False
    assert "schema='agents'" in application.autogenerate()
    assert application.is_stored("agents")


def test_the_host_goes_down_and_ours_stays(application: Application) -> None:
    """The host's history down to base and up again leaves ours; ours down to base and up again leaves the host's."""
    application.start()
    application.store_something()
    command.downgrade(application.config(), "base")
    assert application.tables() == OURS | {"alembic_version"}
    assert application.is_stored()
    command.upgrade(application.config(), "head")
    theirs = application.theirs()

    async def down_and_up() -> None:
        async with SQLSessionStore.from_url(application.url) as store:
            await migrate.downgrade(store.engine, revision="base")
            assert application.tables() - {migrate.VERSION_TABLE} == THEIRS
            await store.upgrade()

    run(down_and_up())
    assert application.theirs() == theirs
    assert application.tables() == THEIRS | OURS


def test_ours_comes_first(application: Application) -> None:
    """Our tables may be there before the host's first revision, which takes no notice of them."""
    application.store_something()
    application.start()
    assert application.tables() == THEIRS | OURS
    assert application.is_stored()


def test_one_track(application: Application) -> None:
    """On one track `upgrade heads` brings both histories to their heads in one version table, and the store works."""
    application.start()
    (theirs,) = application.version()
    application.one_track()
    command.upgrade(application.config(), "heads")
    assert application.version() == {theirs, "ss0001"}
    assert application.tables() == THEIRS | set(TABLES)

    async def act() -> None:
        async with SQLSessionStore.from_url(application.url) as store:
            await application.save(store)

    run(act())
    assert application.is_stored()
    command.check(application.config())
    _add_column(application)
    change = application.autogenerate(head=theirs)
    assert "note" in change
    assert "sessionstore" not in change
    command.upgrade(application.config(), "heads")
    assert application.is_stored()
    assert len(application.version()) == 2


def test_one_track_down(application: Application) -> None:
    """On one track each history goes down by itself: the host's leaves ours, and ours, told twice, the host's."""
    application.start()
    (theirs,) = application.version()
    application.one_track()
    command.upgrade(application.config(), "heads")

    async def act() -> None:
        async with SQLSessionStore.from_url(application.url) as store:
            await application.save(store)

    run(act())
    command.downgrade(application.config(), f"{theirs}@base")
    assert application.tables() == {"alembic_version", *TABLES}
    assert application.version() == {"ss0001"}
    assert application.is_stored()
    command.upgrade(application.config(), "heads")
    with pytest.raises(RuntimeError, match="1 sessions"):
        command.downgrade(application.config(), "sessionstore@base")
    assert application.is_stored()
    confirmed = application.config()
    confirmed.cmd_opts = Namespace(x=["sessionstore=drop"])
    command.downgrade(confirmed, "sessionstore@base")
    assert application.tables() == THEIRS
    assert application.version() == {theirs}
    command.upgrade(application.config(), "sessionstore@head")
    assert application.tables() == THEIRS | set(TABLES)
