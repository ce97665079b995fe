"""Follows a guide: writes every Python block to its file and lists the feature as described."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from backstay import features
from backstay.core.feature import Feature

FILE = re.compile(r"^`src/backstay/features/(\S+\.py)`\n\n```python\n(.*?)^```", re.DOTALL | re.M)
LINE = re.compile(
    r"`src/backstay/features/__init__\.py`, below `(.+?)`:\n\n```text\n(.*?)```", re.S
)


@contextmanager
def followed(page: str, folder: Path) -> Iterator[Feature]:
    """The one feature of a page, built from the code blocks of the page alone."""
    files = FILE.findall(page)
    assert len(files) == page.count("```python")
    for name, content in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    ((above, listed),) = LINE.findall(page)
    assert f"    {above}\n)" in Path(str(features.__file__)).read_text("utf-8")
    name = listed.strip().removeprefix('"').removesuffix('",')
    features.__path__.append(str(folder))
    try:
        yield import_module(f"{features.__name__}.{name}").feature
    finally:
        features.__path__.remove(str(folder))
        for module in [
            each for each in sys.modules if each.startswith(f"backstay.features.{name}")
        ]:
            del sys.modules[module]
        delattr(features, name)


def message_of(feature: Feature, name: str) -> Any:
    """The message of that name."""
    return next(message for message in feature.messages() if message.__name__ == name)
