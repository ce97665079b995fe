"""Finds the root cause of an error and describes it in one line that is safe to log."""

from asyncio import CancelledError
from traceback import walk_tb

from backstay.core.errors import AppError
from backstay.core.masking import without_secrets

LENGTH = 300
"""How many characters of an error's text are logged."""
_DEPTH = 20


def cause_of(error: BaseException) -> str:
    """The root cause of an error: its class, and the first line of its text if it has one."""
    root, limited = _root_of(error)
    is_named = isinstance(limited, AppError) and limited.detail != limited.title
    text = without_secrets(_first_line(limited if limited and is_named else root))[:LENGTH]
    if isinstance(root, AppError):
        return text
    kind = type(root).__name__
    return f"{kind}: {text}" if text else kind


def kind_of(error: BaseException) -> tuple[type[BaseException], str]:
    """The type of the root cause, and the file and line that raised it, if it was raised."""
    root, limited = _root_of(error)
    frames = [*walk_tb((limited or root).__traceback__)]
    if not frames:
        return type(root), ""
    frame, line = frames[-1]
    return type(root), f"{frame.f_code.co_filename}:{line}"


def _root_of(error: BaseException) -> tuple[BaseException, BaseException | None]:
    """The error at the end of the chain of causes; of an exception group, the first error.

    ``CancelledError`` does not count as a cause: a timeout works by cancelling. If the root is a
    ``TimeoutError`` without a text, the error that was raised from it is returned, too: the text
    and the line of such a root, in Python's own library, are the same for every timeout.
    """
    outer = None
    for _ in range(_DEPTH):
        cause = error.__cause__
        if isinstance(error, BaseExceptionGroup):
            cause = error.exceptions[0]
        if cause is None or isinstance(cause, CancelledError):
            break
        outer, error = error, cause
    return error, outer if isinstance(error, TimeoutError) and not error.args else None


def _first_line(error: BaseException) -> str:
    try:
        text = str(error).strip()
    except Exception:  # an error class may have a broken __str__
        return ""
    return text[: 4 * LENGTH].partition("\n")[0].rstrip()
