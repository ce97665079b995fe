"""What a supervisor and the processes it runs agree on: a folder named by one variable."""

import os
from pathlib import Path

FOLDER = "BACKSTAY_RUN"
"""The variable that names the folder; set for the processes of a supervisor only."""
DRAINING = "draining"
METRICS = "metrics"


def is_draining() -> bool:
    """Whether the supervisor of this process, if any, wants it to get no more requests."""
    folder = os.environ.get(FOLDER)
    return folder is not None and (Path(folder) / DRAINING).exists()
