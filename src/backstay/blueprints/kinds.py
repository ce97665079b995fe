"""Renders again what was generated, with the templates of this release."""

from collections.abc import Callable, Mapping
from pathlib import Path

from backstay.blueprints.records import Record

Rendering = Callable[[Path, Record], Mapping[str, str]]
"""Takes the folder of a project and a record; returns a text for each path."""


def _project(root: Path, record: Record) -> Mapping[str, str]:
    from backstay.blueprints.project import ProjectOptions, render_project  # noqa: PLC0415

    return render_project(ProjectOptions(**record.options))


def _entity(root: Path, record: Record) -> Mapping[str, str]:
    from backstay.blueprints.entities.existing import Project  # noqa: PLC0415
    from backstay.blueprints.entities.rendering import render  # noqa: PLC0415

    project = Project.of(root)
    return render(project.entities[record.name], project.known({}), project.package)


KINDS: Mapping[str, Rendering] = {"project": _project, "entity": _entity}
"""By the name of the blueprint."""
