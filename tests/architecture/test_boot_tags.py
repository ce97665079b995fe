"""Shows that cache tags that could never invalidate anything stop the boot."""

from backstay.core.bus import handles
from backstay.core.caching import Cached
from backstay.core.messages import Command, Query, View
from backstay.core.permissions import PUBLIC
from backstay.core.wiring import Code
from tests.architecture.booting import Faults, feature


class RigView(View):
    id: int


TUPLE = "Write `(tag,)`, with the comma."


class PaintRig(Command[None]):
    permission = PUBLIC
    touches = "rigs"  # type: ignore[assignment]


@handles(PaintRig)
async def paint_rig(command: PaintRig) -> None: ...


class KeptRig(Query[RigView]):
    permission = PUBLIC
    cache = Cached(tags="rigs")  # type: ignore[arg-type]


@handles(KeptRig)
async def kept_rig(query: KeptRig) -> RigView:
    raise NotImplementedError


class AlwaysKept(Query[RigView]):
    permission = PUBLIC
    cache = True  # type: ignore[assignment]


@handles(AlwaysKept)
async def always_kept(query: AlwaysKept) -> RigView:
    raise NotImplementedError


def test_tags_given_as_one_string_not_a_tuple_are_refused(faults: Faults) -> None:
    (fault,) = faults(feature(PaintRig, paint_rig))
    assert (fault.code, fault.hint) == (Code.MESSAGE_TOUCHES, TUPLE)
    (fault,) = faults(feature(KeptRig, kept_rig))
    assert (fault.code, fault.hint) == (Code.MESSAGE_CACHE, TUPLE)
    (fault,) = faults(feature(AlwaysKept, always_kept))
    assert (fault.code, fault.hint) == (Code.MESSAGE_CACHE, "Write `cache = Cached(...)`.")
