"""Case-insensitive text search in linear time, with the same results on both databases."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import structlog
from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    SQLColumnExpression,
    String,
    bindparam,
    literal,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from backstay.core.errors import Invalid
from backstay.db.reading import Reads

log = structlog.get_logger("backstay.database")

_FINAL_SIGMA, _SIGMA = "\u03c2", "\u03c3"
_DOTTED_I, _I = "i\u0307", "i"


def fold(text: str) -> str:
    """The form in which texts are compared: the same for texts that differ only in case.

    The text is lower-cased, and two differences between implementations are removed: Python
    lower-cases a capital sigma depending on its place in the word, and keeps the dot of a capital
    dotted I as a character of its own; PostgreSQL does so only with ICU.
    """
    lowered = text.lower()
    if lowered.isascii():
        return lowered
    return lowered.replace(_FINAL_SIGMA, _SIGMA).replace(_DOTTED_I, _I)


def holds(text: str | None, needle: str) -> bool | None:
    """Whether a text contains a folded one; SQLite calls this function by its name.

    For some pairs `in` takes time proportional to the product of both lengths; a regular
    expression without special characters never does.
    """
    return None if text is None else _search_for(needle)(fold(text)) is not None


@lru_cache(maxsize=256)
def _search_for(needle: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(re.escape(needle)).search


def contains(
    column: SQLColumnExpression[Any], text: str | BindParameter[Any]
) -> ColumnElement[bool]:
    """The predicate that a column contains a text, taken literally and ignoring case.

    A bind parameter stands for a text that is folded already.
    """
    needle = bindparam(None, fold(text), String) if isinstance(text, str) else text
    return _Contains(column, needle)


class _Contains(FunctionElement[bool]):
    """Whether a column contains a folded text, ignoring case, in linear time.

    For some texts, which a client could choose, LIKE and `strpos` take time proportional to the
    product of both lengths.
    """

    inherit_cache = True
    type = Boolean()


@compiles(_Contains)
def _by_automaton(element: _Contains, compiler: SQLCompiler, **options: Any) -> str:
    """A regular expression: PostgreSQL takes everything after ``***=`` literally."""
    column, needle = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({_folded(column)} ~ ('***=' || {needle}))"


@compiles(_Contains, "sqlite")
def _by_function(element: _Contains, compiler: SQLCompiler, **options: Any) -> str:
    column, needle = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{holds.__name__}({column}, {needle})"


class _Folded(FunctionElement[str]):
    """The SQL of PostgreSQL for what :func:`fold` does in Python."""

    inherit_cache = True
    type = String()


@compiles(_Folded)
def _as_folded(element: _Folded, compiler: SQLCompiler, **options: Any) -> str:
    (text,) = (compiler.process(clause, **options) for clause in element.clauses)
    return _folded(text)


def _folded(sql: str) -> str:
    return f"replace(replace(lower({sql}), '{_FINAL_SIGMA}', '{_SIGMA}'), '{_DOTTED_I}', '{_I}')"


_TRIED = "\u03a3I\u0130"
_FOLDS_ALIKE = select(_Folded(literal(_TRIED, String)) == fold(_TRIED))
"""Whether this PostgreSQL database folds as Python does; that depends on its encoding and
LC_CTYPE."""


async def tell_if_letters_differ(reads: Reads) -> None:
    """Log a warning if this PostgreSQL lower-cases letters differently from Python."""
    try:
        rows = await reads.rows(None, _FOLDS_ALIKE)
        alike = rows[0][0]
    except Invalid:
        alike = False  # its encoding does not have these letters
    if not alike:
        log.warning(
            "letters outside of ASCII are not searched as promised",
            cause="the database's LC_CTYPE or encoding lower-cases them in another way",
            mend="make the database anew with ENCODING 'UTF8' and a UTF-8 locale, such as "
            "C.UTF-8, and restore its dump there",
        )
