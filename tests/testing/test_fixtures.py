"""Shows what the fixtures of the test kit replace, and that mistakes are told in a sentence."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from backstay.application import Application
from backstay.core.errors import Unauthenticated
from backstay.core.feature import Feature
from backstay.core.mail import Mail, Mailer, MailNotSent
from backstay.core.ports import AccessClaims, AccessTokens, BreachedPasswords
from backstay.features.mail.commands.sending import SendMail
from backstay.settings import ConfigurationError
from backstay.testing import Login, Mails, Work, plugin, settings_with
from backstay.testing.replacing import for_tests, require_kept_mails
from tests.features.steps import needs, register

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])


class Calls:
    """Stands for adapters that would call a service."""

    async def send(self, mail: Mail) -> None:
        raise AssertionError("a test has sent a mail")

    async def contains(self, password: str) -> bool:
        raise AssertionError("a test has asked for a password")


class Opaque:
    """Access tokens that are no JWTs."""

    def __init__(self) -> None:
        self.issued: dict[str, AccessClaims] = {}

    def issue(self, user_id: UUID, session_id: UUID) -> str:
        token = f"opaque-{len(self.issued)}"
        self.issued[token] = AccessClaims(user_id, session_id, 2**40)
        return token

    def verify(self, token: str) -> AccessClaims:
        if token not in self.issued:
            raise Unauthenticated
        return self.issued[token]

    def public_keys(self) -> dict[str, Any]:
        return {"keys": []}


class Away:
    """A mailer that does not answer at first."""

    def __init__(self) -> None:
        self.is_away = True
        self.sent: list[str] = []

    async def send(self, mail: Mail) -> None:
        if self.is_away:
            raise MailNotSent("It does not answer.")
        self.sent.append(mail.recipient)


class Rates: ...


class TestOutward:
    @pytest.fixture
    def application(self, features: list[Feature]) -> Application:
        replaced = {Mailer: Calls, BreachedPasswords: Calls}
        return Application("shop", features=features, replace=replaced, migrations=None)

    @needs("mail")
    async def test_no_service_of_the_project_is_called(self, client: Any, mails: Mails) -> None:
        assert (await register(client, "ann@example.org")).status_code == 201
        assert [mail.recipient for mail in await mails.deliver()] == ["ann@example.org"]

    @pytest.mark.parametrize("replace", [{BreachedPasswords: Calls}])
    async def test_what_a_test_names_is_called(self, client: Any) -> None:
        assert (await register(client, "ann@example.org")).status_code == 500


class TestAway:
    @pytest.fixture
    def mailer(self) -> Away:
        return Away()

    @pytest.fixture
    def replace(self, mailer: Away) -> dict[Any, Any]:
        return {Mailer: mailer}

    @needs("mail")
    async def test_failed_jobs_are_named_and_tried_again(
        self, client: Any, work: Work, mailer: Away
    ) -> None:
        await register(client, "ann@example.org")
        await work.run()
        assert await work.errors(SendMail) == ["mail.not_sent"]
        mailer.is_away = False
        assert await work.retry() == 1
        assert (mailer.sent, await work.errors(SendMail)) == (["ann@example.org"], [])

    def test_kept_mails_of_a_replaced_mailer_are_refused(
        self, replace: dict[Any, Any], database_kind: str
    ) -> None:
        with pytest.raises(pytest.fail.Exception, match="because this test replaces Mailer"):
            require_kept_mails(replace)


@pytest.mark.parametrize("replace", [{AccessTokens: Opaque}])
async def test_people_sign_in_with_any_access_tokens(login: Login) -> None:
    ann = await login()
    assert ann.tokens["access_token"].startswith("opaque-")
    assert (await ann.client.get("/api/v1/users/me")).json()["id"] == ann.id


async def test_an_unknown_role_is_told_with_all_roles(login: Login) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"no role 'clark' .* there are: admin, user"):
        await login("clark")


async def test_a_slot_is_skipped_while_its_job_waits(work: Work) -> None:
    assert await work.fire("PurgeSessions")
    assert not await work.fire("PurgeSessions")
    assert await work.run() == 1
    assert await work.fire("PurgeSessions")


async def test_an_unknown_schedule_is_told_with_all_schedules(work: Work) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"no schedule 'purge'.* there are: .*Sessions"):
        await work.fire("purge")


def test_a_missing_setting_is_told_with_where_tests_give_it(
    tmp_path: Path, database_kind: str
) -> None:
    with pytest.raises(ConfigurationError) as failed:
        settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path, MAIL_PORT="smtp")
    assert "fixture `variables`" in "".join(failed.value.__notes__)
    session = SimpleNamespace()
    setup: Any = plugin.pytest_fixture_setup(cast(Any, SimpleNamespace(session=session)))
    next(setup)
    with pytest.raises(pytest.fail.Exception, match=r"MAIL_PORT(.|\n)*fixture `variables`"):
        setup.throw(failed.value)
    assert session.shouldfail == "the application does not start"


def test_only_what_the_application_has_is_replaced(database_kind: str) -> None:
    shop = Application("shop", provide={Rates: Rates}, migrations=None)
    assert for_tests(shop, {Rates: Calls}).provide == {Rates: Calls}
    with pytest.raises(pytest.fail.Exception, match=r"names int, .*Name one of Acc.*, Rates"):
        for_tests(shop, {int: 1})
