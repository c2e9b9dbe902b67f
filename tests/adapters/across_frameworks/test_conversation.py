"""A conversation goes on in another framework, and back, with its calls and results paired."""

from collections.abc import Iterator
from itertools import permutations

import pytest
from agents import set_tracing_disabled

from sessionstore import (
    ImagePart,
    Message,
    ReasoningPart,
    SessionInfo,
    SQLSessionStore,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from sessionstore.formats import FORMATS
from tests.sql.invariants import broken

from .speakers import CITIES, SPEAKERS, call_id, turn_said

pytestmark = pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")


@pytest.fixture(autouse=True)
def _untraced() -> Iterator[None]:
    """Send nothing of the runs to the SDK's tracing."""
    set_tracing_disabled(True)
    yield
    set_tracing_disabled(False)


@pytest.mark.parametrize("order", list(permutations(SPEAKERS)), ids="-".join)
async def test_a_conversation_goes_round(order: tuple[str, ...], store: SQLSessionStore) -> None:
    """Each model is asked with all that was said before, calls before their results; own messages stay as they were."""
    said = []
    own: list[tuple[str, list[str]]] = []
    for number, name in enumerate((*order, *order)):
        turn = f"{number} {name}"
        before = len(await SPEAKERS[name].dumps(store))
        expected = [*said, *turn_said(turn)]
        assert await SPEAKERS[name].turn(store, turn) == expected[:-1]
        said = expected
        own.append((name, (await SPEAKERS[name].dumps(store))[before:]))
    for name, speaker in SPEAKERS.items():
        assert await speaker.history(store) == said
        dumps = iter(await speaker.dumps(store))
        for dump in (dump for speaks, dumped in own if speaks == name for dump in dumped):
            assert dump in dumps  # of an iterator: in this order
    assert await store.conversation("s").pending_tool_calls() == []
    info = await store.get_session("s")
    assert info is not None
    assert max(message.turn or 0 for message in await store.get_messages("s")) == 6
    assert await broken(store.engine) == []


@pytest.mark.parametrize("name", SPEAKERS)
async def test_it_is_exported_whoever_wrote_it(name: str, store: SQLSessionStore) -> None:
    """In every format of a provider, calls paired with their results."""
    await SPEAKERS[name].turn(store, "1")
    archive = await store.export_session("s")
    assert archive is not None
    chat = FORMATS["openai-chat"].render(archive)["messages"]
    assert [message["role"] for message in chat] == ["user", "assistant", "tool", "tool", "assistant"]
    ids = ["call_1_Oslo", "call_1_Rome"]
    assert [call["id"] for call in chat[1]["tool_calls"]] == ids == [result["tool_call_id"] for result in chat[2:4]]
    blocks = FORMATS["anthropic"].render(archive)["messages"]
    assert [message["role"] for message in blocks] == ["user", "assistant", "user", "assistant"]
    assert [block["tool_use_id"] for block in blocks[2]["content"]] == ids
    items = FORMATS["openai-responses"].render(archive)["messages"]
    assert [item["call_id"] for item in items if item.get("type") == "function_call_output"] == ids


@pytest.mark.parametrize("order", list(permutations(SPEAKERS, 2)), ids="-".join)
async def test_a_tool_loop_is_taken_over(order: tuple[str, str], store: SQLSessionStore) -> None:
    """Results that somebody else gave stand behind the calls of each, and are answered by the next."""
    first, second = order
    await SPEAKERS[first].turn(store, "1")
    messages = await store.get_messages("s")
    calling = next(index for index, message in enumerate(messages) if message.get_tool_results())
    await store.delete_messages("s", after=messages[calling - 1].id)
    results = [ToolResultPart(tool_call_id=f"call_1_{city}", tool_name="", output=city) for city in ("Rome", "Oslo")]
    for result in results:
        await store.save_message(Message(session_id="s", role="tool", parts=[result]))
    asked = await SPEAKERS[second].turn(store, "2")
    assert sorted(asked[:5]) == sorted(
        [*turn_said("1")[:3], ("result", "call_1_Rome", "Rome"), ("result", "call_1_Oslo", "Oslo")]
    )
    assert [said[0] for said in asked[:5]] == ["user", "call", "call", "result", "result"]


@pytest.mark.parametrize("name", ["pydantic", "langchain"])
async def test_late_results_stand_behind_their_calls(name: str, store: SQLSessionStore) -> None:
    """A process dies while tools run; a user goes on; the calls are repaired: the next run can be sent."""
    await SPEAKERS[name].turn(store, "1")
    messages = await store.get_messages("s")
    calling = next(index for index, message in enumerate(messages) if message.get_tool_results())
    await store.delete_messages("s", after=messages[calling - 1].id)
    await store.save_message(Message(session_id="s", role="user", parts=[TextPart(content="Hello?")]))
    await store.conversation("s").repair_tool_calls("the process died")
    kinds = ["user", "call", "call", "result", "result", "user"]
    history = await SPEAKERS[name].history(store)
    assert [said[0] for said in history] == kinds
    assert [said[1] for said in history[1:5]] == [call_id("1", city) for city in CITIES] * 2
    assert await SPEAKERS[name].turn(store, "2") == [*history, *turn_said("2")[:-1]]


@pytest.mark.parametrize("name", SPEAKERS)
async def test_a_runner_takes_what_none_of_them_wrote(name: str, store: SQLSessionStore) -> None:
    """Reasoning, images, and an answer that calls tools amid its text, as a program of one's own stores it."""
    await store.create_session(SessionInfo(id="s"))
    image = ImagePart(media_type="image/png", data="aGk=")
    call = ToolCallPart(tool_call_id="c", tool_name="f", arguments={"n": 1})
    result = ToolResultPart(tool_call_id="c", tool_name="f", output="one")
    given = [
        ("user", [TextPart(content="Look"), image]),
        ("assistant", [ReasoningPart(content="hm"), TextPart(content="So."), call, result, TextPart(content="Done.")]),
    ]
    await store.save_messages([Message(session_id="s", role=role, parts=parts) for role, parts in given])  # type: ignore[arg-type]
    asked = await SPEAKERS[name].turn(store, "2")
    assert [said[1:] for said in asked if said[0] in ("call", "result")][:2] == [("c", "f", '{"n": 1}'), ("c", "one")]
    assert [said[1] for said in asked if said[0] == "assistant"][-1] == "Done."
