"""The query for the settings of the process that answers."""

from backstay.core.bus import handles
from backstay.core.messages import Query
from backstay.core.permissions import PermissionSpec
from backstay.features.system.schemas.settings import SettingDetail, SettingsInForce
from backstay.settings import SettingsReport


class ListSettings(Query[SettingsInForce]):
    """Every setting as `backstay config` prints it: value, origin, warnings; secrets are masked."""

    permission = PermissionSpec("settings", "read", description="See the settings, without secrets")


@handles(ListSettings)
async def list_settings(query: ListSettings, report: SettingsReport) -> SettingsInForce:
    items = tuple(SettingDetail.model_validate(entry) for entry in report.entries)
    return SettingsInForce(items=items, warnings=report.warnings)
