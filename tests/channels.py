"""A channel of principals that leads nowhere, for tests of what uses one."""

from backstay.core.context import Context, PrincipalChanges


class SilentChannel:
    """Tells nobody, and hears of nobody."""

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
