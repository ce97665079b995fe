"""Reads settings from given variables and the test's directory only."""

from collections.abc import Mapping
from typing import Protocol

from backstay.settings import Loaded


class Read(Protocol):
    """Reads settings in `local`, unless the variables say otherwise."""

    def __call__(self, environ: Mapping[str, str] = ..., **variables: str) -> Loaded: ...


def faulty(loaded: Loaded) -> list[str]:
    """The variables at fault, in the order of the report."""
    return [fault.variable for fault in loaded.errors]
