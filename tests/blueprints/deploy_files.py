"""Writes `deploy/` of this repository, as `backstay deploy init` would for the package itself."""

from collections.abc import Mapping

from backstay.blueprints.deploying import PLATFORM, DeployOptions, render_deploy
from tests.architecture.tree import ROOT


def rendered() -> Mapping[str, str]:
    """The text of each file, by path."""
    return render_deploy(DeployOptions(name=PLATFORM))


if __name__ == "__main__":
    for path, text in rendered().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, "utf-8")
