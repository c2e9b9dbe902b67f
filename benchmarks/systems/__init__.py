"""The systems, by the name that the command line knows them by."""

from importlib import import_module
from types import MappingProxyType

from benchmarks.system import System

SYSTEMS = MappingProxyType(
    {
        "limit": ("limit_postgresql:AsyncpgLimit", "limit_sqlite:SqliteLimit"),
        "sqlite3-thread": ("limit_sqlite:SqliteThread",),
        "aiosqlite": ("limit_aiosqlite:AiosqliteLimit",),
        "models": ("models:AsyncpgModels", "models:SqliteModels"),
        "sessionstore": ("sessionstore:FromUrl",),
        "sessionstore-host": ("sessionstore:OnHostEngine",),
        "sessionstore-items": ("sessionstore_items:AsSession",),
        "openai-sqlalchemy": ("openai_agents:SQLAlchemySessions",),
        "openai-sqlite": ("openai_agents:SQLiteSessions",),
        "google-adk": ("google_adk:DatabaseSessions",),
        "agno": ("agno:AgnoSessions",),
        "langgraph": ("langgraph:PostgresCheckpoints", "langgraph:SqliteCheckpoints"),
    }
)


def system_class(name: str, family: str) -> type[System] | None:
    """Return the adapter for a database, or `None` where there is none.

    Raises `ImportError` for what isn't installed.
    """
    for place in SYSTEMS[name]:
        module, attribute = place.split(":")
        found: type[System] = getattr(import_module(f"benchmarks.systems.{module}"), attribute)
        if family in found.families:
            return found
    return None
