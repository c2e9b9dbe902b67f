"""The laws of what is shipped: wheel and source distribution hold the migrations, and upgrade from where they are."""

import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import SQLSessionStore, migrate
from tests.databases import run as run_coroutine
from tests.sql.hosts import disposing

from .processes import ROOT, run
from .structure import structure

SHIPPED = {
    "env.py",
    "script.py.mako",
    *(f"versions/{path.name}" for path in (ROOT / "migrations/versions").glob("*.py")),
}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with a source distribution, and the wheel that was built of it and of nothing else."""
    folder = tmp_path_factory.mktemp("distributions")
    done = run_coroutine(run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)))
    assert done.code == 0, done.errors
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    """The wheel."""
    (wheel,) = distributions.glob("*.whl")
    return wheel


def test_the_wheel_holds_the_migrations(wheel: Path) -> None:
    """The wheel holds env.py, the template and every revision, as files and not as links, and no tests."""
    with zipfile.ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    assert {name for name in sizes if name.startswith("sessionstore/migrations/")} == {
        f"sessionstore/migrations/{name}" for name in SHIPPED
    }
    for name in SHIPPED:
        assert sizes[f"sessionstore/migrations/{name}"] == (ROOT / "migrations" / name).stat().st_size
    assert {name.split("/")[0] for name in sizes if ".dist-info/" not in name} == {"sessionstore"}


def test_the_wheel_holds_the_package(wheel: Path) -> None:
    """The wheel holds every file of the package: the laws of `sessionstore.testing` and `py.typed` too."""
    files = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.*") if path.suffix != ".pyc"}
    with zipfile.ZipFile(wheel) as archive:
        assert {"sessionstore/testing/laws/messages.py", "sessionstore/py.typed"} <= files <= set(archive.namelist())


def test_the_source_distribution_holds_the_migrations(distributions: Path) -> None:
    """The source distribution holds the migrations, alembic.ini and the tests."""
    (archive,) = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        names = {name.split("/", 1)[1] for name in source.getnames() if "/" in name}
    assert {f"migrations/{name}" for name in SHIPPED} <= names
    assert {"alembic.ini", "pyproject.toml", "README.md", "LICENSE", "tests/conftest.py"} <= names


_UPGRADE = """
import asyncio, pathlib, sys

target = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(target))  # before the environment's own installation, whatever kind that is

import sessionstore
from sessionstore import SessionInfo, SQLSessionStore, migrate

assert pathlib.Path(sessionstore.__file__).is_relative_to(target), sessionstore.__file__
assert pathlib.Path(migrate.versions_location()).is_relative_to(target), migrate.versions_location()
assert "CREATE TABLE" in migrate.sql("sqlite")

async def main():
    for url in sys.argv[2:]:
        async with SQLSessionStore.from_url(url, auto_upgrade=True) as store:
            assert await migrate.check(store.engine)
            await store.create_session(SessionInfo(id="from the wheel"))

asyncio.run(main())
"""


async def test_the_wheel_upgrades(
    wheel: Path, tmp_path: Path, empty_sqlite_url: str, empty_postgresql_url: str
) -> None:
    """Installed elsewhere, with no source on the path, the wheel upgrades both databases to the same tables."""
    target = tmp_path / "installed"
    pip = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index", "--target")
    installed = await run(sys.executable, *pip, str(target), str(wheel))
    assert installed.code == 0, installed.errors
    urls = (empty_sqlite_url, empty_postgresql_url)
    done = await run(sys.executable, "-c", _UPGRADE, str(target), *urls, cwd=tmp_path)
    assert done.code == 0, done.errors
    for url in urls:
        async with disposing(create_async_engine(url)) as upgraded:
            assert await migrate.check(upgraded)
            store = SQLSessionStore(upgraded)
            assert [info.id for info in await store.list_sessions()] == ["from the wheel"]
            found = await structure(upgraded)
            await migrate.downgrade(upgraded, revision="base")
            await store.upgrade()
            assert await structure(upgraded) == found
