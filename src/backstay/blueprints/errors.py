"""What a blueprint refuses, in sentences that name cause and mend."""

from collections.abc import Sequence


class BlueprintError(Exception):
    """Nothing was changed; it has every reason.

    Attributes:
        problems: one sentence or more for each reason.
        exit_code: 2 if what was asked for is wrong, 1 if it is what was found.
    """

    def __init__(self, *problems: str, usage: bool = False) -> None:
        super().__init__("\n".join(problems))
        self.problems: Sequence[str] = problems
        self.exit_code = 2 if usage else 1
