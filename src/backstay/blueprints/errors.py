"""What a blueprint refuses, in sentences that name cause and mend."""

from collections.abc import Sequence


class BlueprintError(Exception):
    """Nothing was changed; it has every reason.

    Attributes:
        problems: one sentence or more for each reason.
        usage: whether what was asked for is wrong (exit code 2), not what was found (1).
    """

    def __init__(self, *problems: str, usage: bool = False) -> None:
        super().__init__("\n".join(problems))
        self.problems: Sequence[str] = problems
        self.usage = usage
