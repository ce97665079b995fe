"""Implements the MailTemplates port with Jinja; a project's templates replace the packaged ones."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstay.core.mail import Mail, MailNotWritten

if TYPE_CHECKING:
    from jinja2 import Environment

OURS = Path(__file__).parent / "mail_templates"
MAILS = "mail"
"""The folder of mails inside the folder of a project's templates."""


def mail_folders(root: Path | None, setting: str | None) -> tuple[Path, ...]:
    """Where the mails of a project are looked for; they need not exist.

    Args:
        root: the folder of the application's templates.
        setting: the folder that `MAIL_TEMPLATES_DIR` names; it comes first.
    """
    return (*([Path(setting)] if setting else []), *([root / MAILS] if root else []))


def mail_environment(*folders: str | Path) -> "Environment":
    """Jinja with the templates of some folders, the first one first, and then the packaged ones."""
    from jinja2 import (  # noqa: PLC0415
        Environment,
        FileSystemLoader,
        StrictUndefined,
        select_autoescape,
    )

    return Environment(
        loader=FileSystemLoader([*folders, OURS]),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
    )


class JinjaMailTemplates:
    """Renders `<template>.txt`, whose first line is the subject, and `<template>.html`, escaped.

    Besides its own values, every template can use ``app_name`` and ``recipient``.
    """

    def __init__(self, app_name: str, *folders: str | Path) -> None:
        self._app_name = app_name
        self._folders = folders

    @cached_property
    def _environment(self) -> "Environment":
        """Jinja is imported with the first mail, and only in a process that writes one."""
        environment = mail_environment(*self._folders)
        environment.globals["app_name"] = self._app_name
        return environment

    def write(self, template: str, recipient: str, values: Mapping[str, Any]) -> Mail:
        """Render the mail of a template.

        Raises:
            MailNotWritten: the template does not exist, or cannot be rendered with these values.
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
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            # a value of another kind than the template expects, such as a text where it adds
            raise MailNotWritten(f"The mail template {template}: {error}.") from error
        subject, _, body = text.partition("\n")
        return Mail(recipient, subject.strip(), body.strip() + "\n", html)
