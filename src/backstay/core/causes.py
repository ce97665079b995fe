"""Finds the root cause of an error and describes it in one line that is safe to log."""

from asyncio import CancelledError
from traceback import walk_tb

from backstay.core.errors import AppError
from backstay.core.masking import without_secrets

LENGTH = 300
"""How many characters of an error's text are logged."""
_DEPTH = 20


def root_of(error: BaseException) -> BaseException:
    """The error at the end of the chain of causes; of an exception group, the first error.

    ``CancelledError`` does not count as a cause: a timeout works by cancelling.
    """
    return _root(error)[0]


def limited_by(error: BaseException) -> BaseException | None:
    """The error that was raised from a ``TimeoutError`` without a text, if that is the root cause.

    Such a ``TimeoutError`` does not say which timeout it was: its text and its line of code, in
    Python's own library, are always the same.
    """
    root, outer = _root(error)
    is_limit = isinstance(root, TimeoutError) and not root.args
    return outer if is_limit else None


def _root(error: BaseException) -> tuple[BaseException, BaseException | None]:
    """The root cause of an error, and the error that was raised from it."""
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
    """The root cause of an error: its class, and the first line of its text if it has one."""
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
    except Exception:  # an error class may have a broken __str__
        return ""
    return text[: 4 * LENGTH].partition("\n")[0].rstrip()


def raised_at(error: BaseException) -> str:
    """The file and line that raised an error, or an empty text."""
    frames = [*walk_tb(error.__traceback__)]
    if not frames:
        return ""
    frame, line = frames[-1]
    return f"{frame.f_code.co_filename}:{line}"
