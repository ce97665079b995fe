"""Stands for `docker` where no daemon runs: it keeps the containers of `api` as lines of a file.

`containers` holds one line each, the id and the tag; `calls` what was asked for. An image whose tag
ends in `-bad` never gets healthy.
"""

import os
import sys
from pathlib import Path

CONTAINERS, CALLS = Path("containers"), Path("calls")


def _kept() -> list[str]:
    return CONTAINERS.read_text().splitlines()


def _keep(lines: list[str]) -> None:
    CONTAINERS.write_text("".join(f"{line}\n" for line in lines))


def _compose(act: str, arguments: list[str]) -> int:
    kept = _kept()
    if act == "config":
        print('published: "8000"' if Path("published").exists() else "expose:")
    elif act == "ps":
        print(*(line.split()[0] for line in kept), sep="\n")
    elif act == "up" and arguments[-1] == "api":
        wanted = int(next(one for one in arguments if one.startswith("api=")).partition("=")[2])
        first = max((int(line.split()[0][1:]) for line in kept), default=0) + 1
        new = range(first, first + wanted - len(kept))
        _keep([*kept, *(f"c{number} {os.environ['TAG']}" for number in new)])
        return int(os.environ["TAG"].endswith("-bad"))
    return 0


def main(act: str, *arguments: str) -> int:
    """Do what `docker` is asked for."""
    with CALLS.open("a") as calls:
        calls.write(f"{' '.join((act, *arguments))} [{','.join(_kept())}]\n")
    if act == "compose":
        return _compose(arguments[0], list(arguments[1:]))
    if act == "rm":
        _keep([line for line in _kept() if line.split()[0] != arguments[-1]])
    return int(act == "image")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
