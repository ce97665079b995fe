"""Asks git, which alone can take back what a command wrote over."""

import os
import subprocess
from pathlib import Path

from backstay.blueprints.errors import BlueprintError

_SHOWN = 5


def refuse_without_git(root: Path) -> None:
    """Refuse to change a project that git does not hold.

    Raises:
        BlueprintError: git is not installed, or the folder is in no repository.
    """
    _installed()
    if _run(root, "rev-parse", "--is-inside-work-tree").returncode:
        raise BlueprintError(
            f"{root} is in no git repository, so nothing could be taken back. "
            "Make one: git init && git add -A && git commit -m 'First commit'"
        )


def refuse_dirty(root: Path) -> None:
    """Refuse to change a project whose latest changes are not committed.

    Raises:
        BlueprintError: there are changes, or git cannot tell.
    """
    refuse_without_git(root)
    done = _run(root, "status", "--porcelain", "--untracked-files=normal", "--", ".")
    if done.returncode:
        raise BlueprintError(f"git cannot tell what has changed: {done.stderr.strip()}")
    if changed := done.stdout.splitlines():
        rest = len(changed) - _SHOWN
        shown = [line[3:] for line in changed[:_SHOWN]] + ([f"{rest} more"] if rest > 0 else [])
        raise BlueprintError(
            f"Not committed: {', '.join(shown)}. Commit first, so that you can tell what this "
            "command changes, or add --force."
        )


def first_commit(root: Path, message: str) -> str | None:
    """Make a repository that holds everything in the folder, unless it is in one already.

    Returns:
        what was not done and how to do it, or None.
    """
    try:
        _installed()
    except BlueprintError as error:
        return f"{error} The project works without, but no command can change it then."
    if not _run(root, "rev-parse", "--is-inside-work-tree").returncode:
        return "The folder is in a git repository already: commit the project there."
    for arguments in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "-m", message)):
        done = _run(root, *arguments)
        if done.returncode:
            return _uncommitted(root, arguments[0], message, done.stderr.strip())
    return None


def _uncommitted(root: Path, step: str, message: str, reason: str) -> str:
    if step != "commit" or not _run(root, "var", "GIT_COMMITTER_IDENT").returncode:
        return f"git {step} failed, so nothing is committed: {reason}"
    return (
        "Nothing is committed yet, because git does not know who you are. Tell it, then commit:\n"
        '  git config --global user.name "Your Name"\n'
        "  git config --global user.email you@example.org\n"
        f'  git commit -m "{message}"'
    )


def _installed() -> None:
    try:
        _run(Path.cwd(), "--version")
    except FileNotFoundError:
        raise BlueprintError("git is not installed; install it from git-scm.com.") from None


def _run(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Call git, which asks nothing and reports in English."""
    return subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        cwd=root,
        env=os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
