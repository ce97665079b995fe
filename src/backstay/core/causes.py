"""What an error goes back to, said in one line that may be logged."""

from asyncio import CancelledError
from traceback import walk_tb

from backstay.core.errors import AppError
from backstay.core.masking import without_secrets

LENGTH = 300
"""How many characters of an error's text are told."""
_DEPTH = 20


def root_of(error: BaseException) -> BaseException:
    """The error that the others were raised from; of several at once, the first.

    A cancelled task is how a time limit works, and no cause.
    """
    return _root(error)[0]


def limited_by(error: BaseException) -> BaseException | None:
    """The error that was raised from a time limit, if the error goes back to one that says nothing
    of what it is for: it is the same text, from the same line of Python's, for each."""
    root, outer = _root(error)
    is_limit = isinstance(root, TimeoutError) and not root.args
    return outer if is_limit else None


def _root(error: BaseException) -> tuple[BaseException, BaseException | None]:
    """What an error goes back to, and what was raised from that."""
    outer = None
    for _ in range(_DEPTH):
        cause = error.__cause__
        if isinstance(error, BaseExceptionGroup):
            cause = error.exceptions[0]
        if cause is None or isinstance(cause, CancelledError):
            break
        outer, error = error, cause
    return error, outer


def cause_of(error: BaseException) -> str:
    """What an error goes back to: its kind, and the first line of its text if it has one."""
    root = root_of(error)
    limited = limited_by(error)
    is_named = isinstance(limited, AppError) and limited.detail != limited.title
    text = without_secrets(_first_line(limited if limited and is_named else root))[:LENGTH]
    if isinstance(root, AppError):
        return text
    kind = type(root).__name__
    return f"{kind}: {text}" if text else kind


def _first_line(error: BaseException) -> str:
    try:
        text = str(error).strip()
    except Exception:  # it cannot even say what it is
        return ""
    return text[: 4 * LENGTH].partition("\n")[0].rstrip()


def raised_at(error: BaseException) -> str:
    """The line of code that raised it."""
    frames = [*walk_tb(error.__traceback__)]
    if not frames:
        return ""
    frame, line = frames[-1]
    return f"{frame.f_code.co_filename}:{line}"
