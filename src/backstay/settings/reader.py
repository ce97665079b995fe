"""Reads the settings: looks up every variable, builds the groups, and checks the rules."""

import os
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from backstay.settings.building import Builder
from backstay.settings.errors import ConfigurationError, SettingError
from backstay.settings.fields import SettingsGroup, shown
from backstay.settings.files import FOLDER, kept_secret
from backstay.settings.groups import Settings
from backstay.settings.groups.app import Environment
from backstay.settings.project import project_root
from backstay.settings.report import SettingEntry, SettingsReport
from backstay.settings.rules import ALGORITHM, REFRESH, SECRET, broken_rules
from backstay.settings.schema import Schema
from backstay.settings.sources import Layers, find, read_dotenv, unknown
from backstay.settings.variables import Variable


@dataclass(frozen=True)
class Loaded:
    """The result of reading: the settings or every error, with the origin and text of each value.

    `draft` has defaults in place of the `faulty` variables, so that rules can check the others.
    `origins` and `shown` are keyed by variable; `shown` masks secrets and leaves faulty values out.
    The `report` of both settings tells the same.
    """

    settings: Settings | None
    draft: Settings
    faulty: frozenset[str]
    errors: tuple[SettingError, ...]
    origins: Mapping[str, str]
    warnings: tuple[str, ...]
    shown: Mapping[str, str]


def load_settings(
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    groups: Iterable[type[SettingsGroup]] = (),
) -> Settings:
    """Return the settings, or raise every error at once; see `read_settings`.

    Raises:
        ConfigurationError: something is wrong; it has every error.
        BootError: a group cannot be read, or two would read the same variable.
    """
    loaded = read_settings(environ, directory, groups)
    if loaded.settings is None:
        raise ConfigurationError(loaded.errors)
    return loaded.settings


def read_settings(
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    groups: Iterable[type[SettingsGroup]] = (),
) -> Loaded:
    """Read the settings from the environment `environ` and from `.env` in `directory`.

    `environ` defaults to the process's environment, `directory` to the project's root. Relative
    paths start there, and it keeps the secrets that are created in `local`. `groups` are those
    that a project adds to the package's.

    Raises:
        ConfigurationError: the `pyproject.toml` that says where the root is cannot be read.
        BootError: a group cannot be read, or two would read the same variable.
    """
    schema = Schema.of(groups)
    directory = (directory or project_root()).absolute()
    root = None if directory == Path.cwd() else directory
    reader = _Reader(schema, directory, root)
    layers = reader.look_up(os.environ if environ is None else {**environ})
    if reader.local:
        reader.create_secrets()
    draft = reader.build()
    reader.judge(draft)
    reader.warnings += unknown(layers, schema)
    return reader.result(draft)


@dataclass
class _Reader:
    """Collects values and errors, step by step.

    ``root`` is the directory unless it is the working directory, from where relative paths start
    anyhow.
    """

    schema: Schema
    directory: Path
    root: Path | None
    errors: list[SettingError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    found: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    faulty: set[str] = field(default_factory=set)
    groups: dict[type[SettingsGroup], SettingsGroup] = field(default_factory=dict)

    def look_up(self, environ: MutableMapping[str, str]) -> Layers:
        dotenv: dict[str, str] = {}
        file = self._named(".env")
        try:
            dotenv, warnings = read_dotenv(self.directory / ".env", file, environ)
            self.warnings += warnings
        except SettingError as error:
            self._blame("ENVIRONMENT", error)  # the unreadable file may have set it
        layers = {"environment": environ, file: dotenv}
        for variable in self.schema.variables:
            try:
                found = find(variable, layers, self.directory, environ)
            except SettingError as error:
                self._blame(variable.name, error)
            else:
                if found:
                    self.found[variable.name], self.origins[variable.name] = found
        return layers

    def _named(self, name: str) -> str:
        return str(self.root / name) if self.root else name

    @property
    def local(self) -> bool:
        given = self.found.get("ENVIRONMENT")
        try:
            environment = Environment(given) if given else Environment.LOCAL
        except ValueError:  # `build` reports it
            return False
        return environment is Environment.LOCAL and "ENVIRONMENT" not in self.faulty

    def create_secrets(self) -> None:
        symmetric = self.found.get(ALGORITHM, "HS256") == "HS256"
        folder = self._named(FOLDER) if self.root else f"./{FOLDER}"
        for name in (SECRET, REFRESH) if symmetric else (REFRESH,):
            if name in self.found or name in self.faulty:
                continue
            try:
                value = kept_secret(self.directory, name.removeprefix("SECURITY_").lower())
            except OSError as error:
                wrong = f"is not set, and cannot be kept in {folder}: {error.strerror}"
                hint = f"Set it, or see that {folder} can be read and written."
                self._blame(name, SettingError(wrong, hint, name))
            else:
                self.found[name], self.origins[name] = value, f"created in {folder}"

    def build(self) -> Settings:
        """Build the groups with defaults in place of faulty values, so that rules check others."""
        for kind, variables in self.schema.groups.items():
            built = Builder(kind, variables, self.local, self.root).build(self.found)
            self.groups[kind] = built.group
            self.errors += [each for each in built.errors if each.variable not in self.faulty]
            self.faulty |= built.faulty
        return self.schema.settings(self.groups)

    def judge(self, draft: Settings) -> None:
        errors, warnings = broken_rules(draft, self.faulty, local=self.local)
        self.errors += errors
        self.warnings += [
            f"{error.variable} {error.wrong}; outside local this is refused" for error in warnings
        ]

    def result(self, draft: Settings) -> Loaded:
        variables = self.schema.variables
        values = {
            each.name: getattr(group, each.field)
            for kind, group in self.groups.items()
            for each in self.schema.groups[kind]
            if each.name not in self.faulty
        }
        parts = {
            each.name: tuple(name for name in each.parts if name in self.found)
            for each in variables
        }
        for name, given in parts.items():
            if name in self.found:
                self.warnings += [f"{part} has no effect, since {name} is set" for part in given]
        origins = {
            each.name: self._origin(each, parts[each.name] if values.get(each.name) else ())
            for each in variables
        }
        texts = {name: shown(value) for name, value in values.items()}
        entries = [
            SettingEntry(name, texts.get(name, "faulty"), told) for name, told in origins.items()
        ]
        report = SettingsReport(tuple(entries), tuple(self.warnings))
        draft = draft.model_copy(update={"report": report})
        return Loaded(
            settings=None if self.errors else draft,
            draft=draft,
            faulty=frozenset(self.faulty),
            errors=tuple(map(self._with_origin, self.errors)),
            origins=MappingProxyType(origins),
            warnings=tuple(self.warnings),
            shown=MappingProxyType(texts),
        )

    def _origin(self, variable: Variable, parts: Sequence[str]) -> str:
        if origin := self.origins.get(variable.name):
            return origin
        if parts:
            return f"built from {', '.join(parts)}"
        return "not set" if variable.required else "default"

    def _with_origin(self, error: SettingError) -> SettingError:
        origin = self.origins.get(error.variable, "environment")
        if origin == "environment":
            return error
        return replace(error, wrong=f"{error.wrong} (given by {origin})")

    def _blame(self, name: str, error: SettingError) -> None:
        self.errors.append(error)
        self.faulty.add(name)
