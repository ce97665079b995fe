"""The blueprint of a project: what `backstay new` writes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from backstay import __version__
from backstay.blueprints.platform import requirements
from backstay.blueprints.records import Record
from backstay.blueprints.rendering import render
from backstay.settings import example_env

OPTIONAL = ("items", "mail", "tasks", "tiers")
"""The packaged features that a project may leave out."""
_WIDTH = 100
_FILES = {
    "pyproject.toml": "pyproject.toml",
    "Makefile": "Makefile",
    "README.md": "README.md",
    "AGENTS.md": "AGENTS.md",
    ".gitignore": "gitignore",
    "src/{name}/__init__.py": "init.py",
    "src/{name}/application.py": "application.py",
    "src/{name}/features/__init__.py": "features/init.py",
    "src/{name}/migrations/README.md": "migrations/README.md",
    "tests/conftest.py": "tests/conftest.py",
    "tests/test_application.py": "tests/test_application.py",
}
"""By path: the template of a file that every project has."""
_FULL = {
    "src/{name}/settings.py": "settings.py",
    "src/{name}/roles.py": "roles.py",
    "src/{name}/templates/mail/README.md": "mail/README.md",
    ".github/workflows/ci.yml": "github/ci.yml",
    ".pre-commit-config.yaml": "pre-commit-config.yaml",
}
"""The same for what a bare project does not have."""
_ADDRESSES = {
    "DB_URL": "postgresql://{name}:{name}@localhost/{name}",
    "DB_FALLBACK_TO_SQLITE": "true",
    "REDIS_URL": "redis://localhost:6379/0",
}


@dataclass(frozen=True, kw_only=True)
class ProjectOptions:
    """How a project is made.

    Attributes:
        name: the name of its Python package.
        database: on which its tests run, and which its `.env.example` names.
        redis: whether its `.env.example` names a Redis.
        bare: whether it has neither settings and roles nor mails and CI of its own.
        without: the packaged features that it leaves out.
        own: whether it has all of Backstay as code of its own, beside its package.
    """

    name: str
    database: Literal["sqlite", "postgresql"] = "sqlite"
    redis: bool = False
    bare: bool = False
    without: Sequence[str] = ()
    own: bool = False

    @property
    def title(self) -> str:
        """The name as people write it: ``Web shop`` for ``web_shop``."""
        return self.name.replace("_", " ").strip().capitalize()

    @property
    def record(self) -> Record:
        """What is remembered of the project."""
        options = asdict(self) | {"without": sorted(self.without)}
        return Record("project", self.name, options)


def render_project(options: ProjectOptions) -> Mapping[str, str]:
    """The text of every file of a project, by path; all of Backstay is another blueprint.

    Raises:
        BlueprintError: it is to own Backstay, and no release is installed here.
    """
    name = options.name
    values = asdict(options) | {
        "title": options.title,
        "prefix": f"{name.upper()}_",
        "group": f"{name.title().replace('_', '')}Settings",
        "release": __version__,
        "requirements": requirements() if options.own else None,
        "kept": _kept(options),
        "features": _features(options),
    }
    templates = _FILES if options.bare else _FILES | _FULL
    rendered = {
        path.format(name=name): render(f"project/{template}", **values)
        for path, template in templates.items()
    }
    return rendered | {".env.example": "".join(_example(options))}


def _kept(options: ProjectOptions) -> list[str]:
    """The optional features that a project which leaves some out still has."""
    if not options.without:
        return []
    return [name for name in OPTIONAL if name not in options.without]


def _features(options: ProjectOptions) -> str:
    """The argument `features` of the application, laid out as ruff does."""
    first = ["*FOUNDATION"] if options.without else ["*STANDARD"]
    packaged = [f"{name}.feature" for name in _kept(options)]
    parts = [*first, *packaged, f'*features_of("{options.name}.features")']
    line = f"    features=({', '.join(parts)}),"
    if len(line) <= _WIDTH:
        return line
    return "\n".join(["    features=(", *(f"        {part}," for part in parts), "    ),"])


def _example(options: ProjectOptions) -> Iterator[str]:
    """The lines of `.env.example`: every setting, those that the project chose in force."""
    chosen = {"APP_NAME": options.title}
    if options.database == "postgresql":
        chosen |= {name: _ADDRESSES[name] for name in ("DB_URL", "DB_FALLBACK_TO_SQLITE")}
    if options.redis:
        chosen["REDIS_URL"] = _ADDRESSES["REDIS_URL"]
    for line in example_env().splitlines(keepends=True):
        name = line.removeprefix("#").partition("=")[0]
        if line.startswith("#") and name in chosen:
            yield f"{name}={chosen[name].format(name=options.name)}\n"
        else:
            yield line
