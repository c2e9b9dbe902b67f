"""The class that a store's tests inherit."""

from types import ModuleType

import pytest

from sessionstore.testing.laws import (
    arguments,
    batches,
    cancelling,
    deleting,
    idempotency,
    listing,
    message_times,
    messages,
    ordering,
    read_files,
    reading,
    recover,
    refused_sessions,
    replacing,
    save_session,
    sessions,
    summaries,
    turns,
    usage,
    values,
)


def _in(laws: ModuleType) -> type | None:
    """Return the laws of a file as a class of tests, under the file's docstring."""
    tests = {name: staticmethod(law) for name, law in vars(laws).items() if name.startswith("test_")}
    return type(laws.__name__, (), {"__doc__": laws.__doc__, **tests})


class SessionStoreLaws:
    """Every law of `SessionStore`, as tests for pytest: inherit them, and give a fixture `store`.

    The fixture returns the store under test, with nothing in it, anew for each test. A law's
    docstring says it in one line. A group that a store doesn't keep is left out by setting it
    to `None`, which says so where its readers look.
    """

    pytestmark = pytest.mark.asyncio  # for hosts that don't run pytest-asyncio in auto mode

    TestArguments = _in(arguments)
    TestBatches = _in(batches)
    TestCancelling = _in(cancelling)
    TestDeleting = _in(deleting)
    TestIdempotency = _in(idempotency)
    TestListing = _in(listing)
    TestMessageTimes = _in(message_times)
    TestMessages = _in(messages)
    TestOrdering = _in(ordering)
    TestReadFiles = _in(read_files)
    TestReading = _in(reading)
    TestRecover = _in(recover)
    TestRefusedSessions = _in(refused_sessions)
    TestReplacing = _in(replacing)
    TestSaveSession = _in(save_session)
    TestSessions = _in(sessions)
    TestSummaries = _in(summaries)
    TestTurns = _in(turns)
    TestUsage = _in(usage)
    TestValues = _in(values)
