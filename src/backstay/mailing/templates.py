"""Implements the MailTemplates port with Jinja; a project's templates replace the built-in ones."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from backstay.core.mail import Mail, MailNotWritten

if TYPE_CHECKING:
    from jinja2 import Environment

OURS = Path(__file__).parent / "mail_templates"


class JinjaMailTemplates:
    """Renders `<template>.txt`, whose first line is the subject, and `<template>.html`, escaped.

    Besides its own values, every template can use ``app_name`` and ``recipient``.
    """

    def __init__(self, app_name: str, folder: str | None = None) -> None:
        self._app_name = app_name
        self._folders: list[str | Path] = [*([folder] if folder else []), OURS]

    @cached_property
    def _environment(self) -> "Environment":
        """Jinja is imported with the first mail, and only in a process that writes one."""
        from jinja2 import (  # noqa: PLC0415
            Environment,
            FileSystemLoader,
            StrictUndefined,
            select_autoescape,
        )

        environment = Environment(
            loader=FileSystemLoader(self._folders),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        environment.globals["app_name"] = self._app_name
        return environment

    def write(self, template: str, recipient: str, values: Mapping[str, str]) -> Mail:
        """Render the mail of a template.

        Raises:
            MailNotWritten: the template does not exist, or uses a value that is not given.
        """
        from jinja2 import TemplateError, TemplateNotFound  # noqa: PLC0415

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
