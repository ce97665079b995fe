"""The PrincipalChannel port by several channels: whatever one of them tells is obeyed."""

from backstay.core.context import Context, PrincipalChanges
from backstay.core.ports import PrincipalChannel


class Channels:
    """Tells by all; the cache believes its entries while any one of them proves to be complete."""

    def __init__(self, *channels: PrincipalChannel) -> None:
        self._channels = channels

    async def announce(self, context: Context) -> None:
        """By each of them."""
        for channel in self._channels:
            await channel.announce(context)

    async def publish(self, changes: PrincipalChanges) -> None:
        """By each of them."""
        for channel in self._channels:
            await channel.publish(changes)

    async def start(self) -> None:
        """Listen to each of them."""
        for channel in self._channels:
            await channel.start()

    async def stop(self) -> None:
        """Listen to none of them."""
        for channel in self._channels:
            await channel.stop()

    def state(self) -> str:
        """The worst of those that are not off by design."""
        states = {channel.state() for channel in self._channels}
        return next((state for state in ("degraded", "ok") if state in states), "off")
