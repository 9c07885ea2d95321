"""What happens around the jobs of a command."""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from nas.tracking.formats import to_markdown, write_table
from nas.tracking.runs import collect
from nas.tracking.table import tabulate

TRACES = ("search.jsonl", "train.jsonl", "summary.json", "checkpoint.pt", "multirun.yaml")
"""Files that show that a directory holds a run or a sweep."""


class RunDirectoryGuard(Callback):
    """Refuses a directory that holds a run, before Hydra writes into it."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        _refuse_used(Path(config.hydra.run.dir), "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        _refuse_used(Path(config.hydra.sweep.dir), "hydra.sweep.dir")


class SweepSummary(Callback):
    """Ends a sweep with its table: on screen, as `summary.md` and as `summary.csv`; status 1 if a run failed."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        table = tabulate(collect([folder]))
        write_table(folder, table)
        print(f"\n{to_markdown(table)}\nwritten to {folder}/summary.md and summary.csv")
        if table.left_out:
            sys.exit(1)


def _refuse_used(folder: Path, key: str) -> None:
    found = [name for name in TRACES if (folder / name).exists()]
    if found:
        # Hydra turns exceptions of callbacks into warnings, but lets an exit pass
        print(
            f"error: {folder} already holds a run ({', '.join(found)}): give another {key}, or move it away",
            file=sys.stderr,
        )
        sys.exit(1)
