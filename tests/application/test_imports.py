"""Shows that what a project's modules raise while they are imported is told in a sentence."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backstay.application import application_in_use
from backstay.core.wiring import BootError, Code
from backstay.settings import ConfigurationError
from backstay.testing.waiting import LIMIT
from tests.cli.process import environ

MAIN = """
from backstay import Application
import silo.features

application = Application("silo", migrations=None)
"""
Told = Callable[[str], tuple[str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the project `silo`, whose application imports `silo.features`."""
    package = tmp_path / "src" / "silo"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "main.py").write_text(MAIN)
    (tmp_path / "pyproject.toml").write_text('[tool.backstay]\napp = "silo.main:application"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.delenv("BACKSTAY_APP", raising=False)
    yield package
    for name in [each for each in sys.modules if each.partition(".")[0] == "silo"]:
        del sys.modules[name]


@pytest.fixture
def told(home: Path) -> Told:
    """What is told of a text that `silo.features` has below its first line, and where."""

    def tell(text: str) -> tuple[str, str]:
        (home / "features.py").write_text(f"from backstay import *\n{text}\n")
        with pytest.raises(BootError) as refused:
            application_in_use()
        (fault,) = refused.value.faults
        assert fault.code is Code.APPLICATION_IMPORT
        assert str(fault).endswith("Mend it there; APP_DEBUG=true shows the traceback.")
        return fault.where, f"{fault.problem} {fault.hint}"

    return tell


RAISED = {
    "an event about nothing": (
        "class Packed(Event): ...",
        "TypeError: Packed: `aggregate` must name one of its fields: "
        'write `aggregate: ClassVar[str] = "order_id"`. ',
    ),
    "a wrong period": (
        "every('1 hour', None)",
        "ValueError: '1 hour' is no period: write a number and s, m, h or d, such as 1h. ",
    ),
    "an entity without a table": (
        "class Box(Entity): ...",
        'TypeError: Box names no table: write `__tablename__ = "orders"`, ',
    ),
    "a misspelt keyword of Application": (
        "Application('silo', feature=())",
        "unexpected keyword argument 'feature'. Write `features=`. ",
    ),
    "a misspelt keyword of Feature": (
        "Feature('boxes', requirez=())",
        "unexpected keyword argument 'requirez'. Write `requires=`. ",
    ),
    "an unknown keyword of Routes": (
        "Routes('/boxes', tags='boxes', tag='boxes')",
        "unexpected keyword argument 'tags'. Write `tag=`. ",
    ),
    "a misspelt public name": (
        "from backstay import Aplication",
        "cannot import name 'Aplication' from 'backstay'. Did you mean `Application`? ",
    ),
    "a public name that is not imported": (
        "del Money; Money",
        "NameError: name 'Money' is not defined. Write `from backstay import Money`. ",
    ),
    "a wrong cron expression": (
        "cron('61 * * * *', None)",
        "write minute, hour, day, month and day of the week, such as 30 3 * * *. ",
    ),
    "a module that is not there": ("import nowhere", "No module named 'nowhere'. "),
    "a name that is not there": ("1 +", "SyntaxError: invalid syntax. "),
    "no text": ("assert False", "AssertionError is raised. "),
}


@pytest.mark.parametrize("name", RAISED)
def test_what_a_module_raises_is_told_with_its_line(told: Told, name: str) -> None:
    text, sentence = RAISED[name]
    where, problem = told(text)
    assert where == "src/silo/features.py:2"
    assert sentence in problem


def test_the_place_is_in_the_project_not_in_a_library(told: Told) -> None:
    where, problem = told("import json\n\ndef read():\n    return json.loads('x')\n\nread()")
    assert where == "src/silo/features.py:5"
    assert problem.startswith("JSONDecodeError: Expecting value")


def test_faults_that_are_sentences_already_stay_as_they_are(home: Path) -> None:
    (home / "features.py").write_text(
        "from backstay import features_of\nfeatures_of('silo.nowhere')"
    )
    with pytest.raises(BootError) as refused:
        application_in_use()
    assert [each.code for each in refused.value.faults] == [Code.FEATURE_NOT_FOUND]
    (home / "features.py").write_text(
        "from backstay import load_settings\nload_settings({'ENVIRONMENT': 'mars'})"
    )
    with pytest.raises(ConfigurationError, match="ENVIRONMENT"):
        application_in_use()


def test_commands_print_a_sentence_and_the_traceback_if_asked(home: Path) -> None:
    (home / "features.py").write_text("1 / 0\n")
    done = config(home.parents[1])
    told = "application.import  src/silo/features.py:1  ZeroDivisionError: division by zero. "
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(told)
    (home.parents[1] / ".env").write_text("APP_DEBUG=true\n")
    debugging = config(home.parents[1])
    assert debugging.stderr.startswith("Traceback (most recent call last):")
    assert debugging.stderr.endswith(done.stderr)


def config(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backstay", "config"],
        cwd=folder,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
