"""The contract of the MailTemplates port."""

from collections.abc import Mapping
from html import escape

import pytest

from backstay.core.mail import MailNotWritten, MailTemplates
from backstay.jobs.timing import is_final
from backstay.testing.contracts.contract import Contract

URL = 'https://shop.example/?a=1&b="<i>2</i>"'
_DEVICE = {"url": URL, "device": "A <b>browser</b>", "address": "192.0.2.1"}
PACKAGED: Mapping[str, Mapping[str, str]] = {
    "email_change_notice": {"url": URL},
    "email_replaced": {},
    "new_device": _DEVICE,
    "password_replaced": {"url": URL, "by": "administrator"},
    "reset_password": {"url": URL},
    "token_copied": {**_DEVICE, "ended": "yes"},
    "verify_email": {"url": URL},
}
"""The mails that the package sends, with values as it gives them."""


class MailTemplatesContract(Contract):
    """The promises of `MailTemplates`.

    Fixtures to define: `templates`; and `written`, if the adapter writes other mails than those
    that the package sends.
    """

    @pytest.fixture
    def templates(self) -> MailTemplates:
        """The adapter under test."""
        self.lacks("templates", "the adapter under test")

    @pytest.fixture
    def written(self) -> Mapping[str, Mapping[str, str]]:
        """By template, the values that a mail is written from; all of them are needed."""
        return PACKAGED

    def test_each_mail_has_a_subject_a_text_and_html(
        self, templates: MailTemplates, written: Mapping[str, Mapping[str, str]]
    ) -> None:
        for name, values in written.items():
            mail = templates.write(name, "o'ada@example.org", values)
            assert mail.recipient == "o'ada@example.org", name
            assert len(mail.subject.splitlines()) == 1, name
            assert mail.text.strip(), name
            assert "<" in mail.html, name

    def test_values_are_escaped_in_html_and_not_in_text(
        self, templates: MailTemplates, written: Mapping[str, Mapping[str, str]]
    ) -> None:
        for name, values in written.items():
            mail = templates.write(name, "ada@example.org", values)
            for value in (value for value in values.values() if value != escape(value)):
                assert value not in mail.html, name
                assert escape(value) not in mail.text, name

    def test_a_mail_lacks_no_value(
        self, templates: MailTemplates, written: Mapping[str, Mapping[str, str]]
    ) -> None:
        for name, values in written.items():
            if values:
                with pytest.raises(MailNotWritten) as failed:
                    templates.write(name, "ada@example.org", {})
                assert is_final(failed.value)
                assert name in failed.value.detail

    def test_an_unknown_template_is_a_final_error(self, templates: MailTemplates) -> None:
        for name in ("nothing", "../nothing", "", "/etc/passwd"):
            with pytest.raises(MailNotWritten) as failed:
                templates.write(name, "ada@example.org", {})
            assert is_final(failed.value)
