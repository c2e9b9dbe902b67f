"""Strategies that decide what of a conversation a compaction covers: pure functions over messages."""

from sessionstore.compaction.plan import Plan, Strategy, is_summary
from sessionstore.compaction.strategies import Hybrid, Summarize, Summarizer, Truncate, TurnStrategy

__all__ = [
    "Hybrid",
    "Plan",
    "Strategy",
    "Summarize",
    "Summarizer",
    "Truncate",
    "TurnStrategy",
    "is_summary",
]
