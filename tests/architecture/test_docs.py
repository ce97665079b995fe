"""Shows that the documentation names everything in the code, and nothing that is gone from it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import backstay
from backstay.cli import COMMANDS, load
from backstay.core.errors import AppError
from backstay.core.wiring import Code
from backstay.features import STANDARD
from backstay.features.access.commands.seeding import declared_permissions
from backstay.settings.schema import PACKAGED
from tests.architecture.tree import ROOT
from tests.observability.known import known_metrics

Rows = Mapping[str, str]
"""The first cell of each row of a table, and the second."""


def tables(page: str) -> dict[str, Rows]:
    """The tables of a page by the heading above them; marks of code are left out.

    Raises:
        AssertionError: two rows of one table have the same name.
    """
    found: dict[str, Rows] = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        rows = re.findall(r"^\| `(.+?)` \| *(.*?) *\|", section, re.MULTILINE)
        assert len({name for name, _ in rows}) == len(rows), f"a row is there twice: {rows}"
        found[section.splitlines()[0]] = {name: value.strip("`") for name, value in rows}
    return found


def differences(documented: Rows, known: Rows) -> list[str]:
    """The missing, superfluous and wrong rows of a table."""
    return [
        *(f"{name} is not documented" for name in known.keys() - documented.keys()),
        *(f"{name} does not exist" for name in documented.keys() - known.keys()),
        *(
            f"{name}: {documented[name]} should be {value}"
            for name, value in known.items()
            if documented.get(name, value) != value
        ),
    ]


def unmentioned(names: Iterable[str], pages: Iterable[Path]) -> list[str]:
    """The names that no page holds in inline code or in a code block."""
    text = "\n".join(page.read_text("utf-8") for page in pages)
    return [
        name for name in names if not re.search(rf"(?<![\w.:]){re.escape(name)}(?![\w:])", text)
    ]


def error_codes() -> dict[str, str]:
    for module in walk_packages(backstay.__path__, "backstay."):
        if not module.name.endswith(("__main__", ".env")) and ".versions" not in module.name:
            import_module(module.name)
    found = {error.code: str(error.status) for error in _subclasses(AppError)}
    return found | {"http_error": "any"}


def _subclasses(error: type[AppError]) -> Iterator[type[AppError]]:
    if error.__module__.startswith("backstay."):
        yield error
    for each in error.__subclasses__():
        yield from _subclasses(each)


def permissions() -> dict[str, str]:
    return {
        each.key: each.default_scope.value if each.default_scope else ""
        for each in declared_permissions(STANDARD)
    }


def metrics() -> dict[str, str]:
    """The type of each metric, with the names of its labels."""
    return {name: f"{kind} | {labels_shown(labels)}" for name, kind, labels in known_metrics()}


def labels_shown(labels: Iterable[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


def documented_metrics() -> dict[str, str]:
    section = (ROOT / "docs" / "reference.md").read_text("utf-8").partition("\n## Metrics")[2]
    rows = re.findall(r"^\| `(backstay_\w+)` \| (\w+) \| (.*?) ?\| .+ \|$", section, re.MULTILINE)
    return {name: f"{kind} | {labels}" for name, kind, labels in rows}


def commands() -> Iterator[str]:
    for name in COMMANDS:
        inner = getattr(load(name), "commands", {})
        yield from (f"backstay {name} {each}" for each in inner)
        if not inner:
            yield f"backstay {name}"


def moved(pages: Iterable[Path]) -> list[str]:
    """The files and folders of the package that pages name and that do not exist."""
    package = ROOT / "src" / "backstay"
    rooms = "|".join(each.name for each in package.iterdir() if each.is_dir())
    named = re.compile(rf"`((?:{rooms})/[\w/]+(?:\.py)?)`")
    found = (name for page in pages for name in named.findall(page.read_text("utf-8")))
    return [name for name in found if not (package / name).exists()]


_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_OF_OWNERS = re.compile(r"^## .*\bown all of .*?(?=^## )", re.M | re.S | re.I)
"""The sections for projects that have all of Backstay as code of their own."""
_INTERNAL = re.compile(r"\bbackstay\.(?!testing\b)\w")


def edits_of_the_package(guides: Iterable[Path]) -> list[str]:
    """What guides tell readers to edit in the package, or to import from below its public names."""
    found = []
    for guide in guides:
        text = guide.read_text("utf-8")
        lines = [line for block in _BLOCK.findall(text) for line in block.splitlines()]
        found += ["src/backstay"] * _OF_OWNERS.sub("", text).count("src/backstay")
        found += [
            line for line in lines if _INTERNAL.search(line) and re.match(r" *(from|import) ", line)
        ]
    return found


PARTS = ["Context", "Choice", "Alternatives", "Cost"]
STATUS = re.compile(r"Status: (?:accepted|superseded by \[\d+\]\((.+?)\)), \d{4}-\d\d-\d\d")


def form_faults(record: Path) -> list[str]:
    """What the page of a decision lacks: its number, its status with a date, its parts in order."""
    page = record.read_text("utf-8")
    title, _, status, *_ = [*page.splitlines(), "", "", ""]
    found = STATUS.fullmatch(status)
    is_linked = found is not None and (record.parent / (found[1] or record.name)).exists()
    faults = {
        "title": title.startswith(f"# {int(record.name[:4])}. "),
        "status": is_linked,
        "parts": re.findall(r"^\*\*(\w+)\.\*\*", page, re.MULTILINE) == PARTS,
    }
    return [f"{record.name}: {part}" for part, is_right in faults.items() if not is_right]


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GUIDES = {each for each in (ROOT / "docs" / "guides").glob("*.md") if each.stem != "queries"}
"""The guides, apart from the recipes, whose examples are the packaged tables."""
RECORDS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
REFERENCE = tables((ROOT / "docs" / "reference.md").read_text("utf-8"))


def test_every_error_code_is_documented_with_its_status() -> None:
    assert differences(REFERENCE["Errors"], error_codes()) == []


def test_every_permission_is_documented_with_who_has_it() -> None:
    assert differences(REFERENCE["Permissions"], permissions()) == []


def test_every_error_at_boot_is_documented() -> None:
    assert list(REFERENCE["Errors at boot"]) == [code.value for code in Code]


def test_every_metric_is_documented_with_type_and_labels() -> None:
    assert differences(documented_metrics(), metrics()) == []


def test_every_command_is_documented() -> None:
    assert set(REFERENCE["Commands"]) == set(commands())


def test_every_setting_is_documented() -> None:
    assert unmentioned((variable.name for variable in PACKAGED.variables), PAGES) == []


def test_the_pages_about_the_package_name_files_that_are_there() -> None:
    about = [ROOT / "docs" / "ARCHITECTURE.md", *sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert moved(about) == []


def test_a_guide_edits_projects_and_imports_public_names_only() -> None:
    assert edits_of_the_package(GUIDES) == []


def test_a_guide_that_edits_the_package_is_noticed(tmp_path: Path) -> None:
    guide = tmp_path / "guide.md"
    wrong = ["from backstay.features.items import Item", "import backstay.core.bus"]
    right = ["from backstay.testing import Login", "from backstay import handles", "backstay.db.x"]
    guide.write_text("\n".join(["`src/backstay/features`", "```python", *wrong, *right, "```"]))
    assert edits_of_the_package([guide]) == ["src/backstay", *wrong]
    guide.write_text("## Own all of it\n`src/backstay`\n## Other\n`src/backstay`\n")
    assert edits_of_the_package([guide]) == ["src/backstay"]


def test_every_decision_has_its_parts_and_is_listed() -> None:
    assert [fault for record in RECORDS for fault in form_faults(record)] == []
    contents = (ROOT / "docs" / "decisions" / "README.md").read_text("utf-8")
    assert re.findall(r"^\d+\. \[.+\]\((.+?)\)", contents, re.MULTILINE) == [
        record.name for record in RECORDS
    ]


def test_the_pipelines_are_shown_as_they_are_written() -> None:
    written = (ROOT / "src/backstay/composition/pipelines.py").read_text("utf-8")
    steps = re.findall(r"^ {8}([\w.]+,  # .+)$", written, re.MULTILINE)
    shown = (ROOT / "docs" / "ARCHITECTURE.md").read_text("utf-8")
    assert len(steps) > 10
    assert re.findall(r"^ {7}([\w.]+,  # .+)$", shown, re.MULTILINE) == steps


def test_a_file_that_was_moved_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("`db/engine.py` opens what `db/migrations` made, `db/motor.py` nothing.")
    assert moved([page]) == ["db/motor.py"]


@pytest.mark.parametrize(
    ("right", "wrong", "part"),
    [
        ("# 7. ", "# 8. ", "title"),
        (", 2026-11-21", "", "status"),
        ("accepted", "superseded by [8](0008-gone.md)", "status"),
        ("**Cost.**", "**Price.**", "parts"),
        ("**Choice.** This. ", "", "parts"),
    ],
)
def test_a_decision_without_one_of_its_parts_is_noticed(
    tmp_path: Path, right: str, wrong: str, part: str
) -> None:
    record = tmp_path / "0007-tags.md"
    parts = "**Context.** A.\n\n**Choice.** This. \n\n**Alternatives.** That.\n\n**Cost.** None.\n"
    page = f"# 7. Tags\n\nStatus: accepted, 2026-11-21\n\n{parts}"
    record.write_text(page)
    assert form_faults(record) == []
    record.write_text(page.replace(right, wrong))
    assert form_faults(record) == [f"0007-tags.md: {part}"]


def test_missing_stale_and_wrong_rows_are_noticed() -> None:
    page = "# Page\n\n## Errors\n\n| Code | Status |\n| --- | --- |\n| `a` | 400 |\n| `b` | 404 |\n"
    known = {"a": "409", "c": "500"}
    assert set(differences(tables(page)["Errors"], known)) == {
        "a: 400 should be 409",
        "b does not exist",
        "c is not documented",
    }


def test_a_row_that_is_there_twice_is_noticed() -> None:
    with pytest.raises(AssertionError, match="twice"):
        tables("# Page\n\n## Errors\n\n| `a` | 400 |\n| `b` | 404 |\n| `a` | 409 |\n")


def test_a_name_inside_a_longer_name_counts_as_undocumented(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Set `DB_URL_FILE`, or `MY_DB_URL`, or run `serve`.")
    assert unmentioned(["DB_URL", "serve"], [page]) == ["DB_URL"]
