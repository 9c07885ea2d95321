"""Runs the study, or what is left of it, and writes its tables and pictures."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from experiments.digits_sizes.report import write_report
from experiments.digits_sizes.study import ARMS, Job, jobs
from search_spaces.networks import NetworkSpace

CONF = Path(__file__).parents[2] / "conf" / "space"


def main() -> None:
    """The command."""
    options = _options()
    every = [
        job
        for arm in ARMS
        for job in jobs(
            arm, _space(arm.space), options.runs, range(options.seeds), options.epochs, options.retrain_epochs
        )
    ]
    # a job that goes on from a search waits for it: those that search come first
    for part in ([job for job in every if len(job.commands) > 1], [job for job in every if len(job.commands) == 1]):
        with ThreadPoolExecutor(options.workers) as pool:
            list(pool.map(_run, part))
    write_report(every, options.out, options)


def _run(job: Job) -> None:
    """Runs the commands of a job that have not finished yet."""
    for command in job.commands:
        folder = Path(command[-1].partition("=")[2])
        if (folder / "summary.json").is_file():
            continue
        ended = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True)
        if ended.returncode:
            sys.exit(f"{' '.join(command)}\n{ended.stderr}")
        print(" ".join(command), flush=True)


def _space(name: str) -> NetworkSpace:
    """The shipped space of a name."""
    settings: dict[str, Any] = {}
    for part in ("channel_width", name):
        settings |= yaml.safe_load((CONF / f"{part}.yaml").read_text())
    return NetworkSpace(**{key: value for key, value in settings.items() if key not in ("_target_", "defaults")})


def _options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.digits_sizes", description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/digits_sizes"), help="where the runs go, or lie")
    parser.add_argument("--out", type=Path, default=Path("experiments/digits_sizes"), help="where the results go")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20, help="of a search")
    parser.add_argument("--retrain-epochs", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    return parser.parse_args(argv)
