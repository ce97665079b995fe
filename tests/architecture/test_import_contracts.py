"""Shows that imports point downwards only, and that the import linter notices all others."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.architecture.tree import ROOT, copy_of_project, plant

LINT = Path(sys.executable).parent / "lint-imports"
LAYERS = "Arrows point downwards only"
CORE = "The core is plain Python and pydantic"
LOGIC = "What a worker, a scheduler and the kept answers do knows no technology"
CIRCLES = "Nothing is imported in a circle"
FACE = "Features that can be switched off import the public names only"
EDGE = "The edge counts requests through a port"
MESSAGES = "Messages, handlers and tables know neither HTTP nor technologies"


def lint(project: Path) -> tuple[int, str]:
    """The exit code and report of the import linter, on the package inside a project."""
    environ = os.environ | {"PYTHONPATH": str(project / "src"), "NO_COLOR": "1"}
    done = subprocess.run(
        [LINT, "--no-logo", "--no-cache"],
        cwd=project,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_contracts_are_kept() -> None:
    code, report = lint(ROOT)
    assert code == 0, report
    assert "7 kept, 0 broken" in report


def test_upward_imports_and_modules_outside_the_layers_are_noticed(tmp_path: Path) -> None:
    package = copy_of_project(tmp_path)
    plant(package, "db/base.py", "import backstay.redis")
    plant(package, "limits/memory.py", "import backstay.mailing.message")
    plant(package, "stray.py", "")
    code, report = lint(tmp_path)
    assert code == 1
    assert f"{LAYERS} BROKEN" in report
    assert "backstay.db is not allowed to import backstay.redis" in report
    assert "backstay.limits is not allowed to import backstay.mailing" in report
    assert "stray" in report


PLANTED = (
    ("core/errors.py", "starlette.requests", CORE),
    ("core/errors.py", "sqlalchemy", CORE),
    ("features/items/model.py", "backstay.db.base", FACE),
    ("features/mail/queries.py", "backstay.core.messages", FACE),
    ("features/items/model.py", "fastapi", MESSAGES),
    ("features/items/schemas.py", "backstay.web.answers", MESSAGES),
    ("features/items/queries.py", "starlette.requests", MESSAGES),
    ("features/auth/commands/refresh.py", "backstay.security.access_tokens", MESSAGES),
    ("web/middleware.py", "backstay.observability.metrics", EDGE),
)


def test_each_import_of_a_technology_is_noticed(tmp_path: Path) -> None:
    package = copy_of_project(tmp_path)
    for module, imported, _ in PLANTED:
        plant(package, module, f"import {imported}")
    code, report = lint(tmp_path)
    assert code == 1
    _, *parts = re.split(r"^(.+)\n-+\n", report, flags=re.MULTILINE)
    broken = dict(zip(parts[::2], parts[1::2], strict=True))
    for module, imported, contract in PLANTED:
        importer = f"backstay.{module.removesuffix('.py').replace('/', '.')}"
        target = imported if imported.startswith("backstay.") else imported.partition(".")[0]
        assert re.search(rf"\b{importer} -> {target} ", broken[contract]), (module, imported)


def test_a_circle_is_noticed_even_for_type_checking_alone(tmp_path: Path) -> None:
    needless = "import typing\nif typing.TYPE_CHECKING:\n    import backstay.core.messages"
    plant(copy_of_project(tmp_path), "core/permissions.py", needless)
    code, report = lint(tmp_path)
    assert code == 1
    assert f"{CIRCLES} BROKEN" in report
