"""The laws of token usage: what is recognised, and how it is summed into the session's counters."""

from typing import Any

from sessionstore.errors import InvalidValue
from sessionstore.models.usage import MAX_TOKENS
from sessionstore.store import SessionStore
from sessionstore.testing.build import TOKENS, new_session, refused, snapshot, stored, totals, user

RULES: list[tuple[dict[str, int], dict[str, int]]] = [
    ({}, {}),
    ({"input_tokens": 3}, {"input_tokens": 3, "total_tokens": 3}),
    ({"prompt_tokens": 3}, {"input_tokens": 3, "total_tokens": 3}),
    ({"output_tokens": 4}, {"output_tokens": 4, "total_tokens": 4}),
    ({"completion_tokens": 4}, {"output_tokens": 4, "total_tokens": 4}),
    ({"input_tokens": 3, "completion_tokens": 4}, {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}),
    (
        {"input_tokens": 3, "output_tokens": 4, "total_tokens": 9},
        {"input_tokens": 3, "output_tokens": 4, "total_tokens": 9},
    ),
    ({"input_tokens": 3, "total_tokens": 0}, {"input_tokens": 3}),
    ({"total_tokens": 9}, {"total_tokens": 9}),
    ({"cache_read_tokens": 1, "cache_write_tokens": 2}, {"cache_read_tokens": 1, "cache_write_tokens": 2}),
    ({"reasoning_tokens": 5}, {"reasoning_tokens": 5}),
    ({"tokens": 9, "inputTokens": 9, "INPUT_TOKENS": 9, "cached_tokens": 9, "requests": 1}, {}),
    ({"input_tokens": 3, "prompt_tokens": 3}, {"input_tokens": 3, "total_tokens": 3}),
]


async def test_what_counts(store: SessionStore) -> None:
    """The recognised counts of a message's usage, and of usage tied to no message, are added to the totals."""
    for usage, counted in RULES:
        by_message, by_batch, by_itself = [await new_session(store) for _ in range(3)]
        await store.save_message(user(by_message.id, usage=usage))
        await store.save_messages([user(by_batch.id, usage=usage), user(by_batch.id, usage=usage)])
        await store.add_usage(by_itself.id, usage)
        twice = {name: 2 * count for name, count in counted.items()}
        assert totals(await stored(store, by_message.id)) == {"message_count": 1, **counted}, usage
        assert totals(await stored(store, by_batch.id)) == {"message_count": 2, **twice}, usage
        assert totals(await stored(store, by_itself.id)) == counted, usage


async def test_usage_comes_back(store: SessionStore) -> None:
    """A message's usage comes back as it was given, other keys and large numbers included."""
    info = await new_session(store)
    usage = {"z": 2**62, "input_tokens": 1, "a": -1, "\0": 0, "reasoning_tokens": MAX_TOKENS}
    await store.save_message(user(info.id, usage=usage))
    (read,) = await store.get_messages(info.id)
    assert repr(read.usage) == repr(usage)


async def test_no_usage(store: SessionStore) -> None:
    """A message without usage has none, and counts nothing."""
    info = await new_session(store)
    saved = await store.save_message(user(info.id))
    (read,) = await store.get_messages(info.id)
    assert (saved.usage, read.usage) == (None, None)
    assert totals(await stored(store, info.id)) == {"message_count": 1}


async def test_usage_adds_up(store: SessionStore) -> None:
    """`add_usage` adds to what is there, and leaves messages and their number alone."""
    info = await new_session(store)
    await store.save_message(user(info.id, usage={"input_tokens": 1}))
    await store.add_usage(info.id, {"input_tokens": 10, "cache_read_tokens": 4})
    await store.add_usage(info.id, {"output_tokens": 100})
    counted = {
        "message_count": 1,
        "input_tokens": 11,
        "output_tokens": 100,
        "total_tokens": 111,
        "cache_read_tokens": 4,
    }
    assert totals(await stored(store, info.id)) == counted


async def test_large_sums(store: SessionStore) -> None:
    """Sums go beyond 32 bits, and beyond what a float holds."""
    info = await new_session(store)
    for _ in range(40):
        await store.add_usage(info.id, dict.fromkeys(TOKENS, MAX_TOKENS - 1))
    assert set(totals(await stored(store, info.id)).values()) == {40 * (MAX_TOKENS - 1)}


async def test_negative_usage_takes_back(store: SessionStore) -> None:
    """Usage that was counted too high may be taken back."""
    info = await new_session(store)
    await store.add_usage(info.id, {"input_tokens": 10})
    await store.add_usage(info.id, {"input_tokens": -4})
    assert totals(await stored(store, info.id)) == {"input_tokens": 6, "total_tokens": 6}


NO_USAGE: list[Any] = [
    {"input_tokens": 1.0},
    {"input_tokens": "1"},
    {"input_tokens": True},
    {"input_tokens": None},
    {"other": {"nested": 1}},
    {"input_tokens": 2**63},
    {"total_tokens": -(2**64)},
    {5: 1},
    None,
    [("input_tokens", 1)],
]


async def test_what_is_no_usage(store: SessionStore) -> None:
    """Usage is a dict of ints, which the database can sum; anything else is `InvalidValue`, and nothing is added."""
    info = await new_session(store)
    before = await snapshot(store, info.id)
    for usage in NO_USAGE:
        await refused(store.add_usage(info.id, usage), InvalidValue, usage)
    assert await snapshot(store, info.id) == before
