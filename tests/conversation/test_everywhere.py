"""A conversation on every driver, and in a schema of its own."""

from sessionstore import doctor
from sessionstore.compaction import Summarize, Truncate
from tests.contract.conftest import (  # noqa: F401 - fixtures
    OpenStore,
    open_postgresql,
    open_psycopg,
    open_schema,
    open_sqlite,
    open_store,
    postgres_database_with_schema,
)

from .build import Recorder, call, conversation_of, question, refusals, reply, result, said


async def test_it_is_the_same_everywhere(open_store: OpenStore) -> None:  # noqa: F811
    """Turns, forks, context, compaction and repair on each driver that stores run on, and in a schema."""
    async with open_store() as store:
        c = await conversation_of(store, 4)
        await c.append(call("a", "b"), question(5), result("b"), reply(5, usage={"input_tokens": 9}))
        assert [turn.number for turn in await c.turns(limit=2)] == [4, 5]
        assert [use.ended_at is None for turn in await c.turns() for use in turn.tool_calls] == [True, False]
        fork = store.conversation((await c.fork(at="q5")).id)
        assert await c.compact(Truncate(3, pinned_turns=[1])) is not None
        assert await c.compact(Summarize(Recorder(), 2)) is not None
        assert (await c.context_usage(100)).turns == 2
        assert refusals(await c.context()) == []
        assert [part.tool_call_id for part in await c.pending_tool_calls()] == ["a"]
        assert said(await c.repair_tool_calls()) == ["no result a"]
        assert await c.undo_compaction() is not None
        await c.edit("q5", question(6))
        assert await c.revert_to_turn(2) == 3
        assert len(await c.reset([question(1)])) == 1
        assert len(await fork.context()) == 12
        assert [problem async for problem in doctor.check(store)] == []
