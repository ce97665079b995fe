"""Reads the settings: looks up every variable, builds the models, and checks the rules."""

import os
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from backstay.settings.errors import ConfigurationError, SettingError
from backstay.settings.fields import shown
from backstay.settings.files import FOLDER, kept_secret
from backstay.settings.groups import Settings
from backstay.settings.groups.app import Environment
from backstay.settings.rules import ALGORITHM, REFRESH, SECRET, broken_rules
from backstay.settings.sources import Layers, find, read_dotenv, unknown
from backstay.settings.variables import GROUPS, VARIABLES, Variable


@dataclass(frozen=True)
class Loaded:
    """The result of reading: the settings or every error, with the origin and text of each value.

    `draft` has defaults in place of the `faulty` variables, so that rules can check the others.
    `origins` and `shown` are keyed by variable; `shown` masks secrets and leaves faulty values out.
    """

    settings: Settings | None
    draft: Settings
    faulty: frozenset[str]
    errors: tuple[SettingError, ...]
    origins: Mapping[str, str]
    warnings: tuple[str, ...]
    shown: Mapping[str, str]


def load_settings(
    environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> Settings:
    """Return the settings; raises ConfigurationError with every error. See `read_settings`."""
    loaded = read_settings(environ, directory)
    if loaded.settings is None:
        raise ConfigurationError(loaded.errors)
    return loaded.settings


def read_settings(
    environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> Loaded:
    """Read the settings from the environment `environ` and from `.env` in `directory`.

    `environ` defaults to the process's environment, `directory` to the working directory, which
    also keeps the secrets that are created in `local`.
    """
    directory = directory or Path.cwd()
    reader = _Reader()
    layers = reader.look_up(os.environ if environ is None else {**environ}, directory)
    if reader.local:
        reader.create_secrets(directory)
    draft = reader.build()
    reader.judge(draft)
    reader.warnings += unknown(layers)
    return reader.result(draft)


@dataclass
class _Reader:
    """Collects values and errors, step by step."""

    errors: list[SettingError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    found: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    faulty: set[str] = field(default_factory=set)

    def look_up(self, environ: MutableMapping[str, str], directory: Path) -> Layers:
        dotenv: dict[str, str] = {}
        try:
            dotenv, warnings = read_dotenv(directory / ".env", environ)
            self.warnings += warnings
        except SettingError as error:
            self._blame("ENVIRONMENT", error)  # the unreadable file may have set it
        layers = {"environment": environ, ".env": dotenv}
        for variable in VARIABLES:
            try:
                found = find(variable, layers, directory, environ)
            except SettingError as error:
                self._blame(variable.name, error)
            else:
                if found:
                    self.found[variable.name], self.origins[variable.name] = found
        return layers

    @property
    def local(self) -> bool:
        given = self.found.get("ENVIRONMENT")
        try:
            environment = Environment(given) if given else Environment.LOCAL
        except ValueError:  # `build` reports it
            return False
        return environment is Environment.LOCAL and "ENVIRONMENT" not in self.faulty

    def create_secrets(self, directory: Path) -> None:
        symmetric = self.found.get(ALGORITHM, "HS256") == "HS256"
        for name in (SECRET, REFRESH) if symmetric else (REFRESH,):
            if name in self.found or name in self.faulty:
                continue
            try:
                value = kept_secret(directory, name.removeprefix("SECURITY_").lower())
            except OSError as error:
                wrong = f"is not set, and cannot be kept in ./{FOLDER}: {error.strerror}"
                hint = f"Set it, or see that ./{FOLDER} can be read and written."
                self._blame(name, SettingError(wrong, hint, name))
            else:
                self.found[name], self.origins[name] = value, f"created in ./{FOLDER}"

    def build(self) -> Settings:
        """Build the models with defaults in place of faulty values, so that rules can check others.

        Errors that appear only because a value was left out are not reported.
        """
        local = self.local
        given: Mapping[str, str] = self.found
        errors: dict[Variable, SettingError] = {}
        while True:
            try:
                draft = Settings.model_validate(_values(given, local=local))
            except ValidationError as error:
                found = _errors(error)
                errors = errors or found
                rest = _without(found, given)
                if len(rest) == len(given):
                    raise  # no given value is wrong, so a default is
                given = rest
            else:
                self._note(errors)
                return draft

    def _note(self, errors: Mapping[Variable, SettingError]) -> None:
        self.errors += [each for each in errors.values() if each.variable not in self.faulty]
        names = {variable.name for variable in errors}
        self.faulty |= names | {each.variable for each in errors.values()}
        self.faulty |= {
            each.name
            for each in VARIABLES
            if each.name not in self.found and not names.isdisjoint(each.parts)
        }

    def judge(self, draft: Settings) -> None:
        errors, warnings = broken_rules(draft, self.faulty, local=self.local)
        self.errors += errors
        self.warnings += [
            f"{error.variable} {error.wrong}; outside local this is refused" for error in warnings
        ]

    def result(self, draft: Settings) -> Loaded:
        values = {
            each.name: getattr(getattr(draft, each.group), each.field)
            for each in VARIABLES
            if each.name not in self.faulty
        }
        parts = {
            each.name: tuple(name for name in each.parts if name in self.found)
            for each in VARIABLES
        }
        for name, given in parts.items():
            if name in self.found:
                self.warnings += [f"{part} has no effect, since {name} is set" for part in given]
        origins = {
            name: self._origin(name, given if values.get(name) else ())
            for name, given in parts.items()
        }
        return Loaded(
            settings=None if self.errors else draft,
            draft=draft,
            faulty=frozenset(self.faulty),
            errors=tuple(map(self._with_origin, self.errors)),
            origins=MappingProxyType(origins),
            warnings=tuple(self.warnings),
            shown=MappingProxyType({name: shown(value) for name, value in values.items()}),
        )

    def _origin(self, name: str, parts: Sequence[str]) -> str:
        default = f"built from {', '.join(parts)}" if parts else "default"
        return self.origins.get(name, default)

    def _with_origin(self, error: SettingError) -> SettingError:
        origin = self.origins.get(error.variable, "environment")
        if origin == "environment":
            return error
        return replace(error, wrong=f"{error.wrong} (given by {origin})")

    def _blame(self, name: str, error: SettingError) -> None:
        self.errors.append(error)
        self.faulty.add(name)


def _values(found: Mapping[str, str], *, local: bool) -> dict[str, dict[str, object]]:
    values: dict[str, dict[str, object]] = {group: {} for group in GROUPS}
    for variable in VARIABLES:
        if variable.name in found:
            values[variable.group][variable.field] = found[variable.name]
        elif local and variable.setting.in_local is not None:
            values[variable.group][variable.field] = variable.setting.in_local
    return values


def _errors(error: ValidationError) -> dict[Variable, SettingError]:
    """The first error of each setting."""
    fields = {(variable.group, variable.field): variable for variable in VARIABLES}
    errors: dict[Variable, SettingError] = {}
    for problem in error.errors(include_url=False, include_input=False):
        group, field, *_ = map(str, problem["loc"])
        variable = fields[group, field]
        errors.setdefault(variable, _error(variable, problem))
    return errors


def _error(variable: Variable, problem: ErrorDetails) -> SettingError:
    error = problem.get("ctx", {}).get("error")
    if isinstance(error, SettingError):
        return replace(error, variable=error.variable or variable.name)
    message = problem["msg"].removeprefix("Input ")
    example = "" if variable.secret else variable.default(local=False)
    hint = f"Set it to: {variable.kind}{f', such as {example}' if example else ''}."
    return SettingError(message[0].lower() + message[1:], hint, variable.name)


def _without(variables: Collection[Variable], found: Mapping[str, str]) -> Mapping[str, str]:
    """The given values without those of these variables and their parts.

    If none of a group's faulty variables or parts is given, the whole group is left out.
    """
    left_out: set[str] = set()
    for group in {variable.group for variable in variables}:
        of_group = [each for each in variables if each.group == group]
        names = {name for each in of_group for name in (each.name, *each.parts)}
        whole = {each.name for each in VARIABLES if each.group == group}
        left_out |= whole if names.isdisjoint(found) else names
    return {name: value for name, value in found.items() if name not in left_out}
