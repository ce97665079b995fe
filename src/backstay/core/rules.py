"""Checks the rules of a message at boot: a malformed rule could count as one that agrees."""

import inspect
from collections.abc import Iterator
from typing import Any

from backstay.core.wiring import Code, Flaw

_SHAPE = "Write `def rule(principal, message) -> bool`."


def rule_flaws(message: str, rules: Any) -> Iterator[Flaw]:
    """The wiring faults of a message's `rules`."""
    if not isinstance(rules, tuple):
        problem = f"`rules` of {message} is no tuple."
        yield Flaw(Code.MESSAGE_RULE, problem, "Write `rules = (rule,)`, with the comma.")
        return
    for rule in rules:
        name = getattr(rule, "__name__", repr(rule))
        if _is_lazy(rule):
            problem = f"The rule {name} of {message} is not answered when asked: it always agrees."
            yield Flaw(Code.MESSAGE_RULE, problem, _SHAPE)
        elif not _takes_two(rule):
            problem = f"The rule {name} of {message} does not take a principal and a message."
            yield Flaw(Code.MESSAGE_RULE, problem, _SHAPE)


def _is_lazy(rule: Any) -> bool:
    """Whether a call returns a coroutine or generator, which is truthy before it has run."""
    kinds = inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction
    return callable(rule) and any(is_one(rule) or is_one(rule.__call__) for is_one in kinds)


def _takes_two(rule: Any) -> bool:
    try:
        inspect.signature(rule).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a built-in without a signature
        return True
    return True
