"""Steps of scenarios in which an administrator acts as somebody else."""

from dataclasses import dataclass

import httpx
from fastapi import FastAPI

from backstay.composition import Backstay
from backstay.testing import Login, Person, client_of
from tests.features.granting import grant
from tests.features.steps import API, ME


async def impersonate(support: Person, user_id: str) -> httpx.Response:
    return await support.client.post(f"{API}/users/{user_id}/impersonate")


@dataclass(frozen=True)
class Scene:
    """Support, the owner of an account, and support as whom it owns: as ``guest``."""

    support: Person
    owner: Person
    guest: Person

    async def is_over(self) -> bool:
        """Whether the impersonation has ended."""
        answer = await self.guest.client.get(ME)
        assert answer.status_code in {200, 401}, answer.text
        return answer.status_code == 401


async def begin(app: FastAPI, support: Person, owner: Person) -> Scene:
    """Let support act as the owner."""
    answer = await impersonate(support, owner.id)
    assert answer.status_code == 200, answer.text
    guest = Person(client_of(app), owner.id, owner.email, answer.json())
    return Scene(support, owner, guest)


async def make_support(backstay: Backstay, login: Login, *, level: int = 10) -> Person:
    """A user who may impersonate others."""
    person = await login()
    await grant(backstay, person.id, "users:impersonate", level=level, role="support")
    return person
