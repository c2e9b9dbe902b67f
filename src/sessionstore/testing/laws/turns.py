"""The laws of turns: a user message that carries no tool result, and everything up to the next one."""

from sessionstore.models import Message, ToolResultPart
from sessionstore.store import SessionStore
from sessionstore.testing.build import assistant, new_session, stored, tool_call, tool_result, turns, user

RESULT = ToolResultPart(tool_call_id="c", tool_name="t", output="o")


def _system(session_id: str) -> Message:
    return Message(session_id=session_id, role="system")


def _user_with_result(session_id: str) -> Message:
    message = user(session_id, "here is the result, and a question")
    message.parts.append(RESULT)
    return message


SCRIPT = [
    (_system, 0),
    (assistant, 0),
    (user, 1),
    (tool_call, 1),
    (tool_result, 1),
    (_user_with_result, 1),
    (_system, 1),
    (assistant, 1),
    (user, 2),
    (user, 3),
    (assistant, 3),
]


async def test_turns_start_with_the_user(store: SessionStore) -> None:
    """A user message that carries no tool result starts a turn; what precedes the first is turn 0."""
    info = await new_session(store)
    saved = [await store.save_message(make(info.id)) for make, _ in SCRIPT]
    assert turns(saved) == turns(await store.get_messages(info.id)) == [turn for _, turn in SCRIPT]


async def test_turns_in_batches(store: SessionStore) -> None:
    """Messages that are saved in batches get the same turns as one by one."""
    for size in (2, 3, 5, len(SCRIPT)):
        info = await new_session(store)
        messages = [make(info.id) for make, _ in SCRIPT]
        saved: list[Message] = []
        for start in range(0, len(messages), size):
            saved += await store.save_messages(messages[start : start + size])
        assert turns(saved) == turns(await store.get_messages(info.id)) == [turn for _, turn in SCRIPT]


async def test_only_users_start_turns(store: SessionStore) -> None:
    """A message of any other role starts no turn."""
    info = await new_session(store)
    for role in ("assistant", "system", "developer", "tool"):
        saved = await store.save_message(Message.model_validate({"session_id": info.id, "role": role}))
        assert saved.turn == 0


async def test_a_user_message_without_parts_starts_a_turn(store: SessionStore) -> None:
    """It is the role and the absence of results that count, not the content."""
    info = await new_session(store)
    assert (await store.save_message(Message(session_id=info.id, role="user"))).turn == 1


async def test_a_stored_message_keeps_its_turn(store: SessionStore) -> None:
    """A message of a batch that is stored already keeps its turn, and counts for no new one."""
    info = await new_session(store)
    first = await store.save_message(user(info.id))
    saved = await store.save_messages([user(info.id), first, assistant(info.id), user(info.id)])
    assert turns(saved) == [2, 1, 2, 3]


async def test_turns_after_a_pop(store: SessionStore) -> None:
    """When the message that started the last turn goes, the next user message starts that turn anew."""
    info = await new_session(store)
    await store.save_messages([user(info.id), user(info.id)])
    await store.pop_message(info.id)
    saved = [await store.save_message(assistant(info.id)), await store.save_message(user(info.id))]
    assert turns(saved) == [1, 2]


async def test_turns_after_deletions(store: SessionStore) -> None:
    """After deletions turns go on from what is left."""
    info = await new_session(store)
    messages = [user(info.id), assistant(info.id), user(info.id), assistant(info.id), user(info.id)]
    await store.save_messages(messages)
    await store.delete_messages(info.id, after=messages[3].id)
    assert turns(await store.save_messages([assistant(info.id), user(info.id)])) == [2, 3]
    await store.delete_messages(info.id)
    assert turns(await store.save_messages([assistant(info.id), user(info.id)])) == [0, 1]


REPLACEMENTS = [
    (0, assistant("s"), [0, 0, 1, 1, 2]),
    (0, tool_result("s", role="user"), [0, 0, 1, 1, 2]),
    (2, _system("s"), [1, 1, 1, 1, 2]),
    (4, tool_result("s"), [1, 1, 2, 2, 2]),
    (1, user("s"), [1, 2, 3, 3, 4]),
    (3, user("s"), [1, 1, 2, 3, 4]),
    (1, tool_result("s", role="user"), [1, 1, 2, 2, 3]),
    (2, user("s", "other"), [1, 1, 2, 2, 3]),
]


async def test_replacing_renumbers(store: SessionStore) -> None:
    """When a replaced message starts or ceases to start a turn, it and all behind it are renumbered."""
    for position, new, expected in REPLACEMENTS:
        info = await new_session(store)
        makers = [user, assistant, user, assistant, user]
        await store.save_messages([make(info.id, id=str(number)) for number, make in enumerate(makers)])
        replaced = await store.replace_message(new.model_copy(update={"id": str(position), "session_id": info.id}))
        assert replaced == await store.get_message(info.id, str(position))
        assert replaced.turn == expected[position]
        assert turns(await store.get_messages(info.id)) == expected
        assert (await store.save_message(user(info.id))).turn == expected[-1] + 1


async def test_an_added_result_ends_a_turns_claim(store: SessionStore) -> None:
    """A user message to which a tool result is added ceases to start a turn; without it, it starts one again."""
    info = await new_session(store)
    first, second = await store.save_messages([user(info.id), user(info.id)])
    first.parts.append(RESULT)
    assert (await store.replace_message(first)).turn == 0
    assert turns(await store.get_messages(info.id)) == [0, 1]
    first.parts.pop()
    assert (await store.replace_message(first)).turn == 1
    assert turns(await store.get_messages(info.id)) == [1, 2]
    assert (await stored(store, info.id)).message_count == 2
    assert second.turn == 2
