"""What a retraining takes over from the search that it follows."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from nas.cli.arguments import overrides
from nas.tracking import read_summary
from nas.tracking.summary import Summary

_TAKEN = re.compile(r"(seed|space|data)=\w+|data\.(?!.*(_target_|\$))[\w.]+=.*")


def taken_over(arguments: Sequence[str]) -> list[str]:
    """The overrides of seed, space and data set of the search in `genotype=RUN_DIR` that the arguments leave open.

    Nothing that names a class, or could spell one by interpolation, is taken over: a run directory may come from a
    stranger.
    """
    given = {key: value for _, key, value in overrides(arguments)}
    own = {key.split(".")[0] for key in given}
    recorded = Path(given.get("genotype", "")) / ".hydra" / "overrides.yaml"
    if "genotype" not in given or not os.path.isfile(recorded):
        return []
    found = [(key, f"{key}={value}") for _, key, value in overrides(_read(recorded))]
    return [word for key, word in found if _TAKEN.fullmatch(word) and key.split(".")[0] not in own]


def _read(path: Path) -> list[str]:
    try:
        words = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, OSError) as error:
        raise ValueError(f"{path} is damaged ({' '.join(str(error).split())}); remove it to go on without it") from None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{path} is not a list of overrides; remove it to go on without it")
    return words


def search_summary(genotype: str) -> Summary | None:
    """The summary of the search whose directory `genotype` is; None for a file or a published name."""
    return read_summary(genotype) if (Path(genotype) / "summary.json").is_file() else None
