"""Support that acts as the owner of an account."""

import pytest
from fastapi import FastAPI

from backstay.composition import Backstay
from backstay.testing import Login
from tests.features.auth.impersonating import Scene, begin, make_support


@pytest.fixture
async def scene(app: FastAPI, backstay: Backstay, login: Login) -> Scene:
    return await begin(app, await make_support(backstay, login), await login())
