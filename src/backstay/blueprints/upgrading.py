"""Plans how a project gets from one release to another, and tries it in a copy of the project.

The new release itself reads the project, in a scratch environment: nothing of it is installed
where the project runs before everything was tried.
"""

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backstay import __version__
from backstay.blueprints.changes import Action, Change, content_of
from backstay.blueprints.environment import Wanted, run
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.files import FOLDER, decoded
from backstay.blueprints.reading import NEEDS_LIBCST
from backstay.blueprints.records import Record, base_of, base_path, platform_of, records
from backstay.blueprints.releases import number_of, raised, required
from backstay.blueprints.scratch import environ_of, import_path, migration_after, scratch_copy
from backstay.blueprints.tree import Plan

PYPROJECT = "pyproject.toml"
LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "requirements.lock", "requirements.txt")
"""Files that hold the release, too, and that only the tool which wrote them can write."""
_SHOWN = 25
"""Lines of the output of tests that failed."""
_NO_TESTS, _NO_PYTEST = 5, "No module named pytest"
Tell = Callable[[str], None]
"""Takes a sentence about what happens now."""


@dataclass(frozen=True)
class Upgrade:
    """What would become of a project.

    Attributes:
        old: the release that it was written for.
        new: the release that it gets.
        changelog: what the releases between say, in Markdown.
        plan: of the project's files.
        tests: a sentence about its tests.
    """

    old: str
    new: str
    changelog: str
    plan: Plan
    tests: str = ""

    @property
    def changes_nothing(self) -> bool:
        """Whether the project has the release already."""
        return self.old == self.new and not any(
            change.before != change.after for change in self.plan.changes
        )


def release_of(root: Path) -> str:
    """The release that a project was written for: the oldest that it names."""
    named = [record.release for record in records(root)]
    if platform_of(root):  # whose __version__ may be anybody's
        return min(named, key=number_of)
    if not named and (pinned := required(_text(root / PYPROJECT))):
        named.append(pinned)
    return min((*named, __version__), key=number_of)


def upgrade(root: Path, wanted: Wanted, python: str, tell: Tell, *, tests: bool) -> Upgrade:
    """Plan an upgrade and try it; nothing of the project is written.

    Args:
        root: the folder of the project.
        wanted: the release.
        python: the interpreter of a scratch environment, into which it is installed.
        tell: is told what happens.
        tests: whether the project's tests are run.

    Raises:
        BlueprintError: the release cannot be had, the project does not start with it, or its tests
            fail.
    """
    old = release_of(root)
    tell(f"Installing {wanted.requirement()} into a scratch environment.")
    wanted.install(python, *_extras(root))
    told = _read(root, wanted, python, old)
    new = str(told["release"])
    if number_of(new) < number_of(old):
        raise BlueprintError(
            f"The project is on {old}, and {new} is older. To go back: take the commit of the "
            "upgrade back with git, then install the old release."
        )
    edits = dict(told["edits"]) | dict(_bumps(root, new))
    found = Upgrade(old, new, told["changelog"], _plan(root, told["uses"], edits, {}))
    if found.changes_nothing:
        return found
    tell(f"Trying the project with Backstay {new}, in a copy of it.")
    once, said = _try(root, told["uses"], edits, (python, new), tests=tests, tell=tell)
    return Upgrade(old, new, told["changelog"], _plan(root, told["uses"], edits, once), said)


def _extras(root: Path) -> tuple[str, ...]:
    """The extras of the package that a project needs without naming them."""
    return ("testing",) if platform_of(root) else ()


def requirements_change(plan: Plan) -> bool:
    """Whether a plan changes what has to be installed beside a project that owns Backstay."""
    return any(
        _declared(change.before) != _declared(change.after)
        for change in plan.changes
        if change.path == PYPROJECT and change.action is not Action.CONFLICT
    )


def _declared(pyproject: bytes | None) -> tuple[Any, ...]:
    found = tomllib.loads((pyproject or b"").decode())
    return found.get("project"), found.get("build-system"), found.get("tool", {}).get("hatch")


def _read(root: Path, wanted: Wanted, python: str, old: str) -> dict[str, Any]:
    """What the new release says of the project."""
    command = [python, "-m", "backstay.blueprints.reading", old]
    # the code of the release reads, so a copy of another one must not be found first
    path = import_path(None if platform_of(root) else root)
    environ = environ_of(root) | {"PYTHONPATH": path}
    done = run(command, cwd=root, env=environ)
    if done.returncode == NEEDS_LIBCST:
        wanted.install(python, *_extras(root), "upgrade")
        done = run(command, cwd=root, env=environ)
    if done.returncode and "No module named" in done.stderr and "Traceback" not in done.stderr:
        raise BlueprintError("The release is too old to be upgraded to: it cannot read projects.")
    if done.returncode:
        raise BlueprintError(done.stderr.strip())
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _bumps(root: Path, new: str) -> Iterator[tuple[str, str]]:
    """The texts, with the new release, of `pyproject.toml` and of what was generated for it."""
    texts = {PYPROJECT: _text(root / PYPROJECT), base_path(PYPROJECT): base_of(root, PYPROJECT)}
    for path, text in texts.items():
        if text is not None and (now := raised(text, new)) != text:
            yield path, now


def _plan(
    root: Path, uses: list[dict[str, Any]], edits: Mapping[str, str], once: Mapping[str, str]
) -> Plan:
    """Everything that changes in the project, as one plan."""
    generated = {path for use in uses for path in (*use["rendered"], *use["files"])}
    generated |= {path for record in records(root) for path in record.files}
    own = {
        path: text
        for path, text in edits.items()
        if path not in generated and not path.startswith(f"{FOLDER}/")
    }
    plan = Plan.of_edits(root, own, "Names or requirements of the new release.", once=once)
    for use in uses:
        record = Record(use["blueprint"], use["name"], use["options"], use["release"])
        left = tuple(_there_before(root, use["rendered"]))
        mine = {change.path for change in left}
        rendered = {path: text for path, text in use["rendered"].items() if path not in mine}
        plan += Plan.of(root, rendered, record, edits=edits) + Plan(root, left, {})
    return plan


def _there_before(root: Path, rendered: Mapping[str, str]) -> Iterator[Change]:
    """The files of the person where the release generates one that releases before did not."""
    for path, text in rendered.items():
        there = content_of(root / path)
        if there not in (None, text.encode()) and base_of(root, path) is None:
            note = "It is yours: what Backstay generates there now is left out."
            yield Change(path, Action.LEAVE, there, there, note, tracked=False)


def _try(
    root: Path,
    uses: list[dict[str, Any]],
    edits: Mapping[str, str],
    release: tuple[str, str],
    *,
    tests: bool,
    tell: Tell,
) -> tuple[dict[str, str], str]:
    """Boot the upgraded copy, write the migration that it needs, and run its tests.

    Returns:
        the migration by its path, and a sentence about the tests.
    """
    python, new = release
    with scratch_copy(root) as copy:
        plan = _plan(copy, uses, edits, {})
        plan.apply()
        try:
            found = migration_after(copy, f"Upgrade to {new}", python)
        except BlueprintError as error:
            raise BlueprintError(
                f"The project does not start with Backstay {new}, so nothing was changed:\n"
                f"{_shortened(str(error), python)}",
                *_way_out(plan),
            ) from None
        if plan.conflicts:
            return {}, "Its tests were not run, as there are conflicts."
        once = dict([found]) if found else {}
        if not tests:
            return once, "Its tests were not run."
        tell("Running its tests there.")
        return once, _tested(copy, python, new)


def _way_out(plan: Plan) -> Iterator[str]:
    """What to do where lines that both changed may be the reason, as their files stay old."""
    if plan.conflicts:
        paths = ", ".join(change.path for change in plan.conflicts)
        yield (
            f"You and the release changed the same lines of {paths}, which therefore stays as it "
            "was. Take your change of these lines back (backstay upgrade --check shows them), "
            "commit, upgrade, and make it again."
        )


def _shortened(said: str, python: str) -> str:
    """The text without the scratch environment, which is gone when somebody reads it."""
    packages = next(iter(Path(python).parents[1].glob("lib/python*/site-packages")), None)
    return said.replace(f"{packages}/", "") if packages else said


def _tested(copy: Path, python: str, new: str) -> str:
    environ = environ_of(copy) | {"PYTHONPATH": import_path(copy)}
    done = run([python, "-m", "pytest", "-q"], cwd=copy, env=environ)
    said = _shortened(done.stdout + done.stderr, python).strip().replace(f"{copy}/", "")
    if done.returncode == _NO_TESTS:
        return "It has no tests."
    if done.returncode and _NO_PYTEST in said:
        return "Its tests were not run: pytest is not installed here."
    if done.returncode:
        shown = "\n".join(said.splitlines()[-_SHOWN:])
        raise BlueprintError(
            f"The tests of the project fail with Backstay {new}, so nothing was changed:\n{shown}\n"
            "To change it all the same, and mend it then: --skip-tests"
        )
    return f"Its tests pass: {said.splitlines()[-1]}"


def _text(path: Path) -> str:
    return decoded(path.name, path.read_bytes())[0] if path.is_file() else ""
