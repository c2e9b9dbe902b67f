"""Messages of others, cut and joined as chat APIs want them.

Frameworks cut a model's answer differently: one message with text, calls and their results,
or one for each piece. The chat and Anthropic APIs want one message with all parallel calls, and
the results of all of them right behind it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sessionstore.models import Message, Part, ToolCallPart, ToolResultPart
from sessionstore.models.message import Role


@dataclass
class _Group:
    """Parts that become one message, or a message that stays as it is."""

    message: Message
    role: Role
    parts: list[Part]
    own: bool = False
    results: list[Part] = field(default_factory=list[Part])
    """Results that belong right behind this group."""
    moved: bool = False
    """Whether some of the parts were such results of another group."""

    def joins(self, role: Role, parts: Sequence[Part]) -> bool:
        """Whether these parts, which follow, belong into the same message."""
        if self.own or self.role != role:
            return False
        return role == "tool" or (role == "assistant" and (_has_calls(self.parts) or _has_calls(parts)))


def grouped(messages: Iterable[Message], is_own: Callable[[Message], bool], *, to_send: bool = False) -> list[Message]:
    """Return messages each of which is one to send; those that `is_own` says stay as they are.

    Of the others, calls become assistant messages and results tool messages of their own.
    Neighbours are joined: an answer's pieces around its calls, and the results behind
    them. A result that answers a call of such a message (the latest one open with its id)
    stands right behind it. Nothing is made up for calls without a result. `to_send` has results that
    others gave to calls of such messages stand behind these too, as a model wants them; a transcript leaves them.
    """
    groups: list[_Group] = []
    for message in messages:
        if is_own(message):
            groups.append(_Group(message, message.role, message.parts, own=True))
            continue
        for role, parts in _runs(message):
            if groups and groups[-1].joins(role, parts):
                groups[-1].parts.extend(parts)
            else:
                groups.append(_Group(message, role, parts))
    _pair(groups, to_send)
    return [message for group in groups for message in _messages(group)]


def _runs(message: Message) -> Iterator[tuple[Role, list[Part]]]:
    """Give the message's parts, cut where calls and results need another role; one empty run for no parts."""
    role, run = _role(message, message.parts[0]) if message.parts else message.role, list[Part]()
    for part in message.parts:
        if _role(message, part) != role:
            yield role, run
            role, run = _role(message, part), []
        run.append(part)
    yield role, run


def _role(message: Message, part: Part) -> Role:
    if isinstance(part, ToolResultPart):
        return "tool"
    if isinstance(part, ToolCallPart):
        return "assistant"
    return "user" if message.role == "tool" else message.role  # a tool's message holds results, and nothing else


def _pair(groups: list[_Group], to_send: bool) -> None:
    """Move each result behind the group with its call."""
    open_calls: dict[str, list[_Group]] = {}
    for group in groups:
        left: list[Part] = []
        for part in group.parts:
            calling = open_calls.get(part.tool_call_id) if isinstance(part, ToolResultPart) else None
            caller = calling.pop() if calling else group
            stays = group.own or caller is group or (caller.own and not to_send)
            (left if stays else caller.results).append(part)
            if isinstance(part, ToolCallPart):
                open_calls.setdefault(part.tool_call_id, []).append(group)
        group.moved = len(left) < len(group.parts)
        group.parts = left


def _messages(group: _Group) -> Iterator[Message]:
    if group.own:
        yield group.message
    elif group.parts or not group.moved:
        yield _with_parts(group.message, group.role, group.parts)
    if group.results:
        yield _with_parts(group.message, "tool", group.results)


def _with_parts(message: Message, role: Role, parts: list[Part]) -> Message:
    if role == message.role and parts == message.parts:
        return message
    return message.model_copy(update={"role": role, "parts": parts, "metadata": {}})


def _has_calls(parts: Iterable[Part]) -> bool:
    return any(isinstance(part, ToolCallPart) for part in parts)
