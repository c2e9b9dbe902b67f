"""What the store announces once it is committed."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

logger = logging.getLogger("sessionstore")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was committed.

    `type` is `session.created` (data: `session_id`, `title`), `session.updated`,
    `session.deleted` (`session_id`), `message.saved` (`session_id`, `message_id`, `seq`) or
    `session.compacted` (`session_id`, `number`).
    """

    type: str
    data: dict[str, Any] = field(default_factory=dict[str, Any])


Announcement = tuple[str, dict[str, Any]]
"""An event's type and data, of which one is made if anybody listens."""

Handler = Callable[[Event], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class _Subscription:
    tenant_id: str
    handler: Handler
    types: frozenset[str]


class Events:
    """The subscriptions of one store, as one tenant sees them: it hears of its own sessions only."""

    def __init__(self, tenant_id: str, subscriptions: list[_Subscription] | None = None) -> None:
        self._tenant_id = tenant_id
        self._subscriptions: list[_Subscription] = [] if subscriptions is None else subscriptions

    def for_tenant(self, tenant_id: str) -> "Events":
        """Return the same subscriptions as another tenant sees them."""
        return Events(tenant_id, self._subscriptions)

    def subscribe(self, handler: Handler, *types: str) -> Callable[[], None]:
        """Call `handler(event)`, sync or async, after each commit; return a function that ends it.

        Without `types` it hears everything. An exception in a handler is logged and breaks nothing. A call returns
        when the handlers have; a caller who is cancelled after the commit goes at once, and they are still called.
        Each commit is announced once (an append whose answer was lost is announced again if it turns out to be
        stored: nobody can tell by whom); a write that raises `StoreUnavailable` with `maybe_applied` isn't announced.
        """
        subscription = _Subscription(self._tenant_id, handler, frozenset(types))
        self._subscriptions.append(subscription)

        def unsubscribe() -> None:
            self._subscriptions[:] = [kept for kept in self._subscriptions if kept is not subscription]

        return unsubscribe

    @property
    def heard(self) -> bool:
        """Whether anybody has subscribed."""
        return bool(self._subscriptions)

    async def publish(self, events: Iterable[Event]) -> None:
        """Deliver events, one after the other, to each handler in the order they subscribed."""
        for event in events if self.heard else ():
            for subscription in tuple(self._subscriptions):
                if subscription.tenant_id == self._tenant_id and event.type in (subscription.types or {event.type}):
                    await _deliver(subscription.handler, event)


async def _deliver(handler: Handler, event: Event) -> None:
    try:
        result = handler(event)
        if inspect.isawaitable(result):
            await result
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # it is the caller who is cancelled, not the handler
            raise
        logger.exception("a handler of %s events was cancelled", event.type)
    except Exception:  # a handler's error, whatever it is, must not undo what is committed
        logger.exception("a handler of %s events failed", event.type)
