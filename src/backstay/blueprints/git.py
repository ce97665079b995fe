"""Asks git, which alone can take back what a command wrote over."""

import os
import subprocess
from pathlib import Path

from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.files import FOLDER

_SHOWN = 5
_ELSEWHERE = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_WORK_TREE")
"""Variables of a hook of git, which would lead into the repository that the hook runs in."""


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
        BlueprintError: there are changes, or git cannot tell or ignores what must be kept.
    """
    refuse_without_git(root)
    if not _run(root, "check-ignore", "--quiet", FOLDER).returncode:
        raise BlueprintError(
            f"git ignores {FOLDER}, without which nothing can be merged later. Take the rule out "
            f"of .gitignore: git check-ignore --verbose {FOLDER}"
        )
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


def has_commits(root: Path) -> bool:
    """Whether the repository that the folder is in has a commit; not if git is not installed."""
    try:
        return not _run(root, "rev-parse", "--verify", "--quiet", "HEAD").returncode
    except FileNotFoundError:
        return False


def first_commit(root: Path, message: str) -> str | None:
    """Make a repository that holds everything in the folder.

    A folder that is part of a repository is left to the person.

    Returns:
        what was not done and how to do it, or None.
    """
    try:
        _installed()
    except BlueprintError as error:
        return f"{error} Without it, no command can change this project later."
    top = _run(root, "rev-parse", "--show-toplevel")
    if top.returncode:
        known = not _run(root, "config", "--get", "init.defaultBranch").returncode
        made = _run(root, "init", "--quiet", *(() if known else ("--initial-branch=main",)))
        if made.returncode:
            return f"git init failed: {made.stderr.strip()}"
    elif Path(top.stdout.strip()).resolve() != root.resolve():
        return f"The folder is part of the git repository {top.stdout.strip()}: commit it there."
    for arguments in (("add", "--all"), ("commit", "--quiet", f"--message={message}")):
        done = _run(root, *arguments)
        if done.returncode:
            return _uncommitted(root, message, done.stderr.strip())
    return None


def _uncommitted(root: Path, message: str, reason: str) -> str:
    if not _run(root, "var", "GIT_COMMITTER_IDENT").returncode:
        return f"Nothing is committed yet, because git refused it: {reason}"
    return (
        "Nothing is committed yet, because git does not know who you are. Tell it, then commit:\n"
        '  git config --global user.name "Your Name"\n'
        "  git config --global user.email you@example.org\n"
        f'  git commit --all --message="{message}"'
    )


def _installed() -> None:
    try:
        _run(Path.cwd(), "--version")
    except FileNotFoundError:
        raise BlueprintError("git is not installed; install it from git-scm.com.") from None


def _run(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Call git, which asks nothing, reports in English, and only to look writes nothing."""
    return subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        cwd=root,
        env={name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
        | {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
