"""Background tasks over HTTP: starting commands as jobs, and following what becomes of them."""

from backstay.core.feature import Feature
from backstay.features.tasks import commands, queries
from backstay.features.tasks.commands import CountDemo
from backstay.features.tasks.routes import routes

feature = Feature(
    name="tasks",
    modules=(commands, queries),
    routes=(routes,),
    exports={"tasks": queries.ExportTasks},
    tasks={"demo.count": CountDemo},
)
