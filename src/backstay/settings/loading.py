"""Reads the settings: looks every variable up, builds the groups, and judges the whole."""

import os
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from backstay.settings.building import GroupT, build
from backstay.settings.describe import shown
from backstay.settings.faults import ConfigurationError, Fault
from backstay.settings.group import BuiltFrom, Found, Group, Variable, variables_of
from backstay.settings.groups import Environment, GeneralSettings
from backstay.settings.local import FOLDER, kept_secret
from backstay.settings.lookup import Layer, find, read_dotenv, unknown
from backstay.settings.model import GROUPS, PREFIXES, VARIABLES, Settings
from backstay.settings.rules import ALGORITHM, REFRESH, RULES, SECRET, Applies


@dataclass(frozen=True)
class Loaded:
    """What was read: the settings, or every fault; where each value is from, and how it looks.

    `draft` has defaults in place of the `faulty` variables, so that what is sound can be judged.
    `origins` and `shown` are keyed by variable; `shown` masks secrets and leaves out faulty values.
    """

    settings: Settings | None
    draft: Settings
    faulty: frozenset[str]
    faults: tuple[Fault, ...]
    origins: Mapping[str, str]
    warnings: tuple[str, ...]
    shown: Mapping[str, str]


def load_settings(
    environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> Settings:
    """Return the settings; raises ConfigurationError with every fault. See `read_settings`."""
    loaded = read_settings(environ, directory)
    if loaded.settings is None:
        raise ConfigurationError(loaded.faults)
    return loaded.settings


def read_settings(
    environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> Loaded:
    """Read the settings from `environ` (else the process's) and from `.env` in `directory`.

    `directory` (else the working directory) also keeps the secrets that are created in `local`.
    """
    directory = directory or Path.cwd()
    variables = os.environ if environ is None else {**environ}
    dotenv = read_dotenv(directory / ".env", variables)
    environment = Layer("environment", variables)
    layers = (environment, Layer(".env", dotenv.values))
    reading = _Reading([*dotenv.faults], [*dotenv.warnings])
    if dotenv.faults:
        reading.faulty.add("ENVIRONMENT")  # what cannot be read may have named it
    reading.look_up(layers, directory, variables)
    general = reading.build(GeneralSettings)
    if "ENVIRONMENT" not in reading.faulty and general.environment is Environment.LOCAL:
        reading.local = True
        reading.create_secrets(directory)
    groups: dict[str, Group] = {
        name: general if group is GeneralSettings else reading.build(group)
        for name, group in GROUPS.items()
    }
    draft = Settings.model_validate(groups)
    reading.judge(draft)
    reading.warnings += unknown(VARIABLES, PREFIXES, layers)
    return reading.result(draft)


@dataclass
class _Reading:
    """What is known so far."""

    faults: list[Fault]
    warnings: list[str]
    found: dict[str, Found] = field(default_factory=dict)
    faulty: set[str] = field(default_factory=set)
    local: bool = False

    def look_up(
        self, layers: Sequence[Layer], directory: Path, environ: MutableMapping[str, str]
    ) -> None:
        for variable in VARIABLES:
            found = find(variable, layers, directory, environ)
            if isinstance(found, Fault):
                self._blame(variable.name, found)
            elif found:
                self.found[variable.name] = found

    def create_secrets(self, directory: Path) -> None:
        algorithm = self.found.get(ALGORITHM)
        symmetric = algorithm is None or algorithm.value == "HS256"
        for name in (SECRET, REFRESH) if symmetric else (REFRESH,):
            if name in self.found or name in self.faulty:
                continue
            try:
                value = kept_secret(directory, name.removeprefix("SECURITY_").lower())
            except OSError as error:
                wrong = f"is not set, and cannot be kept in ./{FOLDER}: {error.strerror}"
                mend = f"Set it, or see that ./{FOLDER} can be read and written."
                self._blame(name, Fault(name, wrong, mend))
            else:
                self.found[name] = Found(value, f"created in ./{FOLDER}")

    def build(self, group: type[GroupT]) -> GroupT:
        built = build(group, self.found, local=self.local)
        self.faults += [fault for fault in built.faults if fault.variable not in self.faulty]
        self.faulty |= built.faulty
        return built.group

    def judge(self, draft: Settings) -> None:
        for rule in RULES:
            if rule.reads & self.faulty:
                continue
            broken = list(rule.check(draft))
            if rule.applies is Applies.ALWAYS or not self.local:
                self.faults += broken
            elif rule.applies is Applies.WARNS_IN_LOCAL:
                self.warnings += [
                    f"{fault.variable} {fault.wrong}; outside local this is refused"
                    for fault in broken
                ]

    def result(self, draft: Settings) -> Loaded:
        values = {
            variable.name: getattr(getattr(draft, name), variable.field)
            for name, group in GROUPS.items()
            for variable in variables_of(group)
            if variable.name not in self.faulty
        }
        names = {variable.name: self._parts(variable) for variable in VARIABLES}
        for name, parts in names.items():
            if name in self.found and parts:
                self.warnings += [f"{part} has no effect, since {name} is set" for part in parts]
        return Loaded(
            settings=None if self.faults else draft,
            draft=draft,
            faulty=frozenset(self.faulty),
            faults=tuple(self._with_origin(fault) for fault in self.faults),
            origins=MappingProxyType(
                {
                    name: self._origin(name, parts if values.get(name) else ())
                    for name, parts in names.items()
                }
            ),
            warnings=tuple(self.warnings),
            shown=MappingProxyType({name: shown(value) for name, value in values.items()}),
        )

    def _parts(self, variable: Variable) -> tuple[str, ...]:
        """The given variables that a setting is built from while it is not given itself."""
        built_from = variable.marker(BuiltFrom)
        prefix = variable.name.removesuffix(variable.field.upper())
        names = [f"{prefix}{part.upper()}" for part in built_from.fields] if built_from else []
        return tuple(name for name in names if name in self.found)

    def _origin(self, name: str, parts: Sequence[str]) -> str:
        if name in self.found:
            return self.found[name].origin
        return f"built from {', '.join(parts)}" if parts else "default"

    def _with_origin(self, fault: Fault) -> Fault:
        found = self.found.get(fault.variable)
        if found is None or found.origin == "environment":
            return fault
        return replace(fault, wrong=f"{fault.wrong} (given by {found.origin})")

    def _blame(self, name: str, fault: Fault) -> None:
        self.faults.append(fault)
        self.faulty.add(name)
