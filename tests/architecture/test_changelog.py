"""Shows that CHANGELOG.md has a form that programs read, and what is said where it has not."""

import pytest

import backstay
from backstay.blueprints import changelog
from backstay.blueprints.changelog import Unreadable, sections

HEAD = "# Changelog\n\nIn words.\n\n"
LINE = "### Added\n- A.\n"


def test_the_changelog_is_read() -> None:
    found = sections(changelog.FILE.read_text("utf-8"))
    coming, *released = found.values()
    assert coming.version == changelog.COMING
    assert coming.released is None
    assert backstay.__version__ in found
    days = [each.released for each in released if each.released]
    assert len(days) == len(released)
    assert days == sorted(days, reverse=True)
    assert all(entries for each in released for entries in each.entries.values())


def test_entries_are_read_by_version_and_heading() -> None:
    dated = f"## [1.2.0] - 2027-02-03\n\n{LINE}  B.\n\n### Security\n- C `x`.\n"
    found = sections(f"{HEAD}## [Unreleased]\n\n{dated}")
    assert list(found) == ["Unreleased", "1.2.0"]
    assert found["1.2.0"].entries == {"Added": ["A. B."], "Security": ["C `x`."]}
    assert str(found["1.2.0"].released) == "2027-02-03"
    assert found["1.2.0"].mentions("x")
    assert not found["1.2.0"].mentions("C")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("## 1.2.0\n", r"line 5: write `## \[1.2.3\] - 2026-12-31`"),
        ("## [1.2] - 2027-01-01\n", "line 5: write"),
        ("## [1.2.0] - 2027-13-01\n", "line 5: 2027-13-01 is no date"),
        ("## [Unreleased]\n- A.\n", "line 6: write ### and one of Added"),
        ("## [Unreleased]\n### New\n- A.\n", "line 6: write each of Added"),
        (f"## [Unreleased]\n{LINE}{LINE}", "line 8: write each of Added"),
        ("## [Unreleased]\n### Added\nWords.\n", "line 7: an entry starts with"),
        ("## [Unreleased]\n## [Unreleased]\n", "line 6: Unreleased has a section"),
    ],
)
def test_another_form_is_refused_with_its_line(text: str, told: str) -> None:
    with pytest.raises(Unreadable, match=told):
        sections(HEAD + text)
