"""Shows that what `generate-secrets` prints is all that production wants, and new each time."""

from pathlib import Path

import pytest

from backstay.settings import read_settings
from tests.cli.conftest import Call


def lines(call: Call, algorithm: str) -> dict[str, str]:
    ended = call("generate-secrets", "--algorithm", algorithm)
    assert (ended.code, ended.errors) == (0, "")
    return dict(line.split("=", 1) for line in ended.output.splitlines())


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "Ed25519", "EdDSA"])
def test_production_takes_what_is_printed(call: Call, tmp_path: Path, algorithm: str) -> None:
    printed, again = lines(call, algorithm), lines(call, algorithm)
    loaded = read_settings(printed | {"ENVIRONMENT": "production"}, tmp_path)
    assert loaded.errors == ()
    assert loaded.settings is not None
    assert loaded.settings.security.algorithm == algorithm
    assert printed["SECURITY_SECRET_KEY"] != again["SECURITY_SECRET_KEY"]
    assert len(set(printed.values()) | set(again.values())) == len(printed) + 3


def test_an_unknown_algorithm_is_refused(call: Call) -> None:
    ended = call("generate-secrets", "--algorithm", "none")
    assert (ended.code, ended.output) == (2, "")
