"""The MailTemplates port with Jinja: text and HTML in a file each, a project's before ours."""

from collections.abc import Mapping
from pathlib import Path

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    select_autoescape,
)

from backstay.core.mail import Mail, MailNotWritten

OURS = Path(__file__).parent / "mail_templates"


class JinjaMailTemplates:
    """`<template>.txt`, whose first line is the subject, and `<template>.html`, escaped.

    Every template knows ``app_name`` and ``recipient`` besides its own values.
    """

    def __init__(self, app_name: str, folder: str | None = None) -> None:
        self._environment = Environment(
            loader=FileSystemLoader([*([folder] if folder else []), OURS]),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        self._environment.globals["app_name"] = app_name

    def write(self, template: str, recipient: str, values: Mapping[str, str]) -> Mail:
        """The mail of a template.

        Raises:
            MailNotWritten: there is no such template, or it asks for what is not in the values.
        """
        known = {**values, "recipient": recipient}
        try:
            text, html = (
                self._environment.get_template(f"{template}.{kind}").render(known)
                for kind in ("txt", "html")
            )
        except TemplateNotFound as error:
            raise MailNotWritten(f"There is no mail template {error.name}.") from error
        except TemplateError as error:
            raise MailNotWritten(f"The mail template {template}: {error.message}.") from error
        subject, _, body = text.partition("\n")
        return Mail(recipient, subject.strip(), body.strip() + "\n", html)
