"""The views of settings."""

from backstay.core.messages import View


class SettingDetail(View):
    """A setting: its variable, its value with secrets masked, and where the value came from."""

    name: str
    value: str
    origin: str


class SettingsInForce(View):
    """The settings that the process which answers was started with."""

    items: tuple[SettingDetail, ...]
    warnings: tuple[str, ...]
