"""Background tasks over HTTP: clients start commands as jobs and follow their progress."""

from backstay import Feature
from backstay.features.tasks import commands, queries, routes
from backstay.features.tasks.commands import CountDemo

feature = Feature(
    name="tasks",
    modules=(commands, queries),
    routes=(routes.routes,),
    personal_data={"tasks": queries.ExportTasks},
    tasks={"demo.count": CountDemo},
)
