"""Shows how tiers are created on the command line, and what is refused."""

from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.files import look_into

ITEMS, ME = "/api/v1/items*", "/api/v1/users/me"


def stored(folder: Path) -> set[tuple[str, str, int, int]]:
    with look_into(folder / "backstay.db") as connection:
        return set(
            connection.execute(
                'SELECT tiers.name, path, "limit", period FROM rate_limits '
                "JOIN tiers ON tiers.id = tier_id"
            )
        )


def test_a_tier_is_made_with_its_limits(tmp_path: Path, call: Call) -> None:
    limits = ("--limit", f"{ITEMS}=20/minute", "--limit", f"{ME}=5/30")
    made = call("create-tier", "pro", *limits)
    assert (made.code, made.output, made.errors) == (0, "Created the tier pro.\n", "")
    assert stored(tmp_path) == {("pro", ITEMS, 20, 60), ("pro", ME, 5, 30)}
    again = call("create-tier", "pro")
    assert (again.code, again.errors) == (1, "A tier of this name exists.\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("a b",), "name: "),
        (("pro", "--limit", "nonsense"), "--limit: Write PATH=LIMIT/PERIOD"),
        (("pro", "--limit", f"{ME}=5"), "--limit: Write PATH=LIMIT/PERIOD"),
        (("pro", "--limit", f"{ME}=0/minute"), "--limit: Write PATH=LIMIT/PERIOD"),
        (("pro", "--limit", f"{ME}=0/5"), "limit: "),
        (("pro", "--limit", "users=1/minute"), "path: A path begins with /"),
        (("pro", "--limit", f"{ME}=1/minute", "--limit", "/v9/*=1/minute"), "path: No route"),
    ],
)
def test_a_fault_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, call: Call, arguments: tuple[str, ...], told: str
) -> None:
    ended = call("create-tier", *arguments)
    assert (ended.code, ended.output) == (2, "")
    assert ended.errors.startswith(told)
    assert len(ended.errors.splitlines()) == 1
    if (tmp_path / "backstay.db").exists():
        with look_into(tmp_path / "backstay.db") as connection:
            assert connection.execute("SELECT name FROM tiers").fetchall() == []


def test_two_limits_for_one_path_are_refused(tmp_path: Path, call: Call) -> None:
    ended = call("create-tier", "pro", "--limit", f"{ME}=1/minute", "--limit", f"{ME}=2/minute")
    assert (ended.code, ended.errors) == (1, "The tier has a rate limit for this path.\n")
    assert stored(tmp_path) == set()


def test_the_first_start_makes_the_tier_of_new_users(tmp_path: Path, call: Call) -> None:
    for name in ("free", "basic"):
        variables = {} if name == "free" else {"ADMIN_TIER_NAME": name}
        assert call("db", "upgrade", **variables).code == 0
    with look_into(tmp_path / "backstay.db") as connection:
        assert set(connection.execute("SELECT name FROM tiers")) == {("free",), ("basic",)}
        assert connection.execute("SELECT tier FROM users").fetchall() == [("free",)]


def test_an_invalid_default_tier_name_is_reported(call: Call) -> None:
    ended = call("config", ADMIN_TIER_NAME="a b")
    assert ended.code == 2
    assert "ADMIN_TIER_NAME" in ended.output
