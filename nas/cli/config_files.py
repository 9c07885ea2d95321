"""The files of a --config-dir, looked at before Hydra reads them."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from nas.cli.arguments import config_folders
from nas.reading import check_yaml, read_text

LARGEST = 1_000_000
"""Bytes of a config; the shipped ones have a few thousand."""
DEEPEST = 3
"""Folders below one another: groups as in `hydra/job_logging`."""


def unreadable_configs(arguments: Sequence[str]) -> list[str]:
    """What is wrong with the files that a command may read, a line each: those that its words name, and so on.

    Hydra waits for pipes, and YAML can take a few lines for what is never written out.
    """
    found: dict[str, list[Path]] = {}
    for path in _configs(arguments):
        found.setdefault(path.stem, []).append(path)
    lines, ahead = [], list(arguments)
    while ahead:
        for name in re.findall(r"[\w.-]+", ahead.pop()):
            for path in found.pop(name.removesuffix(".yaml"), ()):
                try:
                    text = read_text(path, LARGEST)
                    check_yaml(text)
                    ahead.append(text)
                except ValueError as error:
                    lines.append(f"the config {path} cannot be read: {error}; mend it")
    return lines


def _configs(arguments: Sequence[str]) -> Iterator[Path]:
    for folder in config_folders(arguments)[1:]:
        for depth in range(DEEPEST):
            yield from sorted(path for path in folder.glob(f"{'*/' * depth}*.yaml") if os.path.lexists(path))
