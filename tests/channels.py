"""A principal channel that does nothing, for tests of its users."""

from backstay.core.context import Context, PrincipalChanges


class SilentChannel:
    """Announces nothing, and hears nothing."""

    async def announce(self, context: Context) -> None:
        pass

    async def publish(self, changes: PrincipalChanges) -> None:
        pass

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def state(self) -> str:
        return "off"
