"""Hypothesis strategies: any JSON value, and things that look like providers' messages, more or less."""

from typing import Any

from hypothesis import strategies as st

texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)  # NUL and lone surrogates too
scalars = st.none() | st.booleans() | st.integers() | st.integers(2**80, 2**90) | st.floats() | texts
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
objects = st.dictionaries(texts, json_values, max_size=3)


def nested(depth: int) -> list[Any]:
    """Return lists in lists, so many levels in all."""
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def mostly(*likely: Any) -> st.SearchStrategy[Any]:
    """Give one of these, strategies or values, and now and then any JSON value."""
    return st.one_of(*(each if isinstance(each, st.SearchStrategy) else st.just(each) for each in likely), json_values)


@st.composite
def shaped(draw: st.DrawFn, **likely: st.SearchStrategy[Any]) -> dict[str, Any]:
    """Give an object with most of these keys, some others, in any order."""
    keys = draw(st.permutations([*draw(st.sets(st.sampled_from(sorted(likely))) | st.just(likely))]))
    fields = {key: draw(likely[key]) for key in keys}
    return draw(objects) | fields if draw(st.integers(0, 4)) == 0 else fields


call_ids = st.sampled_from(["call_1", "call_2", ""])
arguments = st.sampled_from(
    ['{"city":"Oslo"}', '{"city": "Oslo"}', '{"a":1,"a":2}', '{"x":NaN,"y":-0.0}', "{}", "{ }", "", "[1]", "{oops"]
)
functions = shaped(name=mostly("get_weather"), arguments=mostly(arguments, objects))
calls = shaped(id=mostly(call_ids), type=mostly("function"), function=mostly(functions))
images = shaped(
    url=mostly("https://example.org/a.png", "data:image/png;base64,aGk=", "data:image/png;base64,a\n", "data:,x"),
    detail=mostly("auto", "low"),
)
blocks = mostly(
    shaped(type=mostly("text"), text=mostly("hi", "")),
    shaped(type=mostly("image_url"), image_url=mostly(images)),
)
contents = mostly("", "hi", None, st.lists(blocks, max_size=3))
messages = mostly(
    shaped(role=mostly("user", "system", "developer"), content=contents),
    shaped(role=mostly("assistant"), content=contents, tool_calls=mostly(st.lists(calls, max_size=3))),
    shaped(role=mostly("tool"), content=contents, tool_call_id=mostly(call_ids)),
    shaped(role=mostly("tool"), content=contents, tool_call_ids=mostly(st.lists(call_ids, max_size=3))),
    shaped(role=mostly("function"), name=mostly("get_weather"), content=contents),
).filter(lambda message: isinstance(message, dict))

# OpenAI Responses items

response_texts = shaped(
    type=mostly("input_text", "output_text", "refusal"),
    text=mostly("hi", ""),
    refusal=mostly("no"),
    annotations=objects,
)
response_images = shaped(
    type=mostly("input_image"),
    image_url=mostly("https://example.org/a.png", "data:image/png;base64,aGk="),
    detail=mostly("auto", "low"),
)
response_blocks = mostly(response_texts, response_images, shaped(type=mostly("input_file"), file_data=texts))
response_contents = mostly("", "hi", None, st.lists(response_blocks, max_size=3))
response_kinds = (
    shaped(role=mostly("user", "assistant", "system"), content=response_contents),
    shaped(
        type=mostly("message"),
        id=texts,
        role=mostly("user", "assistant"),
        content=response_contents,
        status=mostly("completed"),
    ),
    shaped(
        type=st.sampled_from(["function_call", "function_call", "custom_tool_call"]),
        id=texts,
        call_id=mostly(call_ids),
        name=mostly("get_weather"),
        arguments=mostly(arguments, objects),
        input=mostly(arguments),
    ),
    shaped(
        type=st.sampled_from(["function_call_output", "custom_tool_call_output"]),
        call_id=mostly(call_ids),
        output=response_contents,
    ),
    shaped(
        type=st.sampled_from(["reasoning"]),
        id=texts,
        summary=st.lists(mostly(shaped(type=mostly("summary_text"), text=mostly("Hm", ""))), max_size=2),
        content=mostly(st.lists(mostly(shaped(type=mostly("reasoning_text"), text=mostly("Hm", ""))), max_size=2)),
        encrypted_content=mostly("gAAAA", None),
    ),
    shaped(type=mostly("web_search_call", "compaction", "item_reference"), id=texts, action=json_values),
    objects,
)
response_items = st.one_of(response_kinds)

# Anthropic messages

anthropic_texts = shaped(type=mostly("text"), text=mostly("hi", ""), citations=json_values, cache_control=objects)
anthropic_sources = mostly(
    shaped(type=mostly("base64"), media_type=mostly("image/png"), data=mostly("aGk=")),
    shaped(type=mostly("url"), url=mostly("https://example.org/a.png")),
)
anthropic_images = shaped(type=st.sampled_from(["image"]), source=anthropic_sources)
anthropic_blocks = mostly(
    anthropic_texts,
    anthropic_images,
    shaped(
        type=st.sampled_from(["tool_use"]),
        id=mostly(call_ids),
        name=mostly("get_weather"),
        input=mostly(objects, arguments),
    ),
    shaped(
        type=st.sampled_from(["tool_result"]),
        tool_use_id=mostly(call_ids),
        content=mostly("", "out", st.lists(mostly(anthropic_texts, anthropic_images), max_size=2)),
        is_error=mostly(True, False),
    ),
    shaped(type=st.sampled_from(["thinking"]), thinking=mostly("Hm", ""), signature=mostly("sig", None)),
    shaped(type=mostly("redacted_thinking", "server_tool_use", "document"), data=json_values),
)
anthropic_contents = mostly("", "hi", None, st.lists(anthropic_blocks, max_size=3))
anthropic_usage = shaped(
    input_tokens=mostly(5), output_tokens=mostly(2), cache_read_input_tokens=mostly(1), service_tier=texts
)
anthropic_messages = mostly(
    shaped(role=mostly("user", "assistant", "system"), content=anthropic_contents),
    shaped(
        id=texts, role=mostly("assistant"), content=anthropic_contents, model=mostly("claude"), usage=anthropic_usage
    ),
).filter(lambda message: isinstance(message, dict))
anthropic_systems = mostly("", "Be brief.", st.lists(anthropic_texts, max_size=2))


def conversations_of(items: st.SearchStrategy[Any], **likely: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Give conversations of such messages, with other keys now and then."""
    fields = {"id": st.sampled_from(["weather", "a/b c"]), "messages": st.lists(items, max_size=5)}
    return shaped(**fields, **likely).filter(lambda conversation: fields.keys() <= conversation.keys())


conversations = {
    "openai-chat": conversations_of(messages),
    "openai-responses": conversations_of(response_items),
    "anthropic": conversations_of(anthropic_messages, system=anthropic_systems),
}
"""Conversations of each provider's format, by its name."""
