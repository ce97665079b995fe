"""Shows that the log names the root cause of any error in one line."""

import asyncio
from collections.abc import Callable

import pytest

from backstay.core.causes import cause_of, kind_of
from backstay.core.errors import AppError, DatabaseUnavailable, Unavailable


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """An error that was raised, from its cause if it has one."""
    try:
        raise error from cause
    except BaseException as caught:
        return caught


async def too_late() -> None:
    async with asyncio.timeout(0):
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TimeoutError(), "TimeoutError"),
        (raised(DatabaseUnavailable(), TimeoutError()), "TimeoutError"),
        (raised(DatabaseUnavailable("All in use."), TimeoutError()), "TimeoutError: All in use."),
        (raised(OSError("outer"), TimeoutError("slow")), "TimeoutError: slow"),
        (ConnectionRefusedError(111, "refused"), "ConnectionRefusedError: [Errno 111] refused"),
        (raised(OSError("outer"), raised(OSError(), KeyError("x"))), "KeyError: 'x'"),
        (Unavailable("Not at the moment."), "Not at the moment."),
        (AppError(), "Internal error"),
        (ExceptionGroup("several", [ValueError("first"), KeyError()]), "ValueError: first"),
        (ValueError("\n\n one \nINFO forged"), "ValueError: one"),
        (ValueError("x" * 10_000), "ValueError: " + "x" * 300),
        (Mute(), "Mute"),
        (ValueError("at redis://:hush@cache"), "ValueError: at redis://:********@cache"),
    ],
)
def test_an_error_is_named_by_its_root_cause(error: BaseException, told: str) -> None:
    assert cause_of(error) == told


async def test_a_timeout_is_its_own_root_cause() -> None:
    with pytest.raises(TimeoutError) as late:
        await too_late()
    assert cause_of(late.value) == "TimeoutError"


def test_causes_in_a_circle_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert cause_of(one).startswith("ValueError: o")


def test_the_place_of_an_error_is_where_it_was_raised() -> None:
    error = raised(DatabaseUnavailable(), raised(OSError()))
    raising: Callable[..., BaseException] = raised
    assert kind_of(error) == (OSError, f"{__file__}:{raising.__code__.co_firstlineno + 3}")
    assert kind_of(OSError()) == (OSError, "")
