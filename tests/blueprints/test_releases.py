"""Shows how requirements are read and raised, and what a person keeps of them."""

import pytest

from backstay.blueprints.releases import extras, number_of, raised, required


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('["backstay~=0.1.0"]', '["backstay~=0.2.0"]'),
        ('["backstay == 0.1.0", # ours', '["backstay ==0.2.0", # ours'),
        ("'backstay[testing] >= 0.1,<1'", "'backstay[testing] >=0.2.0,<1'"),
        ('"backstay>=0.1,<0.2"', '"backstay~=0.2.0"'),
        ('"backstay<0.2"', '"backstay~=0.2.0"'),
        (
            """'backstay~=0.1; python_version > "3"'""",
            """'backstay~=0.2.0; python_version > "3"'""",
        ),
        ('"backstay==0.1.*"', '"backstay==0.2.0"'),
        ('"backstay>=0.1,<1!2"', '"backstay~=0.2.0"'),
        ('"backstay"', '"backstay"'),
        ('"backstay[testing]"', '"backstay[testing]"'),
        ('"backstay-admin~=0.1.0"', '"backstay-admin~=0.1.0"'),
        ('"backstay @ file:///x.whl"', '"backstay @ file:///x.whl"'),
    ],
)
def test_a_requirement_is_raised_in_its_own_form(before: str, after: str) -> None:
    assert raised(before, "0.2.0") == after


def test_the_oldest_release_and_all_extras_are_read() -> None:
    text = '"backstay[testing, x]>=0.2,<1" "backstay[testing]~=0.10.1"'
    assert required(text) == "0.2"
    assert extras(text) == ("testing", "x")
    assert required('"backstay==0.1.*"') == "0.1"
    assert required('"backstay" "backstay>=1!2"') is None


def test_releases_compare_as_numbers() -> None:
    assert number_of("0.10.0") > number_of("0.9")
    assert number_of("1.2.0rc1") == number_of("1.2")


@pytest.mark.parametrize("text", ["next", "", "0.2.0 --pre x", "0.2.0;x", "0.1.*"])
def test_what_is_no_release_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no release"):
        number_of(text)
