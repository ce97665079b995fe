"""Shows that a password is the same in each Unicode form, and what a check costs."""

import asyncio
from contextlib import nullcontext
from typing import Any
from unicodedata import normalize

import httpx
import pytest
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import TypeAdapter, ValidationError

from backstay.composition import Backstay
from backstay.features.users import schemas
from backstay.security import passwords as passwords_argon2
from tests.features.auth.test_enumeration import CountingHasher, work
from tests.features.steps import change_user, register, sign_in
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

__all__ = ["work"]

EVE = "eve@example.org"
COMPOSED = "crème brûlée"
APART = normalize("NFD", COMPOSED)
FORMS = pytest.mark.parametrize("form", [COMPOSED, APART], ids=["composed", "apart"])


def as_before(password: str) -> str:
    """A hash of a password in the form in which it was typed, with the current parameters."""
    memory, rounds = passwords_argon2.MEMORY_KIB, passwords_argon2.TIME_COST
    return Argon2Hasher(rounds, memory, passwords_argon2.LANES).hash(password)


@FORMS
async def test_composed_and_decomposed_forms_are_the_same_password(
    client: httpx.AsyncClient, form: str
) -> None:
    await register(client, EVE, password=form)
    for password in (COMPOSED, APART):
        assert (await sign_in(client, EVE, password=password)).status_code == 200
    problem(await sign_in(client, EVE, password="creme brulee"), 401)


@FORMS
async def test_an_old_password_is_stored_composed_at_its_first_use(
    client: httpx.AsyncClient, backstay: Backstay, form: str
) -> None:
    user = (await register(client, EVE)).json()
    await change_user(backstay, user["id"], password_hash=as_before(form))
    for password in (form, COMPOSED, APART):
        assert (await sign_in(client, EVE, password=password)).status_code == 200


async def test_a_check_costs_one_hash_whichever_form_is_typed(
    client: httpx.AsyncClient, backstay: Backstay, work: CountingHasher
) -> None:
    old = (await register(client, "old@example.org")).json()
    await register(client, "new@example.org", password=COMPOSED)
    await change_user(backstay, old["id"], password_hash=as_before(APART))
    for email in ("old@example.org", "new@example.org", "nobody@example.org"):
        for password in ("not the password", normalize("NFD", "nöt the pässword")):
            work.done.clear()
            problem(await sign_in(client, email, password=password), 401)
            assert work.done == ["verify"]
    work.done.clear()
    assert (await sign_in(client, "new@example.org", password=APART)).status_code == 200
    assert work.done.count("verify") == 1
    assert "hash" not in work.done


async def test_length_is_that_of_the_composed_form(client: httpx.AsyncClient) -> None:
    seven, eight = (normalize("NFD", text) for text in ("éèêëàâä", "éèêëàâäô"))
    problem(await register(client, EVE, password=seven), 422)
    assert (await register(client, EVE, password=eight)).status_code == 201


async def test_a_broken_hash_matches_no_password(
    client: httpx.AsyncClient, backstay: Backstay
) -> None:
    user = (await register(client, EVE)).json()
    for broken in ("", "!", "$argon2id$", "$" * 6):
        await change_user(backstay, user["id"], password_hash=broken)
        answers = await asyncio.gather(*(sign_in(client, EVE, password=p) for p in (APART, "x")))
        assert {answer.status_code for answer in answers} == {401}


@pytest.mark.parametrize("length", [128, 512, 513, 100_000])
async def test_a_text_too_long_for_a_password_is_not_composed(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """Composing takes quadratic time, and the caller is not authenticated yet."""
    composed: list[int] = []

    def recorded(form: Any, text: str) -> str:
        composed.append(len(text))
        return normalize(form, text)

    monkeypatch.setattr(schemas, "normalize", recorded)
    marks = "a" + "\u0315" * (length // 2) + "\u0327" * (length - 1 - length // 2)
    with pytest.raises(ValidationError) if length > 128 else nullcontext():
        TypeAdapter(schemas.Password).validate_python(marks)
    assert composed == ([length] if length <= 512 else [])


async def test_the_longest_password_works_in_either_form(
    client: httpx.AsyncClient,
) -> None:
    longest = "\ud55c\uae00" * 64
    await register(client, EVE, password=longest)
    apart = normalize("NFD", longest)
    assert (await sign_in(client, EVE, password=apart)).status_code == 200
