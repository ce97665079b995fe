"""Shows that a message whose fresh proof could never be given stops the boot."""

from backstay.core.bus import handles
from backstay.core.clock import minutes
from backstay.core.messages import Command
from backstay.core.permissions import PUBLIC, SIGNED_IN
from backstay.core.wiring import Code
from tests.architecture.booting import Faults, feature


class Stale(Command[None]):
    permission = SIGNED_IN
    fresh = 300  # type: ignore[assignment]


@handles(Stale)
async def stale(command: Stale) -> None: ...


class Anonymous(Command[None]):
    permission = PUBLIC
    fresh = minutes(5)


@handles(Anonymous)
async def anonymous(command: Anonymous) -> None: ...


def test_a_fresh_proof_has_an_age_and_a_sender(faults: Faults) -> None:
    wrong, nobodys = faults(feature(Stale, stale, Anonymous, anonymous))
    assert [wrong.code, nobodys.code] == [Code.MESSAGE_FRESH] * 2
    assert "`fresh` of Stale is 300" in wrong.problem
    assert "nobody signs in to send it" in nobodys.problem
