"""Tests what a project puts in place of adapters, and provides beside them."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from pydantic import Field

from backstay.application import Application
from backstay.composition import Backstay
from backstay.composition.replacing import Replacements
from backstay.core.bus import handles
from backstay.core.clock import utc_now
from backstay.core.feature import Feature
from backstay.core.mail import Mail, Mailer, MailTokens
from backstay.core.messages import Query
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.ports import Clock, Passwords
from backstay.core.principal import Principal
from backstay.core.rates import Limiter, Rate, RateLimitResult
from backstay.core.wiring import BootError, Code
from backstay.db.session import Transaction
from backstay.jobs.outbox import Jobs
from backstay.security.guesses import Guesses
from backstay.settings import AppSettings, Settings, SettingsGroup
from backstay.testing import settings_with
from tests.settings.conftest import OTHER, STRONG


class Pigeons:
    """Sends mails by pigeon."""

    def __init__(self, app: AppSettings, clock: Clock, speed: int = 3) -> None:
        self.name, self.clock, self.speed = app.name, clock, speed
        self.sent: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        self.sent.append(mail)


class Exchange:
    """The rates of currencies."""

    def __init__(self, mailer: Mailer, settings: Settings) -> None:
        self.mailer, self.environment = mailer, settings.environment


class Lazy:
    """Counts nothing."""

    async def hit(self, key: str, rate: Rate) -> RateLimitResult:
        return RateLimitResult(True, rate.limit, rate.limit, 0, 0)

    async def peek(self, key: str, rate: Rate) -> RateLimitResult:
        return await self.hit(key, rate)

    async def take_back(self, key: str, rate: Rate) -> None: ...


class Incomplete:
    def hit(self, key: str, rate: Rate) -> RateLimitResult:
        raise NotImplementedError


class Crooked(Lazy):
    async def take_back(self, key: str) -> None:  # type: ignore[override]
        ...


class Later:
    async def write(self, purpose: str, link_id: UUID) -> str:
        return ""

    def read(self, purpose: str, token: str) -> UUID | None: ...

    def pseudonym(self, address: str, *, exact: bool = False) -> str:
        return address


class Asking:
    def __init__(self, height: float) -> None: ...

    async def send(self, mail: Mail) -> None: ...


class GetExchange(Query[Any]):
    permission = SYSTEM_ONLY


@handles(GetExchange)
async def get_exchange(query: GetExchange, exchange: Exchange, mailer: Mailer) -> Any:
    return exchange, mailer


def composed(
    folder: Path,
    replace: Mapping[Any, Any] = MappingProxyType({}),
    provide: Mapping[Any, Any] = MappingProxyType({}),
) -> Backstay:
    settings = settings_with(f"sqlite:///{folder}/unused.db", folder)
    shop = Application("shop", replace=replace, provide=provide, migrations=None)
    return shop.compose(settings)


def faults(
    folder: Path,
    replace: Mapping[Any, Any] = MappingProxyType({}),
    provide: Mapping[Any, Any] = MappingProxyType({}),
) -> dict[Code, str]:
    with pytest.raises(BootError) as refused:
        composed(folder, replace, provide)
    return {fault.code: fault.problem for fault in refused.value.faults}


async def test_a_project_replaces_and_provides_what_handlers_take(tmp_path: Path) -> None:
    from backstay.features import STANDARD  # noqa: PLC0415
    from tests.composition import test_replacing  # noqa: PLC0415

    own = Feature(name="exchange", modules=(test_replacing,))
    application = Application(
        "shop",
        features=(*STANDARD, own),
        replace={Mailer: Pigeons},
        provide={Exchange: Exchange},
        migrations=None,
    )
    backstay = application.compose(settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path))
    exchange, mailer = await backstay.system(GetExchange())
    assert isinstance(mailer, Pigeons)
    assert mailer.name == "Backstay"
    assert mailer.speed == 3
    assert exchange.mailer is mailer
    await backstay.close()


class Barn(SettingsGroup):
    """A group of the project."""

    env_prefix = "BARN_"

    doors: int = Field(2, description="Doors of the barn.")


class Owls:
    """Sends mails by owl."""

    def __init__(self, barn: Barn) -> None:
        self.doors = barn.doors

    async def send(self, mail: Mail) -> None: ...


async def test_an_adapter_may_ask_for_the_projects_settings(tmp_path: Path) -> None:
    shop = Application(
        "shop", settings=(Barn,), replace={Mailer: Owls}, provide={Owls: Owls}, migrations=None
    )
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path, shop, BARN_DOORS="3")
    made = Replacements(shop.replace, shop.provide, settings, utc_now)
    assert made.replaced[Mailer].doors == 3
    assert made.provided[Owls].doors == 3


async def test_the_edge_counts_with_the_projects_limiter(tmp_path: Path) -> None:
    lazy = Lazy()
    backstay = composed(tmp_path, replace={Limiter: lazy})
    assert backstay.limiter is lazy
    await backstay.close()


def test_an_adapter_that_lacks_a_method_is_a_boot_error(tmp_path: Path) -> None:
    with pytest.raises(BootError) as refused:
        composed(tmp_path, replace={Limiter: Incomplete})
    first, peek, second = refused.value.faults
    assert {first.code, peek.code, second.code} == {Code.APPLICATION_ADAPTER}
    assert first.problem == "Incomplete stands for Limiter, but its `hit` is not async."
    assert peek.problem == "Incomplete stands for Limiter, but its `peek` is missing."
    assert second.problem == "Incomplete stands for Limiter, but its `take_back` is missing."
    assert "async def take_back(self, key: str" in second.hint


def test_an_adapter_with_other_parameters_is_a_boot_error(tmp_path: Path) -> None:
    found = faults(tmp_path, replace={Limiter: Crooked()})
    assert found[Code.APPLICATION_ADAPTER].endswith("its `take_back` takes other parameters.")


def test_an_async_method_that_nobody_awaits_is_a_boot_error(tmp_path: Path) -> None:
    found = faults(tmp_path, replace={MailTokens: Later()})
    assert found[Code.APPLICATION_ADAPTER].endswith("`write` is async, and nobody awaits it.")


@pytest.mark.parametrize("nothing", [None, lambda: None])
def test_nothing_in_place_of_an_adapter_is_a_boot_error(tmp_path: Path, nothing: Any) -> None:
    found = faults(tmp_path, replace={Limiter: nothing})
    assert found[Code.APPLICATION_ADAPTER].startswith("Nothing stands for Limiter")


def test_what_cannot_be_replaced_is_a_boot_error(tmp_path: Path) -> None:
    found = faults(tmp_path, replace={Passwords: object(), int: 1})
    assert Code.APPLICATION_REPLACE in found


def test_what_has_an_adapter_cannot_be_provided(tmp_path: Path) -> None:
    assert Code.APPLICATION_PROVIDE in faults(tmp_path, provide={Mailer: Pigeons})


@pytest.mark.parametrize("kind", [Principal, Transaction, Jobs, Barn, Guesses])
def test_what_handlers_get_anyway_cannot_be_provided(tmp_path: Path, kind: type[Any]) -> None:
    shop = Application("shop", settings=(Barn,), provide={kind: object()}, migrations=None)
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path, shop)
    with pytest.raises(BootError, match=f"`provide` names {kind.__name__}, which handlers"):
        shop.compose(settings)


def test_a_parameter_that_nobody_provides_is_a_boot_error(tmp_path: Path) -> None:
    found = faults(tmp_path, replace={Mailer: Asking})
    assert "`height` of Asking" in found[Code.APPLICATION_PARAMETER]


@pytest.mark.parametrize("replace", [{}, {Mailer: Pigeons}])
async def test_a_mailer_of_the_project_needs_no_mail_server(
    tmp_path: Path, replace: dict[Any, Any]
) -> None:
    keys = {"SECURITY_SECRET_KEY": STRONG, "SECURITY_REFRESH_TOKEN_SECRET": OTHER}
    settings = settings_with(
        f"sqlite:///{tmp_path}/unused.db", tmp_path, **keys, ENVIRONMENT="production"
    )
    backstay = Application("shop", replace=replace, migrations=None).compose(settings)
    assert backstay.lacks_mail_server is not bool(replace)
    await backstay.close()
