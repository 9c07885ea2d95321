"""What a command takes over from the run that it follows, and what it asks for again."""

import os
import re
import shlex
from collections.abc import Sequence
from itertools import islice, takewhile
from pathlib import Path

import yaml
from hydra.core.hydra_config import HydraConfig

from nas.cli.arguments import keys_given, overrides
from nas.cli.progress import shown
from nas.reading import check_yaml, one_line, read_text
from nas.tracking import read_summary
from nas.tracking.summary import Summary

_TAKEN = re.compile(r"(seed|space|data)=\w+|data\.(?!download\b|.*(_target_|\$))[\w.]+=.*")
_NAMES_A_CLASS = re.compile(r"space\.(?!_target_)\w+(\.|=).*_target_", re.DOTALL)

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


def check_following(genotype: str) -> None:
    """A ValueError where a command that follows a search is given too little of its space, or what it cannot use."""
    arguments = HydraConfig.get().overrides.task
    _require_own_classes(genotype, arguments)
    _refuse_weights_to_start_from(arguments)


def _require_own_classes(genotype: str, arguments: Sequence[str]) -> None:
    """A ValueError where parts of the space in `genotype=RUN_DIR` are classes that the arguments don't name again.

    Only a person can say whether they are theirs, so the error tells what the run was started with, and nothing of it
    is used. Another space than that of the run names its own.
    """
    recorded = Path(genotype) / ".hydra" / "overrides.yaml"
    if not os.path.isfile(recorded):
        return
    words = {key: value for _, key, value in overrides(_read(recorded)) if key.split(".")[0] == "space"}
    classes = {key.split(".")[1] for key, value in words.items() if _NAMES_A_CLASS.match(f"{key}={value}")}
    given = {key: value for _, key, value in overrides(arguments)}
    same = given.get("space", words.get("space")) == words.get("space")
    if same and classes - {key.split(".")[0] for key in keys_given("space", arguments)}:
        again = [f"+{key}={value}" if key == "space" else f"{key}={value}" for key, value in words.items()]
        raise ValueError(
            f"{genotype} was made with classes of your own, which are never taken from a run directory: it may come "
            f"from a stranger. If they are yours, type them again: {shlex.join(again)}"
        )


def _refuse_weights_to_start_from(arguments: Sequence[str]) -> None:
    """A ValueError where the arguments give weights for the start of a search to a command that does not search."""
    for _, key, value in overrides(arguments):
        if key == "space.init_from" and value != "null":
            raise ValueError(
                f"space.init_from={value} are weights that a search starts from, and this command does not search: "
                "leave it out; nas.retrain init=inherit goes on from the weights of a search"
            )


def to_retrain(genotype: str, folders: Sequence[str]) -> str:
    """The command that retrains a genotype, with the folders of the person's own configs."""
    given = (word for folder in folders for word in ("--config-dir", str(shown(Path(folder)))))
    return shlex.join(["python", "-m", "nas.retrain", *given, f"genotype={genotype}"])


def config_folders_of(run: Path) -> tuple[str, ...]:
    """The folders of own configs that a run was given on its command line; none where its record does not tell."""
    try:
        text = read_text(run / ".hydra" / "hydra.yaml", LARGEST)
        check_yaml(text)
        sources = yaml.safe_load(text)["hydra"]["runtime"]["config_sources"]
        return tuple(str(source["path"]) for source in sources if source["provider"] == "command-line")
    except (ValueError, KeyError, TypeError):
        return ()


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
