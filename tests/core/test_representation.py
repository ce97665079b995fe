"""Shows when a representation matches the ETag that the client sent."""

import re

import pytest

from backstay.core.errors import PreconditionFailed
from backstay.core.messages import View
from backstay.core.representation import Preconditions, Representation


class Boat(View):
    name: str
    version: int = 1


SLOOP = Boat(name="Sloop")
TAG = Representation.of(SLOOP).etag or ""


def test_an_etag_is_strong_and_changes_with_every_shown_field() -> None:
    assert re.fullmatch(r'"[0-9a-f]{24}"', TAG)
    assert Representation.of(Boat(name="Sloop")).etag == TAG
    assert Representation.of(Boat(name="Sloop", version=2)).etag != TAG
    assert Representation.of(Boat(name="Yawl")).etag != TAG


@pytest.mark.parametrize("tags", [None, ("*",), (TAG,), ('"older"', TAG)])
def test_a_change_with_the_current_etag_is_allowed(tags: tuple[str, ...] | None) -> None:
    Preconditions(tags).check(SLOOP)


@pytest.mark.parametrize("tags", [(), ('"older"',), (TAG.strip('"'),), (f"W/{TAG}",)])
def test_a_change_with_another_etag_is_refused(tags: tuple[str, ...]) -> None:
    with pytest.raises(PreconditionFailed):
        Preconditions(tags).check(SLOOP)
