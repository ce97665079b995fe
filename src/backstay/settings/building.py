"""Builds a group of settings from the texts that were found, with an error for each wrong one."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, create_model, field_validator
from pydantic_core import ErrorDetails

from backstay.settings.errors import SettingError
from backstay.settings.fields import MASK, SettingsGroup, rooted
from backstay.settings.variables import Variable

_SHORTEST_SECRET = 6
"""Characters; a shorter text may be a word of the sentence, which its mask would give away."""


@dataclass(frozen=True)
class Built:
    """A group, the errors of its settings, and the variables that have another value than given.

    The group has defaults in place of the `faulty` variables; it lacks those without default.
    """

    group: SettingsGroup
    errors: tuple[SettingError, ...]
    faulty: frozenset[str]


@dataclass(frozen=True)
class Builder:
    """Builds one group; relative paths are joined to ``root``, if there is one."""

    kind: type[SettingsGroup]
    variables: Sequence[Variable]
    local: bool
    root: Path | None

    def build(self, found: Mapping[str, str]) -> Built:
        """Build the group with defaults in place of faulty values, so that rules can check others.

        Errors that appear only because a value was left out are not reported.
        """
        try:
            return self._build(found)
        except KeyError:
            # a validator reads `info.data` of another field, which is missing as it is wrong itself
            built = replace(self, kind=_without_validators(self.kind))._build(found)
            if not built.errors:
                raise
            return built

    def _build(self, found: Mapping[str, str]) -> Built:
        unread, given = self._read(found)
        errors: dict[str, SettingError] = {}
        while True:
            try:
                group = self.kind.model_validate(self._values(given), context=self.root)
            except ValidationError as error:
                wrong = dict(self._errors(error, found))
                errors = errors or {**wrong, **unread}
                left_out = self._of(wrong) & given.keys()
                if self._whole in wrong or not left_out:
                    group, unsound = self._incomplete(given)
                    return Built(
                        group, tuple(errors.values()), self._faulty(errors, found) | unsound
                    )
                given = {name: each for name, each in given.items() if name not in left_out}
            else:
                return Built(group, tuple(errors.values()), self._faulty(errors, found))

    @property
    def _whole(self) -> str:
        """Stands for the variables of this group where an error concerns no single one."""
        return f"{self.kind.env_prefix}*"

    def _read(
        self, found: Mapping[str, str]
    ) -> tuple[dict[str, SettingError], Mapping[str, object]]:
        """What the model gets for the texts, and the errors of those that are no lists."""
        errors: dict[str, SettingError] = {}
        given: dict[str, object] = {}
        for variable in self.variables:
            name = variable.name
            if name in found:
                try:
                    given[name] = variable.read(found[name])
                except SettingError as error:
                    given[name], errors[name] = found[name], replace(error, variable=name)
        return errors, given

    def _values(self, given: Mapping[str, object]) -> dict[str, object]:
        values: dict[str, object] = {}
        for variable in self.variables:
            in_local = variable.setting.in_local if self.local else None
            if variable.name in given:
                value = given[variable.name]
            elif in_local is not None:
                value = in_local
            elif self.root and variable.path and not variable.required:
                value = variable.default_value
            else:
                continue
            if self.root and variable.path:
                value = rooted(value, self.root)
            values[variable.field] = value
        return values

    def _errors(
        self, error: ValidationError, found: Mapping[str, str]
    ) -> Iterator[tuple[str, SettingError]]:
        """The first error of each setting."""
        fields = {variable.field: variable for variable in self.variables}
        secrets = self._secrets(found)
        seen: set[str] = set()
        for problem in error.errors(include_url=False, include_input=False):
            variable = fields[str(problem["loc"][0])] if problem["loc"] else None
            name = variable.name if variable else self._whole
            if name not in seen:
                seen.add(name)
                hint = _hint(variable, problem) if variable else self._hint(found)
                yield name, _masked(_error(problem, name, hint), secrets)

    def _secrets(self, found: Mapping[str, str]) -> set[str]:
        """The texts that no error may repeat: the secrets, and the entries of lists of them."""
        texts: set[str] = set()
        for variable in self.variables:
            if variable.secret and (text := found.get(variable.name)):
                texts |= {text, *text.split(",")}
        return {text.strip() for text in texts if len(text.strip()) >= _SHORTEST_SECRET}

    def _hint(self, found: Mapping[str, str]) -> str:
        names = [each.name for each in self.variables]
        given = [name for name in names if name in found] or names
        return f"Correct {given[0]}." if len(given) == 1 else f"Correct one of {', '.join(given)}."

    def _faulty(
        self, errors: Mapping[str, SettingError], found: Mapping[str, str]
    ) -> frozenset[str]:
        if not errors:
            return frozenset()
        faulty = {*errors, *(error.variable for error in errors.values())} - {self._whole}
        built = {
            variable.name
            for variable in self.variables
            if variable.name not in found and not errors.keys().isdisjoint(variable.parts)
        }
        return frozenset(faulty | built)

    def _of(self, wrong: Collection[str]) -> set[str]:
        """These variables, and those from which their values are built."""
        return {
            name
            for variable in self.variables
            if variable.name in wrong
            for name in (variable.name, *variable.parts)
        }

    def _incomplete(self, given: Mapping[str, object]) -> tuple[SettingsGroup, frozenset[str]]:
        """The group of the sound values, and the variables of the others.

        It is for a group whose given values are sound, each by itself: a value is missing, or a
        default or the group as a whole is wrong. A model keeps nothing of what it refuses, so a
        field that is validated after all others notes their values.
        """
        sound: dict[str, Any] = {}

        def note(value: object, info: ValidationInfo) -> object:
            sound.update(info.data)
            return value

        model = create_model(
            self.kind.__name__,
            __base__=self.kind,
            __validators__={"note_sound_values": field_validator("last_of_all")(note)},
            last_of_all=(Any, Field(None, validate_default=True)),
        )
        with suppress(ValidationError):
            model.model_validate(self._values(given), context=self.root)
        unsound = (each.name for each in self.variables if each.field not in sound)
        return self.kind.model_construct(**sound), frozenset(unsound)


def _without_validators(kind: type[SettingsGroup]) -> type[SettingsGroup]:
    fields: dict[str, Any] = {
        name: (info.annotation, info) for name, info in kind.model_fields.items()
    }
    return create_model(kind.__name__, __base__=SettingsGroup, **fields)


def _masked(error: SettingError, secrets: Collection[str]) -> SettingError:
    wrong = error.wrong
    for secret in sorted(secrets, key=len, reverse=True):
        wrong = wrong.replace(secret, MASK)
    return replace(error, wrong=wrong)


def _error(problem: ErrorDetails, name: str, hint: str) -> SettingError:
    error = problem.get("ctx", {}).get("error")
    if isinstance(error, SettingError):
        return replace(error, variable=error.variable or name)
    if problem["type"] == "missing":
        return SettingError("is missing, and has no default", hint, name)
    if isinstance(error, ValueError | AssertionError):
        wrong = str(error).strip().rstrip(".") or "is refused"
    else:
        message = problem["msg"].removeprefix("Input ")
        wrong = message[0].lower() + message[1:]
    return SettingError(wrong, hint, name)


def _hint(variable: Variable, problem: ErrorDetails) -> str:
    is_missing = problem["type"] == "missing"
    meaning = f" {variable.about}" if is_missing and variable.about else ""
    if variable.kind == "text":
        return f"Set it to {'a' if is_missing else 'another'} text.{meaning}"
    has_example = variable.secret or "such as" in variable.kind
    example = "" if has_example else variable.default(local=False)
    return f"Set it to: {variable.kind}{f', such as {example}' if example else ''}.{meaning}"
