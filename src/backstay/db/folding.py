"""How text is searched: without regard to case, in linear time, the same on both databases."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import structlog
from sqlalchemy import Boolean, String, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from backstay.core.errors import Invalid
from backstay.db.reading import Reads

log = structlog.get_logger("backstay.database")

_FINAL_SIGMA, _SIGMA = "\u03c2", "\u03c3"
_DOTTED_I, _I = "i\u0307", "i"


def fold(text: str) -> str:
    """The text as it is compared: two texts that differ in case only have the same.

    It is lower-cased, and what lower-casing does differently from place to place is made one:
    Python lower-cases a capital sigma by where in the word it stands and keeps the dot of a
    capital dotted I as a character of its own; PostgreSQL does so with ICU only.
    """
    lowered = text.lower()
    if lowered.isascii():
        return lowered
    return lowered.replace(_FINAL_SIGMA, _SIGMA).replace(_DOTTED_I, _I)


def holds(text: str | None, needle: str) -> bool | None:
    """Whether a text contains another, which is folded; SQLite calls it by this name.

    `in` takes the product of both lengths for some pairs; a regular expression without anything
    special never does.
    """
    return None if text is None else _search_for(needle)(fold(text)) is not None


@lru_cache(maxsize=256)
def _search_for(needle: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(re.escape(needle)).search


class Contains(FunctionElement[bool]):
    """Whether a column contains a folded text, whatever the case of its letters, in linear time.

    LIKE and `strpos` take the product of both lengths for some texts, which a caller can choose.
    """

    inherit_cache = True
    type = Boolean()


@compiles(Contains)
def _by_automaton(element: Contains, compiler: SQLCompiler, **options: Any) -> str:
    """As a regular expression of which PostgreSQL takes everything after ``***=`` literally."""
    column, needle = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({_folded(column)} ~ ('***=' || {needle}))"


@compiles(Contains, "sqlite")
def _by_function(element: Contains, compiler: SQLCompiler, **options: Any) -> str:
    column, needle = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{holds.__name__}({column}, {needle})"


class _Folded(FunctionElement[str]):
    """What PostgreSQL makes of a text where Python says :func:`fold`."""

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
"""Whether this database of PostgreSQL folds as Python does: by its encoding and LC_CTYPE."""


async def tell_if_letters_differ(reads: Reads) -> None:
    """Tell if this PostgreSQL lower-cases letters in its own way."""
    try:
        rows = await reads.rows(None, _FOLDS_ALIKE)
        alike = rows[0][0]
    except Invalid:
        alike = False  # its encoding does not know these letters
    if not alike:
        log.warning(
            "letters outside of ASCII are not searched as promised",
            cause="the database's LC_CTYPE or encoding lower-cases them in another way",
            mend="make the database anew with ENCODING 'UTF8' and a UTF-8 locale, such as "
            "C.UTF-8, and restore its dump there",
        )
