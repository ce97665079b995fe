"""Where the console has the tasks."""

from backstay import AdminView
from backstay.features.tasks.queries import ListTasks

TASKS = AdminView(list=ListTasks, group="Operations")
