"""The laws of tool calls as real transcripts have them: repeated ids, parallel calls, results that never came."""

from sqlalchemy import text

from sessionstore import Message, SessionInfo, SQLSessionStore, ToolCallPart, ToolResultPart
from sessionstore.models.message import Role


def _message(role: Role, *parts: ToolCallPart | ToolResultPart, id: str) -> Message:
    return Message(id=id, session_id="s", role=role, parts=list(parts))


def _call(call_id: str, number: int) -> ToolCallPart:
    return ToolCallPart(tool_call_id=call_id, tool_name="tool", arguments={"number": number})


def _result(call_id: str, output: str) -> ToolResultPart:
    return ToolResultPart(tool_call_id=call_id, tool_name="tool", output=output)


TRANSCRIPT = [
    _message("assistant", _call("same", 1), id="first"),
    _message("tool", _result("same", "one"), id="first result"),
    _message("assistant", _call("same", 2), _call("same", 2), _call("other", 3), id="parallel"),
    _message("tool", _result("other", "three"), _result("same", "two"), id="out of order"),
    _message("assistant", _call("same", 4), id="never answered"),
    _message("tool", _result("never called", "five"), id="answers nothing"),
    _message("user", _result("same", "late"), id="late"),
    _message("assistant", _call("", 6), _call("", 7), id="without ids"),
    _message("assistant", _call("x" * 5000, 8), _call("x" * 5000 + "y", 9), id="long ids"),
]


def _shape(messages: list[Message]) -> list[list[tuple[str, str, object]]]:
    return [
        [(part.id, part.type, getattr(part, "arguments", getattr(part, "output", None))) for part in message.parts]
        for message in messages
    ]


async def test_they_are_kept_in_order(store: SQLSessionStore) -> None:
    """Calls and results come back as many as they were and in their order, whatever their ids say."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_messages(TRANSCRIPT)
    read = await store.get_messages("s")
    assert _shape(read) == _shape(TRANSCRIPT)
    calls = [part.tool_call_id for message in read for part in message.get_tool_calls()]
    assert calls == [part.tool_call_id for message in TRANSCRIPT for part in message.get_tool_calls()]
    assert {message.turn for message in read} == {0}  # a result starts no turn


async def test_they_survive_the_archive(store: SQLSessionStore) -> None:
    """The same after an export and an import."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_messages(TRANSCRIPT)
    archive = await store.export_session("s")
    assert archive is not None
    await store.delete_session("s")
    await store.import_session(archive)
    assert _shape(await store.get_messages("s")) == _shape(TRANSCRIPT)


async def test_they_are_found_by_id(store: SQLSessionStore) -> None:
    """A call's id is a column to search by: repeated ids are found as often as they occur."""
    await store.create_session(SessionInfo(id="s"))
    await store.save_messages(TRANSCRIPT)
    query = text("SELECT count(*) FROM sessionstore_parts WHERE session_id = 's' AND tool_call_id = 'same'")
    async with store.engine.connect() as connection:
        assert await connection.scalar(query) == 7
