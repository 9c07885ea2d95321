"""What a retraining takes over from the search that it follows."""

import os
import re
from collections.abc import Sequence
from itertools import islice, takewhile
from pathlib import Path

import yaml

from nas.cli.arguments import overrides
from nas.reading import one_line, read_text
from nas.tracking import read_summary
from nas.tracking.summary import Summary

_TAKEN = re.compile(r"(seed|space|data)=\w+|data\.(?!download\b|.*(_target_|\$))[\w.]+=.*")

LARGEST = 256_000
"""Bytes: a thousand overrides of a thousand characters would be four times as many."""
BEFORE = [yaml.StreamStartEvent, yaml.DocumentStartEvent, yaml.SequenceStartEvent]
AFTER = [yaml.DocumentEndEvent, yaml.StreamEndEvent]
"""What stands in YAML around the items of a list that is all of a file."""


def taken_over(arguments: Sequence[str]) -> list[str]:
    """The overrides of seed, space and data set of the search in `genotype=RUN_DIR` that the arguments leave open.

    Nothing that names a class, or could spell one by interpolation, is taken over, and no download, which would write
    where `data.root` says: a run directory may come from a stranger.
    """
    given = {key: value for _, key, value in overrides(arguments)}
    own = {key.split(".")[0] for key in given}
    recorded = Path(given.get("genotype", "")) / ".hydra" / "overrides.yaml"
    if "genotype" not in given or not os.path.lexists(recorded):
        return []
    found = [(key, f"{key}={value}") for _, key, value in overrides(_read(recorded))]
    return [word for key, word in found if _TAKEN.fullmatch(word) and key.split(".")[0] not in own]


def _read(path: Path) -> list[str]:
    try:
        return _plain_list(read_text(path, LARGEST))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); remove it to go on without it") from None


def _plain_list(text: str) -> list[str]:
    """The words in a YAML list, from its events: nothing is made of what an alias or a tag would refer to."""
    events = yaml.parse(text, Loader=yaml.SafeLoader)
    try:
        whole = [type(event) for event in islice(events, len(BEFORE))] == BEFORE
        items = list(takewhile(lambda event: type(event) is yaml.ScalarEvent, events)) if whole else []
        whole = whole and [type(event) for event in islice(events, len(AFTER))] == AFTER
    except yaml.YAMLError as error:
        raise ValueError(one_line(error)) from None
    if not whole:
        raise ValueError("it is not a list of overrides")
    return [event.value for event in items]


def search_summary(genotype: str) -> Summary | None:
    """The summary of the search whose directory `genotype` is; None for a file or a published name."""
    return read_summary(genotype) if os.path.lexists(Path(genotype) / "summary.json") else None
