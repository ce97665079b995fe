"""The guide to settings of one's own works as it is written."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from backstay.application import VARIABLE, application_in_use
from backstay.cli.config import config
from backstay.settings import ConfigurationError, load_settings
from backstay.settings.schema import PACKAGED
from backstay.testing.waiting import LIMIT
from tests.architecture.tree import ROOT

pytestmark = pytest.mark.anyio

GUIDE = (ROOT / "docs" / "guides" / "settings.md").read_text("utf-8")
FILE = re.compile(r"^`([^`\n]+)`\n\n```(?:python|sh|toml)\n(.*?)^```", re.DOTALL | re.M)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the project, which a folder below it is the working directory."""
    files = dict(FILE.findall(GUIDE))
    assert len(files) == len(re.findall(r"^```(?:python|sh|toml)$", GUIDE, re.M))
    for name, content in {**files, "secrets/payment": "s3cr3t\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    for name in (name for variable in PACKAGED.variables for name in variable.names):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    monkeypatch.chdir(tmp_path / "src" / "shop")
    yield tmp_path
    for name in [each for each in sys.modules if each.partition(".")[0] == "shop"]:
        del sys.modules[name]


def group() -> Any:
    return import_module("shop.settings").ShopSettings


async def test_the_application_of_the_guide_reads_its_group(project: Path) -> None:
    application = application_in_use()
    settings = application.load_settings()
    backstay = application.compose(settings)
    terms = await backstay.system(import_module("shop.prices.queries").GetTerms())
    await backstay.close()
    assert (terms.currency, terms.countries) == ("EUR", ("DE", "AT"))
    shop = settings.of(group())
    assert shop.api_key.get_secret_value() == "s3cr3t"
    assert (shop.hold_minutes, shop.prices) == (1, project / "prices.csv")
    assert settings.db.sqlalchemy_url == f"sqlite+aiosqlite:///{project}/backstay.db"


@pytest.mark.usefixtures("project")
def test_the_command_config_shows_the_group_of_the_guide() -> None:
    shown, reference, example = map(printed, ("", "--reference", "--example"))
    assert re.search(r"^SHOP_API_KEY +\*{8} +file /.+/secrets/payment", shown, re.M)
    assert re.search(r"^SHOP_COUNTRIES +DE, AT +/.+/\.env", shown, re.M)
    assert "## Shop (`SHOP_`)" in reference
    assert "#SHOP_HOLD_MINUTES=1\n" in example


def test_the_test_of_the_guide_passes(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env={"PATH": os.environ["PATH"], "HOME": str(project), "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def printed(option: str) -> str:
    app = typer.Typer()
    app.command()(config)
    result = CliRunner().invoke(app, [option] if option else [])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_errors_of_the_guide_are_printed_so(project: Path) -> None:
    (printed,) = re.findall(r"^```text\n(.*?)^```", GUIDE, re.DOTALL | re.M)
    (project / ".env").unlink()
    environ = {"SHOP_CURRENCY": "GBP", "SHOP_COUNTRIES": "Austria"}
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ, groups=[group()])
    assert f"{caught.value}\n" == printed


@pytest.mark.usefixtures("project")
def test_the_check_of_the_guide_compares_two_settings() -> None:
    with pytest.raises(ConfigurationError, match=r"SHOP_\*: parcels would be free"):
        load_settings({"SHOP_FREE_FROM": "600"}, groups=[group()])
