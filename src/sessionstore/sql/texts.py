"""The texts of statements for one dialect and schema, and what their values and rows need."""

from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import ARRAY, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine


class StatementText:
    """A statement's text for one dialect and schema, and how its values go in and come out."""

    def __init__(self, statement: Executable, dialect: Dialect, schema: str | None, columns: Sequence[str]) -> None:
        options: dict[str, Any] = {"column_keys": list(columns)} if columns else {}
        if schema is not None:
            options |= {"schema_translate_map": {None: schema}, "render_schema_translate": True}
        compiled = cast("SQLCompiler", cast("Any", statement).compile(dialect=dialect, **options))
        self.sql = compiled.string
        given = [compiled.binds[name] for name in compiled.positiontup or ()]
        self._values_of: Callable[[dict[str, Any]], tuple[Any, ...]] = _getter([parameter.key for parameter in given])
        self._constants: dict[str, Any] = {}
        self._called: dict[str, Callable[[], Any]] = {}
        self._preparing: list[tuple[int, Callable[[Any], Any]]] = []
        for place, parameter in enumerate(given):
            process = _bind_processor(parameter.type, dialect)
            if parameter.callable is None and not parameter.required and parameter.value is not None:
                self._constants[parameter.key] = process(parameter.value) if process else parameter.value
                continue
            if parameter.callable is not None:
                self._called[parameter.key] = parameter.callable
            if process is not None:
                self._preparing.append((place, process))
        described = getattr(statement, "selected_columns", None)
        if described is None:
            described = getattr(statement, "exported_columns", ())
        found = list(cast("Any", described))
        processors = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in found]
        self._processors = [(index, process) for index, process in enumerate(processors) if process is not None]
        names: list[str] = [column.key for column in found]
        kind: Any = namedtuple("Row", names, rename=True)  # pyright: ignore[reportUntypedNamedTuple]
        self._make: Callable[[Any], Any] = partial(cast("Any", tuple).__new__, kind)

    def values(self, parameters: dict[str, Any]) -> Sequence[Any]:
        """Return the values in the order of their places in the text."""
        if self._constants or self._called:
            parameters = {**self._constants, **parameters}
            for key, call in self._called.items():
                parameters[key] = call()
        values = self._values_of(parameters)
        return self._prepared(values) if self._preparing else values

    def _prepared(self, given: Sequence[Any]) -> Sequence[Any]:
        values = [*given]
        for place, process in self._preparing:
            values[place] = process(values[place])
        return values

    def records(self, records: Sequence[Any]) -> Sequence[Any]:
        """Return records whose values have the columns' Python types."""
        if len(self._processors) == 1:
            index = self._processors[0][0]  # parts have no time, and most rows are parts
            return [record if record[index] is None else self._processed(record) for record in records]
        return [self._processed(record) for record in records] if self._processors else records

    def _processed(self, record: Sequence[Any]) -> Sequence[Any]:
        values = [*record]
        for index, process in self._processors:
            if values[index] is not None:
                values[index] = process(values[index])
        return values

    def rows(self, records: Sequence[Any]) -> list[Any]:
        """Return records with the columns' Python types and names."""
        return list(map(self._make, self.records(records)))


def _getter(keys: Sequence[str]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """Return what takes the values of these keys: in C, but for less than two."""
    return itemgetter(*keys) if len(keys) > 1 else lambda parameters: tuple(parameters[key] for key in keys)


def _bind_processor(type_: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """Return what prepares a value for the driver, if it must be prepared at all."""
    implementation: Any = type_.dialect_impl(dialect)
    if isinstance(implementation, ARRAY) and _bind_processor(cast("Any", implementation).item_type, dialect) is None:
        return None  # SQLAlchemy's would make a list of a list
    return cast("Any", implementation).bind_processor(dialect)
