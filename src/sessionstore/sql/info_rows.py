"""Rows to the metadata of sessions: pure functions."""

from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Row

from sessionstore import jsontext
from sessionstore.models import SessionInfo, SessionTime
from sessionstore.models.base import maker
from sessionstore.models.usage import TOKEN_FIELDS
from sessionstore.sql.rows import corrupt
from sessionstore.sql.schema import sessions
from sessionstore.sql.soundness import infos_sound, is_object

_info, _time = maker(SessionInfo), maker(SessionTime)
_INFO = tuple(SessionInfo.model_fields)
_UPDATED, _ARCHIVED = len(_INFO), len(_INFO) + 1
_PLACES = {name: place for place, name in enumerate((*_INFO, "updated", "archived"))}


def _of(*names: str) -> Callable[[Any], tuple[Any, ...]]:
    return itemgetter(*(_PLACES[name] for name in names))


_ids_of = _of("id", "root_session_id", "parent_session_id", "user_id", "summary_message_id")
_times_of = _of("time", "updated", "archived")
_texts_of = _of("title", "project_dir", "working_dir", "model_id", "provider_id")
_counts_of = _of("message_count", *TOKEN_FIELDS)
_needed_of = _of("id", "time", "updated", "title")


def infos_are_sound(rows: Sequence[Row[Any]]) -> bool:
    """Whether rows of `sessions.INFO` are what the model allows, but for the metadata.

    Each column is checked as one: a page of sessions has more values than all else that is done for it.
    """
    if not rows:
        return True
    columns = [*zip(*rows, strict=True)]
    ids, times, texts, counts = (chain(*of(columns)) for of in (_ids_of, _times_of, _texts_of, _counts_of))
    return None not in chain(*_needed_of(columns)) and infos_sound(ids, times, texts, counts)


def info_of(row: Row[Any], *, sound: bool = False) -> SessionInfo:
    """Return the metadata of a row of `sessions.INFO`; `sound` says that `infos_are_sound` has found it so."""
    fields: dict[str, Any] = dict(zip(_INFO, row, strict=False))
    time: dict[str, Any] = {"created": fields["time"], "updated": row[_UPDATED], "archived": row[_ARCHIVED]}
    metadata = fields["metadata"]
    try:
        fields["metadata"] = {} if metadata == "{}" else jsontext.loads(metadata)
        if (sound or infos_are_sound([row])) and is_object(fields["metadata"]):
            fields["time"] = _time(time)
            return _info(fields)
        fields["time"] = SessionTime(**time)
        return SessionInfo(**fields)
    except (ValueError, TypeError) as error:
        raise corrupt(sessions.name, (row.id,), error) from error
