"""The latencies that a budget goes by: a file, completed by what is measured on the device of the run."""

import os
import time
from functools import partial
from pathlib import Path

import torch

from nas.cli.settings import Budget
from nas.costs import Conditions, LatencyTable, LayerShape, Seconds, latency_table, timed
from nas.parallel import Ranks
from nas.reading import read_text
from nas.space import SearchSpace, Skeleton
from nas.tracking import write_atomically

LARGEST_TABLE = 16_000_000
"""Bytes: more than 100,000 layers."""


def measured(settings: Budget, space: SearchSpace, skeleton: Skeleton, device: torch.device, ranks: Ranks) -> Seconds:
    """The seconds of every layer that a genotype of the space may have, by the file `budget.latency_table`.

    Rank 0 measures what the file lacks, adds it, and tells the other ranks, so that all have the same cost model.

    Raises:
        ValueError: a file of another device unless `budget.latency_anywhere`, or one that is damaged or lacks a layer.
    """
    asked: dict[LayerShape, None] = {}

    def note(shape: LayerShape) -> float:
        asked[shape] = None
        return 0.0

    space.cost("latency", skeleton, note)
    table = ranks.of_first(lambda: _completed(settings, list(asked), device).to_json())
    return LatencyTable.from_json(table).seconds_of


def _completed(settings: Budget, shapes: list[LayerShape], device: torch.device) -> LatencyTable:
    """The table of the file with all these layers; where it grew, it is saved."""
    path, here = Path(settings.latency_table), Conditions.here(device, settings.latency_batch)
    start = time.perf_counter()
    try:
        known = read_latencies(path)
        _require_fitting(known, here, anywhere=settings.latency_anywhere)
        seconds = partial(timed, device=device, batch_size=settings.latency_batch)
        table = latency_table(shapes, here, seconds, known, anywhere=settings.latency_anywhere)
        if new := len(table.seconds) - len(known.seconds if known else ()):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, table.to_json())
            took = time.perf_counter() - start
            print(f"measured {new} layers in {took:.0f} s on {here.device}, kept in {path}", flush=True)
    except (ValueError, OSError) as error:
        raise ValueError(f"budget.latency_table={path}: {error}") from None
    return table


def read_latencies(path: Path) -> LatencyTable | None:
    """The latency table in a file, None where there is nothing; a ValueError for another file."""
    return LatencyTable.from_json(read_text(path, LARGEST_TABLE)) if os.path.lexists(path) else None


def _require_fitting(known: LatencyTable | None, here: Conditions, *, anywhere: bool) -> None:
    """A ValueError, in the words of the command line, unless the table is of here or to be taken as it is."""
    if known is None and anywhere:
        raise ValueError(
            "there is no such file, so budget.latency_anywhere=true has nothing to take as it is: leave that out to "
            "measure one here, or name the file of the other device"
        )
    if known is not None and known.conditions != here and not anywhere:
        raise ValueError(
            f"it is of {known.conditions}, but this is {here}: name another file, in which is kept what is measured "
            "here, or add budget.latency_anywhere=true to take it as it is"
        )
