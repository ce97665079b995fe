"""The mail of the application under test."""

import pytest

from backstay.composition import Backstay
from tests.features.mail.post import Post


@pytest.fixture
def post(backstay: Backstay) -> Post:
    return Post(backstay)
