"""Merges a text that was generated anew into one that a person has changed since.

Only lines that both changed are in conflict. `git merge-file` is coarser: it reports lines that
stand beside one another, too, and a generated list of fields would hardly ever be merged.
"""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from io import StringIO
from typing import NamedTuple

YOURS = "<<<<<<< yours"
BEFORE = "||||||| generated before"
BETWEEN = "======="
GENERATED = ">>>>>>> generated now"


class Merged(NamedTuple):
    """The merged text, and how many conflicts are marked in it."""

    text: str
    conflicts: int


class _Change(NamedTuple):
    """Lines ``start`` up to ``end`` of the base are these instead."""

    start: int
    end: int
    lines: list[str]


class _Group(NamedTuple):
    """Lines of the base that both sides changed, or one of them."""

    start: int
    end: int
    yours: list[_Change]
    generated: list[_Change]


def merge(base: str, yours: str, generated: str, *, mark: bool = True) -> Merged:
    """The person's text with what the blueprint changed since ``base``; newlines are ``\\n``.

    Lines in conflict are marked, or else those of the person stay.
    """
    if yours in (base, generated):
        return Merged(generated, 0)
    if generated == base:
        return Merged(yours, 0)
    old = _lines(base)
    merged: list[str] = []
    conflicts = position = 0
    for group in _groups(_changes(old, yours), _changes(old, generated)):
        merged += old[position : group.start]
        position = group.end
        mine, new = _applied(old, group, group.yours), _applied(old, group, group.generated)
        if not group.yours or mine == new:
            merged += new
        elif not group.generated:
            merged += mine
        else:
            lines, marked = _settled(mine, old[group.start : group.end], new, mark=mark)
            merged += lines
            conflicts += marked
    return Merged("".join(merged + old[position:]), conflicts)


def _lines(text: str) -> list[str]:
    """The lines, each with its newline; `str.splitlines` would also end them elsewhere."""
    return StringIO(text).readlines()


def _changes(old: list[str], text: str) -> list[_Change]:
    new = _lines(text)
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [_Change(i, j, new[k:m]) for tag, i, j, k, m in codes if tag != "equal"]


def _groups(yours: list[_Change], generated: list[_Change]) -> Iterator[_Group]:
    """The changes of both sides in order, with those that overlap together."""
    sides = [(change, True) for change in yours] + [(change, False) for change in generated]
    group: _Group | None = None
    for change, is_yours in sorted(sides, key=lambda side: side[0][:2]):
        if group is None or not _overlap(group, change):
            if group is not None:
                yield group
            group = _Group(change.start, change.end, [], [])
        (group.yours if is_yours else group.generated).append(change)
        group = group._replace(end=max(group.end, change.end))
    if group is not None:
        yield group


def _overlap(group: _Group, change: _Change) -> bool:
    """Whether a change, which begins no earlier, is about lines of the group or its very place.

    An insertion beside a change of the other side is not, unless it brings the same lines.
    """
    if change.start != group.end:
        return change.start < group.end
    inserted = group.start == group.end, change.start == change.end
    brought = {line for each in (*group.yours, *group.generated) for line in each.lines}
    return all(inserted) or (any(inserted) and not brought.isdisjoint(_told(change.lines)))


def _told(lines: list[str]) -> Iterator[str]:
    return (line for line in lines if line.strip())


def _applied(old: list[str], group: _Group, changes: Sequence[_Change]) -> list[str]:
    lines: list[str] = []
    position = group.start
    for change in changes:
        lines += [*old[position : change.start], *change.lines]
        position = change.end
    return lines + old[position : group.end]


def _settled(
    mine: list[str], before: list[str], new: list[str], *, mark: bool
) -> tuple[list[str], bool]:
    """The lines of both sides, and whether they are in conflict.

    What both wrote alike at the beginning or the end is in no conflict.
    """
    shorter = min(len(mine), len(new))
    head = next((n for n in range(shorter) if mine[n] != new[n]), shorter)
    alike = (n for n in range(shorter - head) if mine[-1 - n] != new[-1 - n])
    tail = next(alike, shorter - head)
    first, last = mine[:head], mine[len(mine) - tail :]
    mine, new = mine[head : len(mine) - tail], new[head : len(new) - tail]
    if before in (mine, new):
        return [*first, *(new if mine == before else mine), *last], False
    if not mark:
        return [*first, *mine, *last], True
    parts = ((YOURS, mine), (BEFORE, before), (BETWEEN, new))
    lines = [line for mark, part in parts for line in (f"{mark}\n", *part)]
    return [*first, *lines, f"{GENERATED}\n", *last], True
