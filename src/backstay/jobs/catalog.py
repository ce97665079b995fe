"""Which commands jobs can be made of, and how they are written and read."""

from collections.abc import Iterable
from typing import Any

from backstay.core.jobs import JobRun
from backstay.core.masking import secret_fields
from backstay.core.messages import Command
from backstay.core.wiring import Code, Flaw, WiringFault, place_of


class Catalog:
    """The commands that jobs can be made of, by name."""

    def __init__(self, commands: Iterable[type[Command[Any]]]) -> None:
        self._commands: dict[str, type[Command[Any]]] = {}
        self.faults: list[WiringFault] = []
        for command in commands:
            first = self._commands.setdefault(command.__name__, command)
            if first is not command:
                problem = f"Another command is called {command.__name__}, at {place_of(first)}."
                flaw = Flaw(Code.COMMAND_NAME_TWICE, problem, "Give one of them another name.")
                self.faults.append(flaw.of(command))

    def names(self) -> list[str]:
        """Every name."""
        return list(self._commands)

    def fault(self, command: type[Command[Any]]) -> str | None:
        """Why no job can be made of a command, or None."""
        if self._commands.get(command.__name__) is not command:
            return f"{command.__name__} cannot be a job: no feature handles it"
        for field in secret_fields(command):
            told = f"its field `{field}` is a secret, jobs are stored"
            return f"{command.__name__} cannot be a job: {told}"
        return None

    def dump(self, command: Command[Any]) -> str:
        """What is stored of a command.

        Raises:
            TypeError: it holds a secret, or no feature of this application handles it.
        """
        if fault := self.fault(type(command)):
            raise TypeError(fault)
        return command.model_dump_json(exclude_unset=True, by_alias=True)

    def load(self, run: JobRun) -> Command[Any]:
        """The command of a job.

        Raises:
            ValidationError: it was stored by another version of this application.
        """
        return self._commands[run.name].model_validate_json(run.payload)
