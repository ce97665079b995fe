"""Writes the reference of all settings, and an example file, from the code."""

import inspect
from collections.abc import Iterable

from backstay.settings.fields import SettingsGroup
from backstay.settings.schema import Schema
from backstay.settings.variables import Variable

_HEAD = """\
# Settings

Every setting is an environment variable, or a line of the file `.env` in the project's root: the
folder of the nearest `pyproject.toml`, upwards from the working directory, that has a table
`[tool.backstay]`; without one, the working directory.
`backstay config` prints all of them with their values and where each value comes from;
`backstay config --reference` prints this page, `backstay config --example` an `.env.example`.

- The environment is stronger than `.env`, and `.env` than the default. In either, a setting's own
  name is stronger than the other names it is understood by.
- A relative path starts at the project's root, wherever a command runs.
- Every secret may be given as a file instead: `<NAME>_FILE` holds its path.
- Such a file, and `.env`, may be a pipe, which is read once: what it held is handed on, in the
  environment, to the processes of `serve`. Anything else but a plain file is refused.
- Lists are written as JSON (`["one", "two"]`) or with commas (`one,two`); an empty list is empty.
  For every other setting but `APP_ROOT_PATH`, empty means not set.
- `.env` is taken as it stands: `$` is not replaced.
- A variable that begins like a setting but is none causes a warning.
- Everything that is wrong is reported at once, with exit code 2.
"""

_COLUMNS = ("Variable", "Type", "Default", "Also understood", "Meaning")

_EXAMPLE_HEAD = """\
# Settings. Copy this file to .env, and remove the # in front of what you want to change.
# Without a .env everything has a default that works on a developer's machine.
"""


def reference_markdown(groups: Iterable[type[SettingsGroup]] = ()) -> str:
    """Return the page `docs/settings.md`, with the groups that a project adds.

    Raises:
        BootError: a group cannot be read, or two would read the same variable.
    """
    sections = [_HEAD]
    for group, variables in Schema.of(groups).groups.items():
        prefix = group.env_prefix
        sections.append(f"## {_title(group)}{f' (`{prefix}`)' if prefix else ''}\n")
        if about := inspect.cleandoc(group.__doc__ or ""):
            sections.append(f"{about}\n")
        rows = [_COLUMNS, ("---",) * len(_COLUMNS), *map(_row, variables)]
        sections.append("\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n")
    return "\n".join(sections)


def example_env(groups: Iterable[type[SettingsGroup]] = ()) -> str:
    """Return an `.env.example`: every setting, commented out, with its default in `local`.

    Raises:
        BootError: a group cannot be read, or two would read the same variable.
    """
    sections = [_EXAMPLE_HEAD]
    for group, variables in Schema.of(groups).groups.items():
        lines = [f"# --- {_title(group)} ---"]
        for variable in variables:
            if about := variable.about or ("Required." if variable.required else ""):
                lines.append(f"# {about}")
            lines.append(f"#{variable.name}={variable.default(local=True)}")
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def _title(group: type[SettingsGroup]) -> str:
    return group.model_config.get("title") or group.__name__


def _row(variable: Variable) -> tuple[str, ...]:
    others = ", ".join(f"`{name}`" for name in variable.names[1:])
    words = f"{variable.kind}, secret" if variable.secret else variable.kind
    return (
        f"`{variable.name}`",
        words.replace("|", "\\|"),
        _default(variable),
        others,
        variable.about.replace("|", "\\|"),
    )


def _default(variable: Variable) -> str:
    general, local = variable.default(local=False), variable.default(local=True)
    code = f"`{general}`" if general else "required" if variable.required else ""
    if variable.setting.in_local is None:
        return code
    return f"{code or 'empty'}; in `local` `{local}`"
