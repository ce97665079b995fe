"""Checks at boot the signatures of handlers and rules: a malformed rule could always agree."""

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Never, NoReturn, Union, get_args, get_origin, get_type_hints

from backstay.core.errors import Refusal
from backstay.core.messages import Message
from backstay.core.wiring import Code, Flaw

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_RULE_SHAPE = "Write `def rule(principal, message) -> bool`."


@cache
def hints_of(function: Callable[..., Any]) -> dict[str, Any] | None:
    """The types of the parameters and the result; None if an annotation cannot be resolved."""
    try:
        return get_type_hints(function)
    except Exception:  # whatever the evaluation of an annotation may raise
        return None


@cache
def parameters_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The types of a function's parameters by name, in order; None for one without a type."""
    hints = hints_of(function) or {}
    return {name: hints.get(name) for name in inspect.signature(function).parameters}


@cache
def flaws_of(
    function: Callable[..., Any], message: type[Message[Any]], *, prepares: bool
) -> tuple[Flaw, ...]:
    """What is wrong with a handler, or with a preparer, of a message."""
    return tuple(_flaws(function, message, prepares=prepares))


def _flaws(
    function: Callable[..., Any], message: type[Message[Any]], *, prepares: bool
) -> Iterator[Flaw]:
    name, wanted = function.__qualname__, message.__name__
    if not inspect.iscoroutinefunction(inspect.unwrap(function)):
        hint = "Write `async def`, and return the result instead of yielding it."
        yield Flaw(Code.HANDLER_NOT_ASYNC, f"{name} is no async function.", hint)
    hints = hints_of(function)
    if hints is None:
        problem = f"The annotations of {name} name something that does not exist when it runs."
        hint = "Import it outside of `if TYPE_CHECKING`, or correct the name."
        yield Flaw(Code.HANDLER_UNREADABLE, problem, hint)
        return
    given = inspect.signature(function).parameters
    if not given or hints.get(next(iter(given))) is not message:
        problem = f"The first parameter of {name} must be the {wanted} it is for."
        hint = f"Begin its parameters with one of type {wanted}."
        yield Flaw(Code.HANDLER_MESSAGE, problem, hint)
    for each in given.values():
        if each.kind not in _BY_POSITION:
            problem = f"The parameter `{each.name}` of {name} cannot be passed by position."
            hint = "Name each parameter, without `*` in front of it."
            yield Flaw(Code.HANDLER_PARAMETER, problem, hint)
    yield from _result_flaws(name, hints, message, prepares=prepares)


def _result_flaws(
    name: str, hints: dict[str, Any], message: type[Message[Any]], *, prepares: bool
) -> Iterator[Flaw]:
    if "return" not in hints:
        hint = "Annotate it: `-> None` where there is none."
        yield Flaw(Code.HANDLER_RESULT, f"{name} does not say what it returns.", hint)
        return
    if prepares:
        return
    try:
        wanted = message.result_type()
    except TypeError:
        return  # reported as a fault of the message itself
    if not fits(hints["return"], wanted):
        kind = message.__name__
        returned, asked = _type_name(hints["return"]), _type_name(wanted)
        problem = f"{name} returns {returned}, while {kind} asks for {asked}."
        hint = f"Return that, or derive {kind} from what is returned."
        yield Flaw(Code.HANDLER_RESULT, problem, hint)


def fits(given: Any, wanted: Any) -> bool:
    """Whether an annotated result may be of the wanted type; ``Refusal`` is always allowed.

    Cases that only a type checker can decide count as fitting.
    """
    options = tuple(_options(wanted))
    return all(
        any(_fits(one, other) for other in options)
        for one in _options(given)
        if not (isinstance(one, type) and issubclass(one, Refusal))
    )


def _options(kind: Any) -> Iterator[Any]:
    if get_origin(kind) in {Union, UnionType}:
        for each in get_args(kind):
            yield from _options(each)
    elif get_origin(kind) is Annotated:
        yield from _options(get_args(kind)[0])
    else:
        yield NoneType if kind is None else kind


def _fits(given: Any, wanted: Any) -> bool:
    if given == wanted or given in (Any, Never, NoReturn) or wanted in (Any, object):
        return True
    one, other = get_origin(given) or given, get_origin(wanted) or wanted
    if not isinstance(one, type) or not isinstance(other, type):
        return True
    try:
        if not issubclass(one, other) and (one, other) != (int, float):
            return False
    except TypeError:  # a protocol that does not support issubclass
        return True
    inner, outer = get_args(given), get_args(wanted)
    return len(inner) != len(outer) or all(map(fits, inner, outer))


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


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
            yield Flaw(Code.MESSAGE_RULE, problem, _RULE_SHAPE)
        elif not _takes_two(rule):
            problem = f"The rule {name} of {message} does not take a principal and a message."
            yield Flaw(Code.MESSAGE_RULE, problem, _RULE_SHAPE)


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
