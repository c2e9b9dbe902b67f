"""A turn: what it cost and which tools ran, and how full the context is."""

from pydantic import Field

from sessionstore.models.base import Count, Model, Text, UTCDatetime


class ToolUse(Model):
    """One call of a tool; `ended_at` is the time of its result's message, `None` while there is none."""

    name: Text
    tool_call_id: Text
    started_at: UTCDatetime
    ended_at: UTCDatetime | None = None
    duration_seconds: float | None = None


class Turn(Model):
    """A user message that carries no tool result, and everything up to the next one; numbered from 1.

    It ends at the time of its last message, which for a streamed one is when that began; summaries that were
    stored behind it don't count there. Token counts are sums over its messages, `last_…` those of its last model
    message.
    """

    number: Count
    first_seq: Count
    last_seq: Count
    message_count: Count
    started_at: UTCDatetime
    ended_at: UTCDatetime
    duration_seconds: float
    input_tokens: Count = 0
    output_tokens: Count = 0
    total_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    reasoning_tokens: Count = 0
    last_input_tokens: Count = 0
    last_output_tokens: Count = 0
    last_total_tokens: Count = 0
    last_cache_read_tokens: Count = 0
    last_cache_write_tokens: Count = 0
    tool_calls: list[ToolUse] = Field(default_factory=list[ToolUse])


class ContextUsage(Model):
    """How much of a model's context the conversation takes, in tokens; `percent_used` is 0 to 100 and beyond.

    `turns` counts those that are in the context. `estimated` says that the provider didn't report all of it.
    """

    model: str | None
    context_limit: Count
    total_tokens: Count
    prompt_tokens: Count
    output_tokens: Count
    turns: Count
    percent_used: float
    tokens_remaining: Count
    estimated: bool = False
