"""The folder that a supervisor shares with its processes, named by an environment variable."""

import os
from pathlib import Path

FOLDER = "BACKSTAY_RUN"
"""The environment variable that names the folder; set only in processes of a supervisor."""
DRAINING = "draining"
METRICS = "metrics"
STARTED = "started-"
"""Prefix of the name of the file that a worker creates once it can serve; its process id
follows."""

REFUSED = "refused"
"""The file of the first worker that cannot start, which says why; the others need not repeat it."""


def refused_at_start() -> bool:
    """Whether no worker of this server could start, and one has said why."""
    folder = Path(os.environ.get(FOLDER, os.devnull))
    return (folder / REFUSED).exists() and not any(folder.glob(f"{STARTED}*"))


def is_draining() -> bool:
    """Whether the supervisor of this process, if any, asks that it get no more requests."""
    folder = os.environ.get(FOLDER)
    return folder is not None and (Path(folder) / DRAINING).exists()
