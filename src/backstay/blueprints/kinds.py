"""Renders again what was generated, with the templates of this release."""

from collections.abc import Callable, Mapping
from pathlib import Path

from backstay.blueprints.parts.description import KINDS as PARTS
from backstay.blueprints.records import Record, base_of

Rendering = Callable[[Path, Record], Mapping[str, str]]
"""Takes the folder of a project and a record; returns a text for each path."""


def _project(root: Path, record: Record) -> Mapping[str, str]:
    from backstay.blueprints.project import ProjectOptions, render_project  # noqa: PLC0415

    return render_project(ProjectOptions(**record.options))


def _platform(root: Path, record: Record) -> Mapping[str, str]:
    from backstay.blueprints.platform import render_platform  # noqa: PLC0415

    return render_platform()


def _entity(root: Path, record: Record) -> Mapping[str, str]:
    from backstay.blueprints.entities.existing import Project  # noqa: PLC0415
    from backstay.blueprints.entities.rendering import render  # noqa: PLC0415

    project = Project.of(root)
    return render(project.entities[record.name], project.known({}), project.package)


def _ejected(root: Path, record: Record) -> Mapping[str, str]:
    from backstay.blueprints.ejecting import render_ejected  # noqa: PLC0415

    rendered = render_ejected(record.name, record.options)
    mine = {path for path in rendered if base_of(root, path) is None and (root / path).exists()}
    return {path: text for path, text in rendered.items() if path not in mine}


def _shared(root: Path, record: Record) -> Mapping[str, str]:
    from backstay.blueprints.ejecting import render_shared  # noqa: PLC0415

    return render_shared(record.options)


def _owned(root: Path, record: Record) -> Mapping[str, str]:
    from backstay.blueprints.owning import render_own  # noqa: PLC0415

    return render_own(record.name, record.options)


def _part(root: Path, record: Record) -> Mapping[str, str]:
    from backstay.blueprints.entities.existing import Project  # noqa: PLC0415
    from backstay.blueprints.parts.adding import part_of_record  # noqa: PLC0415
    from backstay.blueprints.parts.rendering import render  # noqa: PLC0415

    return render(part_of_record(record), Project.of(root).package)


def _deploy(root: Path, record: Record) -> Mapping[str, str]:
    from backstay.blueprints.deploying import DeployOptions, render_deploy  # noqa: PLC0415

    return render_deploy(DeployOptions(**record.options))


KINDS: Mapping[str, Rendering] = {
    "project": _project,
    "platform": _platform,
    "entity": _entity,
    "eject": _ejected,
    "ejected": _shared,
    "own": _owned,
    **dict.fromkeys(PARTS, _part),
    "deploy": _deploy,
}
"""By the name of the blueprint."""
