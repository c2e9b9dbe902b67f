"""The law of the host's engine: a stream works on any, as it is set."""

import pytest

from sessionstore import RawPart, SessionInfo, SQLSessionStore
from sessionstore.conversation.draft import stream
from tests.sql.hosts import HOSTS, SETTINGS, disposing
from tests.sql.invariants import broken

from .drafting import stored


@pytest.mark.parametrize(("database", "setting"), HOSTS)
async def test_any_engine(request: pytest.FixtureRequest, database: str, setting: str) -> None:
    """Whatever the engine's driver, pool and isolation level: a stream is flushed, ended and interrupted."""
    url = request.getfixturevalue(f"{database}_url")
    async with disposing(SETTINGS[database][setting](url)) as engine:
        store = SQLSessionStore(engine)
        await store.create_session(SessionInfo(id="s"))
        async with stream(store, "s") as draft:
            for text in ("so ", "far ", "\0", "\ud83d", "\ude00"):
                await draft.append_text(text)
                await draft.flush()
                assert await stored(store, draft.message.id) == draft.message
            await draft.add_part(RawPart(data={"a": None}))
            await draft.flush()
            assert len(await store.recover(stale_after=0)) == 1
            draft.usage = {"output_tokens": 3}
        assert await stored(store, draft.message.id) == draft.message
        assert draft.message.status == "complete"
        lost = await stream(store, "s").__aenter__()
        await store.pop_message("s")
        await lost.__aexit__(KeyError, KeyError(), None)
        assert await broken(engine) == []
