"""Shows that durations are limited, so that adding one to the time does not overflow."""

import re

import pytest

from backstay.settings.schema import PACKAGED
from backstay.settings.variables import Variable
from tests.settings.reading import Read, faulty

DURATIONS = [each for each in PACKAGED.variables if re.search(r"\b(seconds|days)\b", each.kind)]


def test_durations_are_found() -> None:
    names = {variable.name for variable in DURATIONS}
    assert names >= {"SECURITY_SESSION_LIFETIME_SECONDS", "DB_POOL_TIMEOUT", "LOG_ACTIVITY_DAYS"}
    assert len(names) >= 13
    told = ("_SECONDS", "_TIMEOUT", "_PERIOD", "_AGE", "_DAYS", "_TTL", "_INTERVAL", "_WAIT")
    assert {each.name for each in PACKAGED.variables if each.name.endswith(told)} == names


@pytest.mark.parametrize("variable", DURATIONS, ids=lambda each: each.name)
def test_a_duration_has_an_end(read: Read, variable: Variable) -> None:
    most = int(variable.kind.rpartition("at most ")[2])
    assert faulty(read({variable.name: "9" * 400})) == [variable.name]
    for value in (str(most + 1), "99999999999999"):
        loaded = read({variable.name: value})
        assert faulty(loaded) == [variable.name]
        (error,) = loaded.errors
        assert error.wrong == f"is above {most}"
        assert error.hint == f"Set it to {most} at most."
    settings = {"DB_STATEMENT_TIMEOUT": "0", variable.name: str(most)}
    assert faulty(read(settings)) == []


def test_a_limit_is_one_that_can_be_counted(read: Read) -> None:
    assert faulty(read(RATE_LIMIT_DEFAULT="1000000001")) == ["RATE_LIMIT_DEFAULT"]
    assert faulty(read(RATE_LIMIT_DEFAULT="1000000000", RATE_LIMIT_PERIOD="31536000")) == []
