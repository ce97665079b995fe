"""Checks that the fields of a declaration hold tuples of what belongs there.

The others read these fields, so that this check comes before all others.
"""

from collections.abc import Callable, Iterator, Mapping
from inspect import iscoroutinefunction, isfunction, unwrap
from reprlib import Repr
from typing import Any, NamedTuple

from backstay.core.wiring import Code, Flaw

_short = Repr()
_short.maxother = _short.maxstring = 100


class Held(NamedTuple):
    """What a field holds: how one is ``written`` in code, and whether a value is one."""

    written: str
    is_one: Callable[[Any], bool]


def shape_flaws(code: Code, of: str, thing: Any, fields: Mapping[str, Held]) -> Iterator[Flaw]:
    """Fields of a thing, called ``of``, that are no tuples, or hold something else."""
    for name, held in fields.items():
        value = getattr(thing, name)
        hint = f"Write `{name}=({held.written},)`, with the comma."
        if not isinstance(value, tuple | list):
            yield Flaw(code, f"`{name}` of {of} is no tuple.", hint).of(thing)
            continue
        for each in value:
            if not held.is_one(each):
                problem = f"`{name}` of {of} holds {_short.repr(each)}."
                yield Flaw(code, problem, hint).of(thing)


def hook_flaws(name: str, hooks: Any) -> Iterator[Flaw]:
    """Functions of ``on_start`` or ``on_stop`` that are not async, and so cannot be awaited.

    One may return what is awaited, as a lambda or a function with such a result does.
    """
    for each in hooks if isinstance(hooks, tuple | list) else ():
        if not isfunction(each) or iscoroutinefunction(unwrap(each)) or each.__name__ == "<lambda>":
            continue
        if each.__annotations__.get("return") in {None, "None"}:
            problem = f"`{name}` of the application holds {each.__name__}, which is not async."
            hint = f"Write `async def {each.__name__}(app)`: it is awaited."
            yield Flaw(Code.APPLICATION_SHAPE, problem, hint).of(each)
