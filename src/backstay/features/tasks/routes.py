"""The routes of tasks."""

from backstay import Routes
from backstay.features.tasks.commands import MOST_BYTES, CancelTask, RetryTask, StartTask
from backstay.features.tasks.queries import GetTask, ListTasks

routes = Routes(
    "/tasks", tag="tasks", about="Work that runs after the answer: start it, follow it, cancel it."
)
routes.post("", StartTask, location="/tasks/{id}", status=202, max_body_bytes=MOST_BYTES)
routes.get("", ListTasks)
routes.get("/{id}", GetTask)
routes.post("/{id}/retry", RetryTask)
routes.post("/{id}/cancel", CancelTask)
