"""The MailTemplates port with Jinja: text and HTML in a file each, a project's before ours."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from backstay.core.mail import Mail

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

    def write(self, template: str, recipient: str, **values: str) -> Mail:
        """The mail of a template."""
        known = {"recipient": recipient, **values}
        text = self._environment.get_template(f"{template}.txt").render(known)
        subject, _, body = text.partition("\n")
        html = self._environment.get_template(f"{template}.html").render(known)
        return Mail(recipient, subject.strip(), body.strip() + "\n", html)
