"""The application of a project: the one object that commands, servers, workers and tests share."""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstay.core.clock import utc_now
from backstay.core.feature import Feature
from backstay.core.importing import import_of_project
from backstay.core.permissions import RoleSpec
from backstay.core.ports import Clock
from backstay.core.shapes import Held, hook_flaws, shape_flaws
from backstay.core.wiring import BootError, Code, Flaw, Place
from backstay.db.migrations.runner import PLATFORM, Histories, History
from backstay.settings import (
    ConfigurationError,
    Loaded,
    SettingError,
    Settings,
    SettingsGroup,
    load_settings,
    read_settings,
)
from backstay.settings.project import find_project, project_root

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI

    from backstay.composition import Backstay
    from backstay.composition.http import Hook

VARIABLE = "BACKSTAY_APP"
"""The environment variable that names the application, as ``module:name``."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,26}")
_TEMPLATES = "templates"
_TAKEN = ("backstay", PLATFORM.label)
_HELD = {
    "features": Held("*STANDARD, notes.feature", lambda each: isinstance(each, Feature)),
    "roles": Held("CLERK", lambda each: isinstance(each, RoleSpec)),
    "routers": Held("router", lambda each: hasattr(each, "routes")),
    "on_start": Held("open_files", callable),
    "on_stop": Held("close_files", callable),
}


@dataclass(frozen=True, eq=False)
class Application:
    """A project: its features, and whatever else it adds to the package or replaces in it.

    Attributes:
        name: the name of the project, which also names its history of migrations: lower-case
            letters, digits and underscores.
        features: what the application can do, usually ``(*STANDARD, …)``; a feature comes after
            those that it requires. By default what the package has.
        settings: the groups of settings that the project adds.
        roles: the roles that the project declares in code.
        routers: further FastAPI routers; their requests do not pass the pipeline.
        replace: by port, such as ``Mailer``, what is used instead of the packaged adapter: an
            object, or a class or function whose parameters are injected by type (groups of
            settings, the clock and other ports).
        provide: by type, further objects that handlers take as parameters; values as in
            ``replace``.
        migrations: the folder of the project's migrations, relative to the file that makes the
            application; None if it has none.
        templates: the folder of the project's templates, relative to that file; its folder ``mail``
            has those of mails. ``templates`` need not exist, another one must.
        on_start: each is awaited with the FastAPI application before it serves its first request.
        on_stop: each is awaited with it before its connections close.
        place: where the application is made.
    """

    name: str
    _: KW_ONLY
    features: Sequence[Feature] | None = None
    settings: Sequence[type[SettingsGroup]] = ()
    roles: Sequence[RoleSpec] = ()
    routers: "Sequence[APIRouter]" = ()
    replace: Mapping[Any, Any] = field(default_factory=dict)
    provide: Mapping[Any, Any] = field(default_factory=dict)
    migrations: str | Path | None = "migrations"
    templates: str | Path | None = _TEMPLATES
    on_start: "Sequence[Hook]" = ()
    on_stop: "Sequence[Hook]" = ()
    place: Place = field(default_factory=Place.of_caller, repr=False)

    def check(self) -> None:
        """Refuse a name that migrations cannot carry, and attributes of the wrong types.

        Raises:
            BootError: it has every fault.
        """
        if faults := tuple(self._faults()):
            raise BootError(faults)

    def _faults(self) -> Iterator[Flaw]:
        name: Any = self.name
        folder: Any = self.migrations
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
            problem = f"The application cannot be called {name!r}."
            hint = "Use a word of lower-case letters, digits and underscores of your own."
            yield Flaw(Code.APPLICATION_NAME, problem, hint).of(self)
        held = {name: one for name, one in _HELD.items() if getattr(self, name) is not None}
        yield from shape_flaws(Code.APPLICATION_SHAPE, "the application", self, held)
        if not isinstance(folder, str | Path | None):
            problem = f"`migrations` of the application is {folder!r}."
            hint = "Name a folder, or None if there is none."
            yield Flaw(Code.APPLICATION_SHAPE, problem, hint).of(self)
        for name in ("on_start", "on_stop"):
            yield from hook_flaws(name, getattr(self, name))
        for name in ("replace", "provide"):
            if not isinstance(getattr(self, name), Mapping):
                problem = f"`{name}` of the application is no dict."
                hint = f"Write `{name}={{Type: Class}}`."
                yield Flaw(Code.APPLICATION_SHAPE, problem, hint).of(self)

    @cached_property
    def history(self) -> History | None:
        """The project's own history of migrations, if it may have one; perhaps still empty."""
        if self.migrations is None:
            return None
        return History(self.name, Path(self.place.file).parent / self.migrations)

    @cached_property
    def template_folder(self) -> Path | None:
        """The folder of the project's templates; None if it has none."""
        if self.templates is None:
            return None
        folder = Path(self.place.file).parent / self.templates
        return folder if self.templates != _TEMPLATES or folder.is_dir() else None

    @property
    def histories(self) -> Histories:
        """The histories that a database of this application follows, the platform's first."""
        own = self.history
        return (PLATFORM, own) if own and any(own.folder.glob("*.py")) else (PLATFORM,)

    def load_settings(
        self, environ: Mapping[str, str] | None = None, directory: Path | None = None
    ) -> Settings:
        """The settings, by default those of this process; see `read_settings`.

        Raises:
            ConfigurationError: it has every fault.
            BootError: a group of the project cannot be read, or two would read one variable.
        """
        return load_settings(environ, directory, self.settings)

    def read_settings(self) -> Loaded:
        """The settings of this process, or what is wrong with them.

        Raises:
            ConfigurationError: a `pyproject.toml` on the way to the root cannot be read.
            BootError: a group of the project cannot be read, or two would read one variable.
        """
        return read_settings(groups=self.settings)

    def compose(
        self, settings: Settings, *, clock: Clock = utc_now, for_requests: bool = True
    ) -> "Backstay":
        """Wire everything below the edge.

        Raises:
            BootError: something is wired wrongly; it has every fault.
        """
        from backstay.composition import compose

        self.check()
        try:
            return compose(
                settings,
                self.features,
                label=self.name,
                roles=self.roles,
                replace=self.replace,
                provide=self.provide,
                histories=self.histories,
                templates=self.template_folder,
                clock=clock,
                for_requests=for_requests,
            )
        except BootError as error:
            raise BootError(
                fault if fault.where else fault.of(self) for fault in error.faults
            ) from None

    def create_app(
        self,
        settings: Settings | None = None,
        *,
        clock: Clock = utc_now,
        worker: bool | None = None,
    ) -> "FastAPI":
        """Build the FastAPI application.

        Args:
            settings: by default read from the environment.
            worker: whether jobs run in this process, too; by default only in `local`.

        Raises:
            ConfigurationError: the settings are faulty; it has every fault.
            BootError: something is wired wrongly; it has every fault.
        """
        from backstay.composition.http import app_of

        return app_of(
            self.compose(settings or self.load_settings(), clock=clock),
            routers=self.routers,
            on_start=self.on_start,
            on_stop=self.on_stop,
            worker=worker,
        )

    @cached_property
    def asgi(self) -> "FastAPI":
        """The FastAPI application for a server of one's own: ``uvicorn shop:application.asgi``.

        What keeps it from starting is printed as `backstay serve` prints it, and ends the process.
        """
        try:
            return self.create_app()
        except (ConfigurationError, BootError) as error:
            sys.exit(str(error))


PACKAGED = Application("packaged", migrations=None, templates=None)
"""The application of the package itself, which runs where there is no project."""


def create_app(
    settings: Settings | None = None,
    features: Sequence[Feature] | None = None,
    *,
    clock: Clock = utc_now,
    worker: bool | None = None,
    **options: Any,
) -> "FastAPI":
    """Build the FastAPI application of some features, by default of the package's.

    ``options`` are further attributes of :class:`Application`; see :meth:`Application.create_app`.
    """
    options = {"migrations": None, "templates": None, **options}
    made = Application(PACKAGED.name, features=features, **options)
    return made.create_app(settings, clock=clock, worker=worker)


def application_in_use() -> Application:
    """The application that `BACKSTAY_APP` names, else that of the project here, else `PACKAGED`.

    Raises:
        ConfigurationError: the named application cannot be found.
        BootError: its module cannot be imported, or its name or an attribute is wrong; it has every
            fault.
    """
    if given := os.environ.get(VARIABLE, "").strip():
        return _loaded(given, f"{VARIABLE} (or --app)", project_root())
    project = find_project(Path.cwd())
    if project is None:
        return PACKAGED
    return _loaded(project.app, "[tool.backstay] app", project.root)


def _loaded(reference: str, origin: str, root: Path) -> Application:
    module_name, _, name = reference.partition(":")
    if not (module_name.replace(".", "").isidentifier() and name.replace(".", "").isidentifier()):
        hint = "Write module:name, such as shop.application:application."
        raise _unusable(f"is {reference!r}, which names nothing", hint, origin)
    _find_on(root, module_name)
    try:
        found: Any = import_of_project(module_name, expected=(ConfigurationError,))
    except ModuleNotFoundError as error:
        wrong = f"names the module {module_name}, and there is no {error.name}"
        raise _unusable(
            wrong, f"Install the project of {root}, or mend the name.", origin
        ) from None
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Application):
        wrong = f"names {reference}, which is no Application"
        raise _unusable(wrong, f"Let {module_name} make one: {name} = Application(…).", origin)
    found.check()
    return found


def _find_on(root: Path, module: str) -> None:
    """Let Python find the modules of a project that is not installed."""
    top = module.partition(".")[0]
    if find_spec(top) is None:
        folders = [str(each) for each in (root / "src", root) if (each / top).exists()]
        sys.path[:0] = folders or [str(root)]


def _unusable(wrong: str, hint: str, origin: str) -> ConfigurationError:
    return ConfigurationError([SettingError(wrong, hint, origin)])
