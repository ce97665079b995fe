"""Shows which passwords are refused because they are easy to guess."""

from collections.abc import Iterable
from hashlib import sha1
from pathlib import Path

import httpx
import pytest

from backstay.composition import Backstay
from backstay.core.errors import Invalid
from backstay.features.users.commands.admins import CreateAdmin
from backstay.security import breached_passwords
from backstay.testing import PASSWORD, Login
from tests.features.steps import API, AUTH, register
from tests.logs import logged
from tests.web.problems import fields_of, problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

KNOWN, PADDED = "lagoon kettle 4711", "nobody had this one"


@pytest.fixture
def variables() -> dict[str, str]:
    return {"APP_NAME": "Blue Kiosk"}


async def chosen(
    client: httpx.AsyncClient, login: Login, password: str
) -> Iterable[httpx.Response]:
    """The answers of every route that sets a password."""
    person, admin = await login(), (await login("admin")).client
    change = {"current_password": PASSWORD, "new_password": password}
    return (
        await register(client, "eve@example.org", password=password),
        await person.client.post(f"{AUTH}/password/change", json=change),
        await admin.put(f"{API}/users/{person.id}/password", json={"new_password": password}),
    )


@pytest.mark.parametrize(
    "password",
    [
        "Summer2026!",
        "summer 2026",
        "2026-Winter",
        "Autumn26!!",
        "Summ3r2026",
        "Fall2025Fall2025",
        "Backstay",
        "Backstay123!",
        "B4ck5t@y2026",
        "backstay12345678",
        "BlueKiosk",
        "blue-kiosk-2026",
        "My Blue Kiosk!",
        "Blue Kiosk Summer 2026",
    ],
)
async def test_words_of_the_context_are_no_password(
    client: httpx.AsyncClient, login: Login, password: str
) -> None:
    for answer in await chosen(client, login, password):
        body = problem(answer, 422, "validation_error")
        assert set(fields_of(body).values()) == {"context_password"}
        assert password not in answer.text


@pytest.mark.parametrize(
    "password",
    ["waterfalls2", "a blue kiosk with horses", "backstay and forestay", "endless summer days"],
)
async def test_a_password_without_guessable_words_is_accepted(
    client: httpx.AsyncClient, password: str
) -> None:
    assert (await register(client, "eve@example.org", password=password)).status_code == 201


async def test_an_administrator_has_no_such_password_either(backstay: Backstay) -> None:
    for password in ("BlueKiosk1", "Backstay2026"):
        with pytest.raises(Invalid):
            await backstay.system(CreateAdmin(email="eve@example.org", password=password))


def lines(*, cut: int) -> dict[str, list[str]]:
    """Lines of Pwned Passwords with these first digits of a hash, sorted."""
    passwords = {f"password number {number}": number + 1 for number in range(999)}
    found: dict[str, list[str]] = {}
    for password, count in sorted(
        (passwords | {KNOWN: 7, PADDED: 0}).items(),
        key=lambda pair: sha1(pair[0].encode()).hexdigest(),
    ):
        digest = sha1(password.encode()).hexdigest().upper()
        found.setdefault(digest[:cut], []).append(f"{digest[cut:]}:{count}\r\n")
    return found


class TestBreached:
    @pytest.fixture(params=["folder", "file", "file without line breaks of Windows"])
    def copy(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        path: Path = tmp_path / "pwned"
        if request.param == "folder":
            path.mkdir()
            for name, some in lines(cut=5).items():
                (path / f"{name}.txt").write_text("".join(some), newline="")
        else:
            text = "".join(lines(cut=0)[""])
            if request.param != "file":
                text = text.replace("\r", "").rstrip("\n")
            path.write_text(text, newline="")
        return path

    @pytest.fixture
    def variables(self, copy: Path) -> dict[str, str]:
        return {"SECURITY_BREACHED_PASSWORDS_FILE": str(copy)}

    async def test_a_password_that_was_published_is_refused(
        self, client: httpx.AsyncClient, login: Login
    ) -> None:
        for answer in await chosen(client, login, KNOWN):
            body = problem(answer, 422, "validation_error")
            assert set(fields_of(body).values()) == {"breached_password"}
        for answer in await chosen(client, login, PADDED):
            assert answer.is_success

    async def test_every_published_password_is_found_and_no_other(self, backstay: Backstay) -> None:
        for number in (*range(0, 999, 37), 998):
            assert await backstay.breached.contains(f"password number {number}")
            assert not await backstay.breached.contains(f"password number {number}.")

    async def test_no_password_is_taken_while_none_can_be_looked_up(
        self, client: httpx.AsyncClient, copy: Path
    ) -> None:
        copy.rename(copy.with_name("away"))
        with logged(breached_passwords) as logs:
            answer = await register(client, "eve@example.org", password=KNOWN)
        problem(answer, 503, "unavailable")
        assert any("SECURITY_BREACHED_PASSWORDS_FILE" in entry["event"] for entry in logs)
        assert KNOWN not in str(logs)
