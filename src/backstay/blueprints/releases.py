"""Compares releases, and finds and raises the one that a project requires."""

import re
from collections.abc import Iterator

_NUMBER = re.compile(
    r"(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.?(?:a|b|rc|dev|post)\d+)*(?:\+[a-z0-9.]+)?"
)
_REQUIREMENT = re.compile(
    r"""(?P<quote>["'])backstay(?P<extras>\s*\[[^]"']*\])?\s*(?P<clauses>[~=<>!][^;"']*)?"""
    r"""(?:;(?:(?!(?P=quote)).)*)?(?P=quote)"""
)
_CLAUSE = re.compile(r"(~=|==|>=|<=|!=|<|>)\s*([^\s,]+)")


def number_of(release: str) -> tuple[int, int, int]:
    """A release as numbers that compare: ``1.2`` and ``1.2.0`` are equal.

    Raises:
        ValueError: it has another form.
    """
    found = _NUMBER.fullmatch(release)
    if found is None:
        raise ValueError(f"{release} is no release: write 1.2.3")
    return int(found[1]), int(found[2] or 0), int(found[3] or 0)


def required(pyproject: str) -> str | None:
    """The oldest release that a `pyproject.toml` allows, or None if it says none."""
    found = [
        version.removesuffix(".*")
        for match in _REQUIREMENT.finditer(pyproject)
        for operator, version in _CLAUSE.findall(match["clauses"] or "")
        if operator in {"~=", "==", ">="} and _NUMBER.fullmatch(version.removesuffix(".*"))
    ]
    return min(found, key=number_of) if found else None


def extras(pyproject: str) -> tuple[str, ...]:
    """The extras of the package that a `pyproject.toml` names, each once."""
    return tuple(sorted(set(_extras(pyproject))))


def raised(pyproject: str, release: str) -> str:
    """The text with every requirement of the package raised to a release, all else untouched."""

    def replaced(match: re.Match[str]) -> str:
        clauses = match["clauses"]
        if not clauses:
            return match[0]
        start, end = match.span("clauses")
        before, after = match[0][: start - match.start()], match[0][end - match.start() :]
        return f"{before}{_raised(clauses, release)}{after}"

    return _REQUIREMENT.sub(replaced, pyproject)


def _extras(pyproject: str) -> Iterator[str]:
    for match in _REQUIREMENT.finditer(pyproject):
        names = (match["extras"] or "").strip(" []")
        yield from (name.strip() for name in names.split(",") if name.strip())


def _raised(clauses: str, release: str) -> str:
    """The specifier of a release: of the same kind, if that allows it."""
    found = _CLAUSE.findall(clauses)
    match found:
        case [("~=" | "==" | ">=" as operator, _)]:
            return f"{operator}{release}"
        case [(">=", _), ("<", cap)] if _NUMBER.fullmatch(cap) and number_of(release) < number_of(
            cap
        ):
            return f">={release},<{cap}"
        case _:
            return f"~={release}"
