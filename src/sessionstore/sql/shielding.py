"""Work that is seen through although its caller is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from enum import Enum
from functools import partial
from typing import Any, Generic, TypeVar

from sessionstore.events import Announcement

T = TypeVar("T")

GRACE_SECONDS = 0.25
"""How long after its caller was cancelled a call may still get a connection and begin, or try again."""

_left: set[asyncio.Future[Any]] = set()  # work that goes on after its caller; event loops hold tasks weakly


class Keeping(Enum):
    """What becomes of work whose caller is cancelled."""

    NOT = "not"
    """It is given up."""
    BY_TASK = "by task"
    """It is done in a task that `completed` keeps."""
    BY_CALLER = "by caller"
    """The caller's task does it, as far as it is `Kept`."""


class Call(asyncio.Future[None]):
    """What the caller of shielded work waits for; the work tells it how far it has come.

    A cancelled caller waits for what has begun, or begins within `GRACE_SECONDS`, and for nothing else. It sleeps
    meanwhile, however often it is cancelled: anyio does that at each turn of the event loop.
    """

    def __init__(self, *, begun: bool = False) -> None:
        super().__init__()
        self.committing = False
        self.events: list[Announcement] | None = None
        self._begun = begun
        self._settled = False
        self._cancelled_with: tuple[Any, ...] | None = None
        self._grace_is_over = False

    @property
    def left(self) -> bool:
        """Whether the caller has gone, and nothing may begin."""
        return self._grace_is_over and not self._begun

    def begin(self) -> None:
        """Say that from here on it must be seen through. Raises `CancelledError` when the caller has gone."""
        if self.left:
            self.raise_cancellation()
        self._begun = True
        self.committing = False

    def commit(self, events: list[Announcement] | None) -> None:
        """Say that it may be committed from here on, and what will be announced then, if that is known."""
        self.committing = True
        self.events = events

    def pause(self) -> None:
        """Say that nothing is left of what was begun. Raises `CancelledError` when it may not begin again."""
        self._begun = False
        self.committing = False
        if self.left:
            self.raise_cancellation()

    def leave(self) -> None:
        """Say that the caller has gone."""
        self._cancelled_with = self._cancelled_with or ()
        self._end_grace()

    def settle(self) -> None:
        """Say that what is still to be done is nothing that a cancelled caller waits for."""
        self._settled = True
        if self._cancelled_with is not None:
            self.wake()

    def cancel(self, msg: Any | None = None) -> bool:
        """Note that the caller is cancelled: its task calls this."""
        if self.done():
            return False
        if self._cancelled_with is None:
            self._cancelled_with = () if msg is None else (msg,)
            if self._settled:
                self.wake()
            else:
                self.get_loop().call_later(GRACE_SECONDS, self._end_grace)
        return True

    def wake(self, work: "asyncio.Future[Any] | None" = None) -> None:
        """Let the caller go on."""
        if work is not None and not work.cancelled():
            work.exception()  # seen, also when a cancellation outranks it
        if not self.done():
            self.set_result(None)

    def raise_cancellation(self) -> None:
        """Raise the caller's cancellation, if there was one, with its message: anyio knows its own by that."""
        if self._cancelled_with is not None:
            raise asyncio.CancelledError(*self._cancelled_with)

    def _end_grace(self) -> None:
        self._grace_is_over = True
        if self.left:
            self.wake()


def by_itself(
    work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop, context: Context | None = None
) -> asyncio.Task[T]:
    """Have work done that nobody waits for."""
    task = loop.create_task(work, context=context)
    _left.add(task)
    task.add_done_callback(_left.discard)
    return task


def unknown_to_the_loop(task: asyncio.Task[Any]) -> None:
    """See that `asyncio.run` doesn't cancel a task at its end: it cancels all that it knows of."""
    asyncio._unregister_task(task)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - documented, for loops


async def completed(work: Coroutine[Any, Any, T], call: Call | None = None, *, interruptible: bool = True) -> T:
    """Run a coroutine to its end although the caller is cancelled; then raise the cancellation.

    With a `call` of the work's own, it says itself for how much of it a cancelled caller waits.

    `interruptible` is the capability of that name. Without it the work is completed at the end of the event loop
    too: `asyncio.run` cancels all tasks that it knows of, hence not this one, and waits for the caller. A
    connection given up there would keep SQLite's write lock until it is collected, and the process would wait for
    other tasks' statements, which wait for the lock as long as the busy timeout says.
    """
    call = call or Call(begun=True)
    task = asyncio.ensure_future(_telling(work, call))
    if not interruptible:
        unknown_to_the_loop(task)

    def ended(task: asyncio.Future[T]) -> None:
        work.close()  # in case that the task was cancelled before it began
        call.wake(task)

    task.add_done_callback(ended)
    await call
    if not task.done():
        _left.add(task)
        task.add_done_callback(_left.discard)
    call.raise_cancellation()
    return task.result()


async def _telling(work: Coroutine[Any, Any, T], call: Call) -> T:
    """Wake the caller as the last thing, a turn of the event loop before the task's own callbacks would."""
    try:
        return await work
    finally:
        call.wake()


class Kept(Awaitable[T], Generic[T]):
    """Work that the caller's own task does to its end although it is cancelled, which `call` is told of.

    Work that waits for nothing but answers of the database takes no task of its own then, and is back two turns of the
    event loop earlier. It must not set timeouts of asyncio's, nor ask for its task.
    """

    def __init__(self, work: Coroutine[Any, Any, T], call: Call, *, interruptible: bool) -> None:
        self._work = work
        self._call = call
        self._interruptible = interruptible

    def __await__(self) -> Generator[Any, None, T]:
        resume = partial(self._work.send, None)
        while True:
            try:
                awaited = resume() or self._next_turn()
            except StopIteration as end:
                return end.value
            awaited._asyncio_future_blocking = False  # noqa: SLF001 - as the task would say itself
            try:
                yield _Noting(awaited, self._call, interruptible=self._interruptible)
            except GeneratorExit:  # nobody runs the caller any more
                awaited.add_done_callback(self._do_the_rest)
                raise
            except BaseException as error:  # noqa: BLE001 - what it waits for has raised it
                resume = partial(self._work.throw, error)
            else:
                resume = partial(self._work.send, None)

    def _next_turn(self) -> "asyncio.Future[None]":
        """Return what `asyncio.sleep(0)` waits for."""
        loop = self._call.get_loop()
        turn: asyncio.Future[None] = loop.create_future()
        loop.call_soon(turn.set_result, None)
        return turn

    def _do_the_rest(self, _: "asyncio.Future[Any]") -> None:
        by_itself(self._work, self._call.get_loop()).add_done_callback(self._call.wake)


class _Noting:
    """What a task waits for in the place of a future, so that its cancellation is noted, and changes nothing.

    A task waits for whatever has these methods (see `asyncio.isfuture`), and cancels what it waits for. At the end of
    the event loop, when `asyncio.run` cancels all tasks and nothing runs, what is `interruptible` is cancelled.
    """

    def __init__(self, future: "asyncio.Future[Any]", call: Call, *, interruptible: bool) -> None:
        self._asyncio_future_blocking = True
        self._future = future
        self._call = call
        self._interruptible = interruptible
        self.get_loop = future.get_loop
        self.add_done_callback = future.add_done_callback

    def cancel(self, msg: Any | None = None) -> bool:
        at_the_end = self._interruptible and not self.get_loop().is_running()
        return self._future.cancel(msg) if at_the_end else self._call.cancel(msg)


async def taken(take: Coroutine[Any, Any, T], give_back: Callable[[T], Awaitable[None]], for_: Call | None = None) -> T:
    """Take something, and give it back if the caller is cancelled while it is taken.

    `for_` is the call that it is taken for, where that is told of the cancellation instead.
    """
    call = Call()
    held: list[T] = []

    async def hold() -> None:
        held.append(await take)
        if call.left:
            await give_back(held.pop())

    async def let_go() -> None:
        await give_back(held.pop())

    def leave(_: object) -> None:
        call.leave()

    if for_ is not None:
        for_.add_done_callback(leave)
    try:
        await completed(hold(), call)
    except BaseException:
        if held:
            await completed(let_go())
        if for_ is not None and for_.left:
            for_.raise_cancellation()
        raise
    finally:
        if for_ is not None:
            for_.remove_done_callback(leave)
    return held.pop()
