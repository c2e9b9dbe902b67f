"""A conversation to read: what is in a message, as text that a terminal shows and doesn't obey."""

from rich.text import Text

from sessionstore import jsontext
from sessionstore.cli.terminal import one_line, styled
from sessionstore.models import (
    ImagePart,
    Message,
    Part,
    RawPart,
    ReasoningPart,
    SessionInfo,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

_SUMMARY_LENGTH = 200
_ROLE_STYLES = {"user": "bold green", "assistant": "bold cyan", "tool": "bold yellow"}


def heading(info: SessionInfo) -> Text:
    """Return the session's title and what it took."""
    facts = [
        f"{info.message_count} messages",
        f"{info.total_tokens} tokens",
        f"updated {info.time.updated:%Y-%m-%d %H:%M:%S} UTC",
    ]
    facts += [f"{name} {value}" for name, value in (("model", info.model_id), ("user", info.user_id)) if value]
    if info.time.archived:
        facts.append(f"archived {info.time.archived:%Y-%m-%d %H:%M:%S} UTC")
    title = Text(one_line(info.title), style="bold")
    return title.append_text(styled(f"\n{one_line(info.id)} · {' · '.join(facts)}\n", "dim"))


def entry(message: Message) -> Text:
    """Return a message: who it is from, and its parts below."""
    facts = [f"turn {message.turn}" if message.turn else "", message.model or ""]
    facts.append("" if message.status == "complete" else message.status)
    title = styled(f"{message.seq}. {message.role}", _ROLE_STYLES.get(message.role, "bold"))
    title.append_text(styled("".join(f" · {fact}" for fact in facts if fact), "dim"))
    return Text("\n").join([title, *(_part(part) for part in message.parts), Text()])


def _part(part: Part) -> Text:
    match part:
        case TextPart():
            return styled(part.content)
        case ReasoningPart():
            return styled(f"(reasoning) {part.content}", "italic dim")
        case ToolCallPart():
            return styled(
                f"→ {part.tool_name} {jsontext.dumps(part.arguments).strip()}  [{part.tool_call_id}]", "yellow"
            )
        case ToolResultPart():
            return _result(part)
        case ImagePart():
            return styled(f"[image {part.media_type}: {_source(part)}]", "magenta")
        case RawPart():
            return styled(f"[raw: {_shortened(part.data)}]", "dim")
        case _:
            return styled(f"[{part.type}: {_shortened(part.text or part.data)}]", "dim")


def _result(part: ToolResultPart) -> Text:
    title = " · ".join(filter(None, (part.tool_name, part.title)))
    lines = [styled(f"← {title}  [{part.tool_call_id}]", "yellow")]
    if part.error is not None:
        lines.append(styled(f"error: {part.error}", "red"))
    return Text("\n").join([*lines, styled(part.output)])


def _source(part: ImagePart) -> str:
    return _cut(part.url) if part.url is not None else f"{len(part.data or '') * 3 // 4} bytes"


def _shortened(value: object) -> str:
    return _cut(jsontext.dumps(value).strip())


def _cut(text: str) -> str:
    return text if len(text) <= _SUMMARY_LENGTH else f"{text[:_SUMMARY_LENGTH]}… ({len(text)} characters)"
