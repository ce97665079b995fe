"""The guide "Caching and limits" works as it is written."""

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from backstay.core.feature import Feature
from backstay.features import STANDARD
from backstay.testing import Login
from tests.features.steps import API, needs

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_kind", ["sqlite"]),
    needs("items"),
]
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "caching-and-limits.md"
NAME = "backstay_guide_statistics"


CACHING, LIMITS = GUIDE.read_text().split("## Limits")


def blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def variables() -> dict[str, str]:
    return {"RATE_LIMIT_ENABLED": "true"}


@pytest.fixture
def statistics(tmp_path: Path) -> Iterator[ModuleType]:
    """The feature that the blocks of the guide make."""
    path = tmp_path / f"{NAME}.py"
    path.write_text("\n".join(blocks(CACHING)))
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[NAME]


@pytest.fixture
def features(statistics: ModuleType) -> list[Feature]:
    modules, routes = (statistics,), (statistics.routes,)
    return [*STANDARD, Feature("statistics", modules=modules, routes=routes, requires=("items",))]


async def test_the_feature_of_the_guide_keeps_and_outdates(
    login: Login, statistics: ModuleType
) -> None:
    ada = await login()
    counted = f"{API}/statistics/items"
    assert (await ada.client.get(counted)).json() == {"items": 0}
    await ada.client.post(f"{API}/items", json={"title": "rope"})
    answer = await ada.client.get(counted)
    assert answer.json() == {"items": 1}
    assert answer.headers["cache-control"] == "private, max-age=30"
    closed = await ada.client.post(f"{API}/statistics/harbours/home/close")
    assert closed.status_code == 204
    for _ in range(2):
        weather = await ada.client.get(f"{API}/statistics/weather/Kiel")
        assert weather.json() == {"place": "Kiel", "wind": "none"}
    assert statistics.asked == ["Kiel"]


async def test_the_tier_of_the_guide_limits(login: Login) -> None:
    admin, user = await login("admin"), await login()
    names: dict[str, Any] = {"admin": admin.client, "user": user.client, "user_id": user.id}
    (block,) = blocks(LIMITS)
    await eval(compile(block, str(GUIDE), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    answers = names["answers"]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit"] == '"/api/v1/items*";r=2;t=20'
    assert 1 <= int(answers[3].headers["retry-after"]) <= 20
