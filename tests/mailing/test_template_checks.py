"""Tests that a mistake in the mails of a project is told at boot, with its place and its mend."""

from pathlib import Path

import pytest

from backstay.core.wiring import Code
from backstay.mailing.template_checks import overview, template_faults
from backstay.mailing.templates import JinjaMailTemplates

LAYOUT = "{% if app_name %}<main>{% block content %}{% endblock %}</main>{% endif %}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The templates of a project: a mail of its own, and packaged files replaced."""
    write(
        tmp_path,
        **{
            "mail/receipt.txt": "Receipt {{ number }}\n{% include 'footer.txt' %}",
            "mail/receipt.html": "{% extends 'layout.html' %}{% block content %}{{ number }}"
            "{% from 'parts/sum.html' import total %}{{ total(lines) }}{% endblock %}",
            "mail/footer.txt": "\nYours, {{ app_name }}",
            "mail/parts/sum.html": "{% macro total(lines) %}{{ lines|length }}{% endmacro %}",
            "mail/layout.html": LAYOUT,
            "mail/verify_email.txt": "Ahoy {{ recipient }}\n\n{{ url }} {% include 'footer.txt' %}",
            "mail/notes.md": "{{ not a template }}",
            "label.html": "{{ page.title }}",
        },
    )
    return tmp_path


def write(root: Path, **files: str) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def told(root: Path) -> list[tuple[Code, str]]:
    """The code of each fault, and where it is, below the folder of templates."""
    return [
        (each.code, each.where.removeprefix(f"{root}/")) for each in template_faults(root, None)
    ]


def test_sound_templates_have_no_faults_and_are_rendered(root: Path) -> None:
    assert told(root) == []
    mails = JinjaMailTemplates("Shop", root / "mail")
    mail = mails.write("receipt", "ada@example.org", {"number": "<7>", "lines": [1, 2]})
    assert (mail.subject, mail.text) == ("Receipt <7>", "Yours, Shop\n")
    assert mail.html == "<main>&lt;7&gt;2</main>"
    replaced = mails.write("verify_email", "ada@example.org", {"url": "https://x.example"})
    assert replaced.subject == "Ahoy ada@example.org"
    assert replaced.html.startswith("<main>")


def test_an_application_without_templates_has_no_faults(tmp_path: Path) -> None:
    assert list(template_faults(None, None)) == []
    assert list(template_faults(tmp_path, None)) == []


def test_the_overview_tells_replaced_files_and_own_mails(root: Path) -> None:
    assert overview(root / "mail") == (("layout.html", "verify_email.txt"), ("receipt",))


@pytest.mark.parametrize(
    ("name", "content", "code", "where", "sentence"),
    [
        ("torn.txt", "A\n{{ } }}", Code.TEMPLATE_UNREADABLE, 2, "unexpected '}'"),
        ("receipt.html", "{{ a|moeny }}", Code.TEMPLATE_UNREADABLE, 1, "No filter named 'moeny'"),
        ("receipt.txt", "A {% include 'foter.txt' %}", Code.TEMPLATE_UNREADABLE, 1, "foter.txt"),
        ("refund.txt", "Refund", Code.TEMPLATE_TWIN, 1, "refund lacks refund.html"),
        ("refund.html", "Refund", Code.TEMPLATE_TWIN, 1, "refund lacks refund.txt"),
        ("receipt.txt", "\nReceipt", Code.TEMPLATE_SUBJECT, 1, "would be the subject"),
        ("verify_email.txt", "A\n{{ nme }}", Code.TEMPLATE_VALUE, 2, "uses nme, which the mail"),
        ("layout.html", "\n{{ slogan }}", Code.TEMPLATE_VALUE, 2, "email_change_notice"),
        ("../verify_email.txt", "Ahoy", Code.TEMPLATE_FOLDER, 1, "belongs to a mail"),
    ],
)
def test_a_mistake_in_a_template_is_told_with_its_line(
    root: Path, name: str, content: str, code: Code, where: int, sentence: str
) -> None:
    write(root, **{f"mail/{name}": content})
    if name == "torn.txt":
        write(root, **{"mail/torn.html": "fine"})
    (fault,) = template_faults(root, None)
    assert fault.code is code
    assert Path(fault.where).name == f"{Path(name).name}:{where}"
    assert sentence in fault.problem
    assert fault.hint


def test_a_name_that_no_mail_can_have_is_told(root: Path) -> None:
    write(root, **{"mail/Order-shipped.txt": "A", "mail/Order-shipped.html": "A"})
    assert {code for code, _ in told(root)} == {Code.TEMPLATE_NAME}


def test_a_pair_outside_the_folder_of_mails_is_told(root: Path) -> None:
    write(root, **{"refund.txt": "A", "refund.html": "A"})
    assert told(root) == [(Code.TEMPLATE_FOLDER, "refund.txt:1")]


def test_a_template_in_another_encoding_is_told(root: Path) -> None:
    (root / "mail" / "receipt.txt").write_bytes("Größe".encode("latin-1"))
    ((code, where),) = told(root)
    assert (code, where) == (Code.TEMPLATE_UNREADABLE, "mail/receipt.txt:1")


def test_a_value_that_a_template_asks_for_may_be_absent(root: Path) -> None:
    asks = "{% if slogan is defined %}{{ slogan }}{% endif %}{{ motto|default('') }}"
    write(root, **{"mail/layout.html": LAYOUT + asks, "mail/receipt.txt": "A {{ anything }}"})
    assert told(root) == []


def test_an_include_that_may_be_missing_is_no_fault(root: Path) -> None:
    includes = "{% include 'a.html' ignore missing %}{% include ['b.html', 'layout.html'] %}"
    write(root, **{"mail/receipt.html": includes + "{% include part %}"})
    assert told(root) == []


def test_a_folder_that_is_named_and_not_there_is_told(tmp_path: Path) -> None:
    faults = list(template_faults(tmp_path / "a", str(tmp_path / "b")))
    assert [each.code for each in faults] == [Code.TEMPLATE_FOLDER] * 2
    assert "`templates` of the application" in faults[0].problem
    assert "MAIL_TEMPLATES_DIR names" in faults[1].problem


def test_the_setting_comes_before_the_application(root: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    write(ours, **{"receipt.txt": "Other {{ number }}"})
    assert list(template_faults(root, str(ours))) == []
    mail = JinjaMailTemplates("Shop", ours, root / "mail").write(
        "receipt", "ada@example.org", {"number": 7, "lines": []}
    )
    assert mail.subject == "Other 7"
