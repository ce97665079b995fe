"""Compiles a statement of SQLAlchemy once, to what its driver takes, and reads the rows."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self
from uuid import UUID, SafeUUID

from sqlalchemy import (
    Column,
    Delete,
    Dialect,
    Executable,
    Float,
    Insert,
    Numeric,
    Row,
    Select,
    Update,
    Uuid,
)
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import CompileError, InvalidRequestError
from sqlalchemy.sql.compiler import ResultColumnsEntry, SQLCompiler
from sqlalchemy.types import TypeDecorator, TypeEngine

Parameters = Mapping[str, Any] | None
Rows = Sequence[Row[*tuple[Any, ...]]]
Processor = Callable[[Any], Any] | None

_NUMBERED = re.compile(r"\$(\d+)")
_FLOAT8, _NUMERIC = 701, 1700
"""Types of PostgreSQL by their numbers (pg_type.oid)."""
_DIGITS = 32
_set = object.__setattr__
_MISSING: Any = object()
_NO_PARAMETERS: Mapping[str, Any] = {}


class _Slot(NamedTuple):
    """Where one value of a statement comes from: the parameter ``key``, else ``constant``."""

    key: str
    constant: Any
    process: Processor


class PlainStatement:
    """A statement as its driver takes it: the SQL, the order of its values, how rows are read.

    Values and results pass through the same processors of types as in SQLAlchemy, so that both ways
    give the same rows. ``sql`` has the placeholders of the driver. One that inserts, or only calls
    a function, ``may_join`` others.
    """

    __slots__ = (
        "_columns",
        "_index",
        "_keys",
        "_processors",
        "_slots",
        "is_query",
        "may_join",
        "sql",
    )

    def __init__(
        self,
        sql: str,
        slots: Sequence[_Slot],
        columns: Sequence[str] = (),
        processors: Sequence[Processor] = (),
        keys: frozenset[str] | None = None,
    ) -> None:
        self.sql = sql
        self.is_query, self.may_join = keys is None, False
        self._keys = keys
        self._slots = tuple(slots)
        self._columns = SimpleResultMetaData(columns)
        self._index = self._columns._key_to_index
        self._processors: Any = list(processors) if any(processors) else None

    @classmethod
    def of(cls, statement: Executable, dialect: Dialect, parameters: Parameters) -> Self | None:
        """The statement compiled, or None if only SQLAlchemy can run it.

        That is one whose SQL depends on its values, that returns two columns of one name, whose
        defaults SQLAlchemy would compute, or that has options. The names of ``parameters`` are the
        columns of an INSERT or UPDATE that names none.
        """
        if not isinstance(statement, Select | Insert | Update | Delete):
            return None
        if statement.get_execution_options():
            return None
        try:
            keys = None if isinstance(statement, Select) else frozenset(parameters or ())
            compiled: Any = statement.compile(dialect=dialect, column_keys=list(keys or ()))
            plain = cls._of_compiled(compiled, dialect, keys) if _is_plain(compiled) else None
        except (CompileError, InvalidRequestError):
            return None
        if plain is not None:
            is_call = isinstance(statement, Select) and not statement.get_final_froms()
            plain.may_join = is_call or isinstance(statement, Insert)
        return plain

    @classmethod
    def _of_compiled(
        cls, compiled: SQLCompiler, dialect: Dialect, keys: frozenset[str] | None
    ) -> Self | None:
        key_of = {name: bind.key for bind, name in compiled.bind_names.items()}
        slots = []
        for name in compiled.positiontup or ():
            bind = compiled.binds[name]
            constant = _MISSING if bind.required else bind.effective_value
            process: Any = compiled._bind_processors.get(name)
            slots.append(_Slot(key_of[name], constant, process))
        entries = compiled._result_columns
        names = [entry.keyname for entry in entries]
        if len(set(names)) < len(names):
            return None
        processors = [_processor(each, dialect) for each in entries]
        return cls(compiled.string, slots, names, processors, keys)

    def values(self, parameters: Parameters = None) -> list[Any]:
        """The values in the order of the placeholders.

        Raises:
            KeyError: a parameter is missing, or the statement was compiled for other ones.
        """
        given = _NO_PARAMETERS if parameters is None else parameters
        if self._keys is not None and self._keys != given.keys():
            raise KeyError(*self._keys ^ given.keys())
        values = []
        for key, constant, process in self._slots:
            value = given.get(key, constant)
            if value is _MISSING:
                raise KeyError(key)
            values.append(value if process is None else process(value))
        return values

    def rows(self, records: Sequence[Any]) -> Rows:
        """The rows of the driver as those of SQLAlchemy."""
        columns, index, processors = self._columns, self._index, self._processors
        return [Row(columns, processors, index, record) for record in records]


def joined(statements: Sequence[PlainStatement], checks: int = 0) -> str:
    """One statement of PostgreSQL that executes several which insert, in their order, atomically.

    The first ``checks`` of them must return a row each: otherwise it fails, by a division by zero,
    and nothing is done.

    All but the last become data-modifying CTEs; the placeholders are counted on. They share one
    snapshot: none sees the rows of another, but foreign keys are checked after all of them
    (PostgreSQL manual, 7.8.4 and "SET CONSTRAINTS"). A query is executed only because its row is
    counted.
    """
    parts, count = [], 0
    for each in statements:
        offset = count
        parts.append(_NUMBERED.sub(lambda found: f"${int(found[1]) + offset}", each.sql))  # noqa: B023
        count += len(each._slots)
    counted = [n for n, each in enumerate(statements) if n < checks or each.is_query]
    if counted:
        every = (f"(SELECT count(*) FROM w{number})" for number in counted)  # noqa: S608
        counts = " * ".join(every)
        parts.append(f"SELECT 1 / ({counts})")
    named = [f"w{number} AS ({part})" for number, part in enumerate(parts[:-1])]
    return f"WITH {', '.join(named)} {parts[-1]}" if named else parts[0]


def _is_plain(compiled: Any) -> bool:
    """Whether the SQL is complete, and needs no values that SQLAlchemy would compute."""
    return not (
        compiled.post_compile_params
        or compiled.literal_execute_params
        or getattr(compiled, "insert_prefetch", ())
        or getattr(compiled, "update_prefetch", ())
    )


def _processor(entry: ResultColumnsEntry, dialect: Dialect) -> Processor:
    """What SQLAlchemy makes of a value of the driver; None if it is the value itself.

    Raises:
        InvalidRequestError: that depends on a type which only the server knows.
    """
    kind: TypeEngine[Any] = entry.type
    oid = _number_oid(entry, dialect) if dialect.name == "postgresql" else None
    process: Processor = kind._cached_result_processor(dialect, oid)
    return _uuid if process and type(kind) is Uuid and kind.as_uuid else process


def _uuid(text: str | None) -> UUID | None:
    """What SQLite keeps as 32 hexadecimal digits, which the type wrote: `UUID` would check them."""
    if text is None or len(text) != _DIGITS:
        return None if text is None else UUID(text)
    made = object.__new__(UUID)
    _set(made, "int", int(text, 16))
    _set(made, "is_safe", SafeUUID.unknown)
    return made


def _number_oid(entry: ResultColumnsEntry, dialect: Dialect) -> int | None:
    """What the server calls the type of a number, on which its processor depends.

    Of a column of a table that is clear, of any other expression it is not.
    """
    kind = entry.type
    if isinstance(kind, TypeDecorator):
        kind = kind.load_dialect_impl(dialect)
    if not isinstance(kind, Numeric | Float):
        return None
    for each in entry.objects or ():
        found = getattr(each, "element", each)
        if isinstance(found, Column) and found.type is entry.type:
            return _FLOAT8 if isinstance(kind, Float) else _NUMERIC
    raise InvalidRequestError("only the server knows the type of this number")
