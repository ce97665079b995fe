"""Shows that each check of a page can fail, and that a sound page passes all."""

import re
from pathlib import Path
from uuid import uuid4

import pytest

from tests.browser.made import ORIGIN, STRICT, Made
from tests.browser.visiting import KINDS, WIDE
from tests.services.chromium import ChromiumError, program

LOOSE = "img-src *"
IMAGE = '<img src="http://else.test/x.png" alt="">'


@pytest.mark.parametrize(
    ("body", "policy", "told"),
    [
        ('<p onclick="x()">a</p>', STRICT, "against the policy: p onclick"),
        ('<a href="javascript:x()">a</a>', STRICT, "against the policy: a href"),
        ('<p style="margin:0">a</p>', STRICT, "against the policy: style-src-attr inline"),
        ("<script>x = 1</script>", STRICT, "against the policy: script-src-elem inline"),
        ('<script nonce="x">eval("1")</script>', STRICT, "against the policy: script-src eval"),
        (IMAGE, STRICT, "against the policy: img-src http://else.test"),
        (IMAGE, LOOSE, "a request to another origin: http://else.test/x.png"),
        ('<img src="/none.png" alt="">', STRICT, "a request failed: .*/none.png: 404"),
        ('<script nonce="x">throw Error("oh")</script>', STRICT, "error: .*oh"),
        ('<script nonce="x">console.error("oh")</script>', STRICT, "error: .*oh"),
    ],
)
def test_what_a_page_may_not_do_is_noticed(made: Made, body: str, policy: str, told: str) -> None:
    made.make(body, policy=policy)
    found = made.visit("/")
    assert [each for each in found if re.match(told, each)], found


@pytest.mark.parametrize(
    ("body", "style", "told"),
    [
        ("<input>", "", "critical: label"),
        ("<p>pale</p>", "p{background:#fff;color:#ccc}", "serious: color-contrast"),
        ("<p>pale</p>", "@media(prefers-color-scheme:dark){p{background:#fff;color:#ccc}}", "dark"),
        ("<p>wide</p>", "p{width:500px}", "5.. pixels wide on a screen of 390"),
    ],
)
def test_what_people_cannot_use_is_noticed(made: Made, body: str, style: str, told: str) -> None:
    made.make(body, head=f'<style nonce="x">{style}</style>')
    assert made.visit("/") == []
    found = made.looks()
    assert [each for each in found if re.match(told, each)], found


def test_a_sound_page_passes(made: Made) -> None:
    made.make('<label>Name <input></label><script nonce="x">console.log(1)</script>')
    assert [*made.visit("/"), *made.looks()] == []
    assert made.page.viewport_size == WIDE


def test_what_is_done_on_a_page_is_checked_too(made: Made) -> None:
    script = "document.querySelector('button').addEventListener('click', () => fetch('/none'))"
    made.make(
        f'<button>Go</button><script nonce="x">{script}</script>', policy=f"{STRICT}; connect-src *"
    )
    assert made.visit("/") == []
    with made.page.expect_response("**/none"):
        made.page.get_by_role("button").click()
    assert [each for each in made.noted() if "/none: 404" in each]
    assert made.visit("/") == []


def test_the_status_of_a_page_is_checked(made: Made) -> None:
    assert made.visit("/none", status=404) == []
    assert made.visit("/none") == ["answers 404, not 200"]


def test_a_page_that_leads_elsewhere_is_told(made: Made) -> None:
    made.make('<script nonce="x">history.replaceState(null, "", "/sign-in")</script>')
    assert made.visit("/") == [f"leads to {ORIGIN}/sign-in"]


def test_pictures_are_made_for_people_to_look_at(made: Made, tmp_path: Path) -> None:
    made.shots = str(tmp_path)
    for path in ("/", f"/a/{uuid4()}?c=1"):
        made.make("seen", path.partition("?")[0])
        made.visit(path)
        made.looks()
    names = {f"{name}-{kind}.png" for name in ("start", "a-id-c") for kind in KINDS}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    ("ci", "user", "expected"),
    [
        ("true", 0, ChromiumError),
        ("true", 1, pytest.skip.Exception),
        ("", 0, pytest.skip.Exception),
    ],
)
def test_without_chromium_tests_are_skipped_but_not_under_ci(
    ci: str, user: int, expected: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("os.geteuid", lambda: user)
    with pytest.raises(expected, match="Chromium is not installed"):
        program()
