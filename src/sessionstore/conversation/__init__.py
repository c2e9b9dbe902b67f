"""The service layer on one session: turns, context, compaction, drafts, repair."""

from sessionstore.conversation.draft import Draft
from sessionstore.conversation.service import Conversation

__all__ = ["Conversation", "Draft"]
