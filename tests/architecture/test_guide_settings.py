"""The guide to settings of one's own works as it is written."""

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from backstay.settings import ConfigurationError, example_env, load_settings, reference_markdown
from backstay.settings.schema import PACKAGED
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
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    monkeypatch.chdir(tmp_path / "src" / "shop")
    yield tmp_path
    for name in [each for each in sys.modules if each.partition(".")[0] == "shop"]:
        del sys.modules[name]


def group() -> Any:
    return import_module("shop.settings").ShopSettings


async def test_the_application_of_the_guide_reads_its_group(project: Path) -> None:
    module: Any = import_module("shop.application")
    backstay = module.app.state.backstay
    terms = await backstay.system(import_module("shop.prices.queries").GetTerms())
    await backstay.close()
    assert (terms.currency, terms.countries) == ("EUR", ("DE", "AT"))
    settings = module.settings.of(group())
    assert settings.api_key.get_secret_value() == "s3cr3t"
    assert settings.hold_minutes == 1
    assert module.price_list == project / "prices.csv"
    assert f"sqlite+aiosqlite:///{project}/backstay.db" in module.settings.db.sqlalchemy_url


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


@pytest.mark.usefixtures("project")
def test_the_pages_show_the_group_of_the_guide() -> None:
    assert "## Shop (`SHOP_`)" in reference_markdown([group()])
    assert "#SHOP_HOLD_MINUTES=1\n" in example_env([group()])
