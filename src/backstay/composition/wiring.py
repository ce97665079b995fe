"""Looks at the features of an application as a whole, before anything of it starts."""

from collections.abc import Sequence

from backstay.core.feature import Feature
from backstay.core.manifests import manifest_faults, shape_faults
from backstay.core.operations import operation_faults
from backstay.core.ownership import Ownership
from backstay.core.registry import Registry
from backstay.core.wiring import BootError, Code, Flaw, WiringFault
from backstay.db.base import Base
from backstay.features import STANDARD


def check_shapes(features: Sequence[Feature]) -> None:
    """Refuse manifests that cannot be read.

    Raises:
        BootError: with every fault of theirs.
    """
    if faults := tuple(shape_faults(features)):
        raise BootError(faults)


def check(
    registry: Registry, features: Sequence[Feature], ownership: Ownership, root_path: str
) -> None:
    """Refuse features that are wired wrongly.

    Raises:
        BootError: with every fault, those noted in the registry among them.
    """
    faults = [
        *registry.faults,
        *_foundation_faults(features),
        *manifest_faults(features, registry, ownership),
        *operation_faults(features, registry.handlers, root_path),
    ]
    if faults:
        raise BootError(faults)


def _foundation_faults(features: Sequence[Feature]) -> list[WiringFault]:
    listed = {feature.name for feature in features}
    return [
        Flaw(
            Code.FEATURE_FOUNDATION,
            f"The feature {each.name} belongs to the foundation and is not listed.",
            "List it.",
        ).of(each)
        for each in STANDARD
        if each.foundation and each.name not in listed
    ]


def models_of(features: Sequence[Feature], ownership: Ownership) -> tuple[type[Base], ...]:
    """Those of the features and of what they stand on; others may be loaded that nobody asks."""
    listed = {feature.name for feature in features}
    loaded = (mapper.class_ for mapper in Base.registry.mappers)
    needed = [
        model
        for model in loaded
        if ownership.owner(model.__module__) in listed
        or model.__module__.startswith(f"{Base.__module__.rpartition('.')[0]}.")
    ]
    return tuple(sorted(needed, key=lambda model: (model.__module__, model.__name__)))
