"""Kills runs at random moments, takes them up again, and compares what they end with to runs that were not killed."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: its threads would not survive a fork

import argparse
import random
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

from experiments.faults.cases import Case, cases
from experiments.faults.comparison import differences
from experiments.faults.kill_report import write_report
from experiments.faults.killed import FORK, Kill, ended, preload
from nas.tracking import append_line, read_lines

MOST = 5
"""Kills of one run."""


def main() -> int:
    """The command; status 1 where a run that was killed ended otherwise than one that was not."""
    options = _options()
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    every = _chosen(cases(out), options.cases)
    preload()
    with ProcessPoolExecutor(options.workers, mp_context=FORK) as pool:
        missing = [case for case in every if case.name not in {line["case"] for line in _lines(out / "whole.jsonl")}]
        for line in pool.map(partial(_whole, out), missing):
            append_line(out / "whole.jsonl", line)
        seconds = {line["case"]: line["seconds"] for line in _lines(out / "whole.jsonl")}
        done = {line["run"] for line in _lines(out / "runs.jsonl")}
        turns = [case for case in every for _ in range(case.share)]
        planned = {number: turns[number % len(turns)] for number in range(options.runs) if number not in done}
        futures = [
            pool.submit(_killed, out, case, number, f"{options.seed}/{number}", seconds[case.name])
            for number, case in planned.items()
        ]
        for future in as_completed(futures):
            line = future.result()
            append_line(out / "runs.jsonl", line)
            print(f"run {line['run']}, {line['case']}: {line['kills']} kills, {line['said']}", flush=True)
    lines = sorted(_lines(out / "runs.jsonl"), key=lambda line: line["run"])
    write_report(out, [case.name for case in every], lines)
    print((out / "kills.md").read_text())
    return 0 if all(line["identical"] for line in lines) else 1


def _whole(out: Path, case: Case) -> dict[str, Any]:
    """Runs a case that nobody kills."""
    folder, start = _folder(out / "whole", case.name), time.perf_counter()
    status = ended(case.command, [*case.words, f"hydra.run.dir={folder}"], folder.with_suffix(".log"))
    if status:
        sys.exit(f"{case.name} failed: see {folder.with_suffix('.log')}")
    return {"case": case.name, "seconds": time.perf_counter() - start}


def _killed(out: Path, case: Case, number: int, seed: str, seconds: float) -> dict[str, Any]:
    """Runs a case that takes so many seconds, kills it one to MOST times, and compares."""
    draw, start = random.Random(seed), time.perf_counter()
    folder, kills = _folder(out / "killed", str(number)), 0
    log = folder.with_suffix(".log")
    words = [*case.words, f"hydra.run.dir={folder}", "resume=true"]
    wanted, status = draw.randint(1, MOST), -1
    while status < 0 or kills == 0:
        kill = Kill(draw.uniform(0, seconds), everyone=draw.random() < 0.5) if kills < wanted else None
        status = ended(case.command, words, log, kill)
        kills += status < 0
        if status >= 0 and kills == 0:  # it was faster than the moment: again
            shutil.rmtree(folder)
    found = differences(folder, out / "whole" / _name(case.name)) if status == 0 else []
    identical = status == 0 and not found
    if identical:
        shutil.rmtree(folder)
    said = "identical" if identical else f"status {status}" if status else f"differs in {found[0].place}"
    return {
        "run": number,
        "case": case.name,
        "kills": kills,
        "identical": identical,
        "worst": max((difference.size for difference in found), default=0.0),
        "said": said,
        "seconds": time.perf_counter() - start,
    }


def _folder(parent: Path, name: str) -> Path:
    """A place for a run, without what an interrupted experiment left of it."""
    folder = parent / _name(name)
    parent.mkdir(exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_suffix(".log").unlink(missing_ok=True)
    return folder


def _name(case: str) -> str:
    return case.replace(",", "").replace(" ", "_")


def _chosen(every: Sequence[Case], names: Sequence[str]) -> Sequence[Case]:
    if unknown := {*names} - {case.name for case in every}:
        sys.exit(f"error: --cases has no {unknown.pop()!r}; it has {', '.join(repr(case.name) for case in every)}")
    return [case for case in every if case.name in names or not names]


def _lines(path: Path) -> Sequence[dict[str, Any]]:
    return read_lines(path) if path.exists() else []


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.faults.kill", description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="killed runs, over all cases")
    parser.add_argument("--seed", type=int, default=0, help="of the moments; a folder holds the runs of one seed")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/faults"), help="runs and tables; what is there is not redone"
    )
    parser.add_argument("--cases", nargs="+", default=[], help="their names in the table; left out, all")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
