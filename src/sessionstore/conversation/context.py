"""Messages as providers take them: behind each tool call its results, and no result without a call."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from sessionstore.conversation.pairing import INTERRUPTED, Pairs, answer, pair
from sessionstore.models import Message, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart

_NAMESPACE = uuid.UUID("0d4f7a0e-5f6b-5c55-9d0c-2f3b8a1c6e57")


@dataclass
class _Split:
    """A message without the results that belong elsewhere, if anything is left of it, and those by their call's."""

    rest: Message | None
    results: dict[int, Message] = field(default_factory=dict[int, Message])


def arranged(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with each result directly behind the message of its call.

    A call without a result is given one that says so, results without a call are left out, and so are unfinished
    messages that have come to nothing but reasoning or blank text, and answers that hold nothing but what
    `to_llm_messages` doesn't tell, such as reasoning or raw items: providers refuse them all.
    Everything else stays as it is and where it is. A message that holds other things too is
    divided, the part with the results going by an id of its own.
    """
    messages = [
        message for message in messages if message.status == "complete" or any(map(_says_something, message.parts))
    ]
    pairs = pair(messages)
    splits = [_split(messages, index, pairs) for index in range(len(messages))]
    answers: dict[int, list[Message]] = {}
    for split in splits:
        for call_index, results in split.results.items():
            answers.setdefault(call_index, []).append(results)
    for index, position in pairs.unanswered:
        answers.setdefault(index, []).append(_made_up(messages[index], position))
    arranged: list[Message] = []
    for index, split in enumerate(splits):
        arranged += [] if split.rest is None else [split.rest]
        arranged += answers.get(index, [])
    return [message for message in arranged if not _is_empty_answer(message)]


def _says_something(part: Part) -> bool:
    return not isinstance(part, ReasoningPart) and not (isinstance(part, TextPart) and not part.content.strip())


def _is_empty_answer(message: Message) -> bool:
    """Whether an assistant's message, although it holds something, would be sent as an empty one."""
    told = any(isinstance(part, TextPart | ToolCallPart | ToolResultPart) for part in message.parts)
    return message.role == "assistant" and bool(message.parts) and not told


def _split(messages: Sequence[Message], index: int, pairs: Pairs) -> _Split:
    message = messages[index]
    rest: list[Part] = []
    results: dict[int, list[Part]] = {}
    for position, part in enumerate(message.parts):
        call = pairs.call_of.get((index, position))
        if call is not None and call[0] != index:
            results.setdefault(call[0], []).append(part)
        elif (index, position) not in pairs.orphans:
            rest.append(part)
    if len(rest) == len(message.parts):
        return _Split(message)
    if message.role == "tool" and not any(isinstance(part, ToolCallPart) for part in rest):
        return _Split(None, _moved(messages, message, results, rest))  # what it says besides goes with its results
    if not rest:
        return _Split(None, _moved(messages, message, results, []))
    return _Split(
        message.model_copy(update={"parts": rest}),
        {call: _part_of(message, messages[call], parts) for call, parts in results.items()},
    )


def _moved(
    messages: Sequence[Message], message: Message, results: dict[int, list[Part]], rest: list[Part]
) -> dict[int, Message]:
    """Return a message of results, divided if they answer calls of several messages."""
    if len(results) == 1 and sum(map(len, results.values())) + len(rest) == len(message.parts):
        return dict.fromkeys(results, message)
    moved: dict[int, Message] = {}
    for call, parts in results.items():
        if moved:
            moved[call] = _part_of(message, messages[call], parts)
        else:
            moved[call] = message.model_copy(update={"parts": [*parts, *rest]})
    return moved


def _part_of(message: Message, call: Message, results: list[Part]) -> Message:
    return message.model_copy(update={"id": _id(message, f"results for {call.id}"), "parts": results})


def _made_up(message: Message, position: int) -> Message:
    call = message.parts[position]
    assert isinstance(call, ToolCallPart)  # noqa: S101 - what `pair` says
    id_ = _id(message, f"answer to {position}")
    return Message(
        id=id_,
        session_id=message.session_id,
        role="tool",
        parts=[answer(call, INTERRUPTED).model_copy(update={"id": id_})],
        created_at=message.created_at,
        turn=message.turn,
    )


def _id(message: Message, name: str) -> str:
    """Return an id for a message that isn't stored: the same each time, so that contexts compare equal."""
    return str(uuid.uuid5(_NAMESPACE, f"{message.session_id}\n{message.id}\n{name}"))
