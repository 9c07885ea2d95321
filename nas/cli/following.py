"""What a retraining takes over from the search that it follows."""

import re
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from nas.cli.arguments import overrides
from nas.tracking import read_summary
from nas.tracking.summary import Summary

_TAKEN = re.compile(r"seed|space|data|data\.(?!.*_target_)[\w.]+")


def taken_over(arguments: Sequence[str]) -> list[str]:
    """The overrides of seed, space and data set of the search in `genotype=RUN_DIR` that the arguments leave open.

    Nothing that names a class is taken over: a run directory may come from a stranger.
    """
    given = {key: value for _, key, value in overrides(arguments)}
    recorded = Path(given.get("genotype", "")) / ".hydra" / "overrides.yaml"
    if "genotype" not in given or not recorded.is_file():
        return []
    loaded = OmegaConf.to_container(OmegaConf.load(recorded))
    words = [word for word in loaded if isinstance(word, str)] if isinstance(loaded, list) else []
    own = {key.split(".")[0] for key in given}
    return [
        f"{key}={value}"
        for _, key, value in overrides(words)
        if _TAKEN.fullmatch(key) and "_target_" not in value and key.split(".")[0] not in own
    ]


def search_summary(genotype: str) -> Summary | None:
    """The summary of the search whose directory `genotype` is; None for a file or a published name."""
    return read_summary(genotype) if (Path(genotype) / "summary.json").is_file() else None
