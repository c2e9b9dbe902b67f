"""What messages say, column by column: for adapters that make dicts of it, and no models on the way."""

from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Integer,
    Row,
    bindparam,
    cast,
    func,
    literal_column,
    null,
    select,
    union_all,
)

from sessionstore import jsontext
from sessionstore.collecting import collector_paused
from sessionstore.errors import CorruptRecord
from sessionstore.models import Part
from sessionstore.models.message import ROLES
from sessionstore.sql.contexts import COMPACTED, MARK, RECORDS, unless_compacted
from sessionstore.sql.dialect import PAGE_SIZE
from sessionstore.sql.messages import IN_SESSION
from sessionstore.sql.part_rows import COLUMNS
from sessionstore.sql.rows import corrupt, grouped, part_of, parts_of
from sessionstore.sql.schema import messages, parts
from sessionstore.sql.sessions import OWNED
from sessionstore.sql.soundness import is_object
from sessionstore.sql.transaction import Transaction

_mark: list[ColumnElement[Any]] = [literal_column(str(MARK)).label("position"), *(null().label(n) for n in COLUMNS)]


def _reading(*, limited: bool) -> CompoundSelect[Any]:
    """Return the statement for all messages and parts, or those of the latest so many."""
    shown = IN_SESSION, OWNED, unless_compacted(messages.c.seq)
    told = {"type": messages.c.role, "text": messages.c.metadata}
    columns = (told.get(name, null()).label(name) for name in COLUMNS)
    chosen = select(messages.c.seq, cast(null(), Integer).label("position"), *columns).where(*shown)
    bound = unless_compacted(parts.c.message_seq)
    if limited:
        latest = chosen.order_by(messages.c.seq.desc()).limit(PAGE_SIZE).cte("chosen")
        chosen = select(latest)
        first, last = (select(end(latest.c.seq)).scalar_subquery() for end in (func.min, func.max))
        bound = parts.c.message_seq.between(first, last)
    its_parts = select(parts.c.message_seq, parts.c.position, *(parts.c[name] for name in COLUMNS))
    return union_all(
        chosen,
        its_parts.where(parts.c.session_id == bindparam("session"), OWNED, bound),
        select(RECORDS.c.number, *_mark).where(*COMPACTED),
    )


_SEQ, _POSITION, _, _ROLE, _METADATA = range(5)  # the places of a message's columns
_READ = {limited: _reading(limited=limited) for limited in (False, True)}


class Content(NamedTuple):
    """A message's role, metadata and parts, of which nothing is decoded before it is asked for.

    The role is one of the known ones, the metadata is JSON, and a part has the columns of a part's row.
    """

    session_id: str
    seq: int
    role: Any
    metadata_text: Any
    part_rows: list[Row[Any]]

    def metadata(self) -> dict[str, Any]:
        """Return the metadata. Raises `CorruptRecord`."""
        try:
            found = jsontext.loads(self.metadata_text)
        except (ValueError, TypeError) as error:
            raise corrupt(messages.name, (self.session_id, self.seq), error) from error
        if not is_object(found):
            raise CorruptRecord(messages.name, (self.session_id, self.seq), "metadata: isn't an object")
        return found

    def parts(self) -> list[Part]:
        """Return the parts. Raises `CorruptRecord`."""
        return parts_of(self.session_id, self.part_rows)


async def read(t: Transaction, session_id: str, limit: int | None = None) -> list[Content] | None:
    """Return what all messages say, or the latest so many; `None` when something was compacted.

    Raises `CorruptRecord` for a role that there isn't, and for a part whose place isn't a number.
    """
    page = {} if limit is None else {"page_size": limit}
    rows = await t.records(_READ[limit is not None], session=session_id, **page)
    if rows and rows[0][_POSITION] == MARK:  # then all are marks
        return None
    with collector_paused(len(rows)):
        found = [
            Content(session_id, row[_SEQ], row[_ROLE], row[_METADATA], part_rows) for row, part_rows in grouped(rows)
        ]
    for content in found:
        if content.role not in ROLES:
            raise CorruptRecord(messages.name, (session_id, content.seq), "role: is none that there is")
        for row in content.part_rows:
            if type(row[_POSITION]) is not int:
                part_of(session_id, row)
    return found
