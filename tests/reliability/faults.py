"""What can go wrong at a round trip to the database."""

from dataclasses import dataclass
from typing import Any

from .drivers import Fault, Original, Wire


class Interrupted(BaseException):
    """Stands for KeyboardInterrupt, which would stop the event loop."""


async def _lost_before(wire: Wire, _original: Original) -> Any:
    wire.cut()
    raise wire.lost()


async def _lost_after(wire: Wire, original: Original) -> Any:
    await original()
    wire.cut()
    raise wire.lost()


async def _serialization(wire: Wire, original: Original) -> Any:
    if wire.begins:
        return await original()
    raise wire.conflict("serialization")


async def _deadlock(wire: Wire, original: Original) -> Any:
    if wire.begins:
        return await original()
    raise wire.conflict("deadlock")


async def _no_memory_before(_wire: Wire, _original: Original) -> Any:
    raise MemoryError


async def _no_memory_after(_wire: Wire, original: Original) -> Any:
    await original()
    raise MemoryError


async def _interrupted(_wire: Wire, original: Original) -> Any:
    await original()
    raise Interrupted


@dataclass(frozen=True)
class Kind:
    """A kind of fault, and the error besides ours that may come of it."""

    fault: Fault
    error: type[BaseException] | None = None
    lasting: bool = False


MAIN_KINDS = ("lost before", "lost after", "no memory after")

KINDS = {
    "lost before": Kind(_lost_before),
    "lost after": Kind(_lost_after),
    "gone": Kind(_lost_before, lasting=True),
    "serialization": Kind(_serialization),
    "deadlock": Kind(_deadlock),
    "no memory before": Kind(_no_memory_before, MemoryError),
    "no memory after": Kind(_no_memory_after, MemoryError),
    "interrupted": Kind(_interrupted, Interrupted),
}
