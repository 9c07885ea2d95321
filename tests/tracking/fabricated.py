"""Run directories as a search or a retraining would leave them."""

from pathlib import Path
from typing import Any

from nas.architecture import Genotype
from nas.tracking import Summary, write_summary

GENOTYPE = Genotype("darts", {"num_cells": 2}, {"normal/2": [["sep_conv_3x3", 0], ["skip_connect", 1]]})
SEARCH = {"train_loss": 0.5, "train_accuracy": 0.875, "valid_loss": 0.75, "valid_accuracy": 0.75}
RETRAIN = {"train_loss": 0.25, "train_accuracy": 0.9375, "test_loss": 0.5, "test_accuracy": 0.8125}


def summary(**changes: Any) -> Summary:
    """A finished search of seed 0, with these fields changed."""
    fields = {
        "command": "search",
        "space": "darts",
        "method": "first_order",
        "setting": ("+space=darts", "method=first_order", "seed=0"),
        "seed": 0,
        "genotype": GENOTYPE,
        "params": 1000,
        "macs": 20_000,
        "metrics": SEARCH,
        "epochs": 3,
        "device": "cpu (1 thread)",
        "wall_seconds": 12.5,
        "versions": {"python": "3.11.7"},
    }
    return Summary(**{**fields, **changes})


def run(folder: Path, **changes: Any) -> Path:
    """The folder of a finished run."""
    failed_run(folder)
    write_summary(folder, summary(**changes))
    return folder


def failed_run(folder: Path) -> Path:
    """The folder of a run that ended before its summary."""
    (folder / ".hydra").mkdir(parents=True)
    return folder
