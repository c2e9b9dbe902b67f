"""A compaction, from its strategy's plan to its record."""

from collections.abc import Sequence
from dataclasses import replace

from sessionstore import jsontext
from sessionstore.compaction import Plan, Strategy
from sessionstore.compaction.plan import as_summary, check_strategy
from sessionstore.conversation.coverage import Coverage, coverage
from sessionstore.conversation.estimates import estimated
from sessionstore.errors import CompactionFailed, InvalidValue
from sessionstore.models import Message, Summary, TextPart
from sessionstore.sql import checks, compactions, contexts, sessions
from sessionstore.sql.checks import check
from sessionstore.sql.compactions import Compaction
from sessionstore.sql.contexts import Context
from sessionstore.sql.prepared import prepare
from sessionstore.sql.transaction import Runner


async def compact(runner: Runner, session_id: str, strategy: Strategy, trigger: str) -> Summary | None:
    """Have a strategy plan, with no lock held, and record what it covers."""
    check_strategy(strategy, "strategy")
    name = check(checks.TEXT, getattr(strategy, "name", type(strategy).__name__), "strategy.name")
    seen = await runner.read(lambda t: contexts.read(t, session_id))
    if not seen.messages:
        await runner.read(lambda t: sessions.get_existing(t, session_id))
        return None
    plan = await _plan(strategy, seen)
    if plan is None:
        return None
    summary_id = None if seen.in_force is None else seen.in_force.record.message_id
    messages = [message for message in seen.messages if message.id != summary_id]
    covered = coverage(messages, None if seen.in_force is None else seen.in_force.record, plan)
    if covered is None:
        return None
    compaction = await _compaction(session_id, seen, messages, covered, plan, name, trigger)
    return await runner.write(lambda t: compactions.record(t, session_id, seen, compaction))


async def _plan(strategy: Strategy, seen: Context) -> Plan | None:
    try:
        plan = await strategy.plan(_shown(seen))
        return None if plan is None else _checked(plan)
    except Exception as error:
        raise CompactionFailed(f"the strategy failed ({type(error).__name__}); nothing was changed") from error


def _shown(seen: Context) -> list[Message]:
    """Return the messages as strategies see them: the summary has the place of the first message that it covers."""
    if seen.in_force is None:
        return seen.messages
    record, turn = seen.in_force.record, max(seen.in_force.first_turn or 0, 1)
    return [
        as_summary(message, number=record.number, seq=record.place, turn=turn)
        if message.id == record.message_id
        else message
        for message in seen.messages
    ]


def _checked(plan: Plan) -> Plan:
    """Return the plan, whose strategy can't change it any more. Raises `InvalidValue` for what is none."""
    if not isinstance(plan, Plan):  # pyright: ignore[reportUnnecessaryIsInstance] - strategies are the callers'
        raise InvalidValue(f"plan: is {type(plan).__name__}, not Plan")
    for first, last in ((plan.from_seq, plan.through_seq), *plan.kept):
        check(checks.NUMBER, first, "plan")
        check(checks.NUMBER, last, "plan")
        if first > last:
            raise InvalidValue(f"plan: the range from {first} through {last} ends before it begins")
    if plan.summary is not None and not isinstance(plan.summary, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"plan.summary: is {type(plan.summary).__name__}, not text")
    if plan.summary is not None and not plan.summary.strip():
        raise InvalidValue("plan.summary: is blank, which can't stand in for messages; None is for nothing at all")
    return replace(plan, details=jsontext.copied(dict(plan.details), "plan.details"))


async def _compaction(
    session_id: str,
    seen: Context,
    messages: Sequence[Message],
    covered: Coverage,
    plan: Plan,
    strategy: str,
    trigger: str,
) -> Compaction:
    summary = None
    if plan.summary is not None:
        summary = Message(session_id=session_id, role="system", parts=[TextPart(content=plan.summary)])
    model = next((message.model for message in reversed(messages) if message.model), None)
    left = [message for message in messages if message.seq not in covered.seqs]
    return Compaction(
        covered=covered.seqs,
        message=None if summary is None else prepare(summary),
        from_seq=covered.from_seq,
        through_seq=covered.through_seq,
        kept=covered.kept,
        strategy=strategy,
        trigger=trigger,
        tokens_before=await estimated(seen.messages, model),
        tokens_after=await estimated(left if summary is None else [*left, summary], model),
        details=plan.details,
    )
