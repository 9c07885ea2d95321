"""python -m nas.search +space=NAME: searches an architecture."""

import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from nas.architecture import EpochRecord
from nas.cli.command import run
from nas.cli.mistakes import checked
from nas.cli.parts import device_of, feed_of, recipe_of, skeleton_of
from nas.cli.progress import last_good_state_named, progress, shown
from nas.cli.search_log import SearchLog
from nas.cli.settings import Search
from nas.costs import Cost, count
from nas.data import DataSource
from nas.optimization import CompilationError, RecordingError, SearchMethod, SearchProcess
from nas.space import SearchSpace, Skeleton
from nas.tracking import Summary, device_words, write_summary
from nas.tracking.tensorboard import Setting


@dataclass(frozen=True)
class Parts:
    """What a search is made of."""

    space: SearchSpace
    skeleton: Skeleton
    process: SearchProcess
    image_shape: tuple[int, int, int]
    device: torch.device
    steps: int


def search(config: DictConfig) -> None:
    """One search in the run directory that Hydra made: trains, writes every epoch down, derives, sums up."""
    start = time.perf_counter()
    settings: Search = checked("search", OmegaConf.to_container(config, resolve=True))
    folder = Path(HydraConfig.get().runtime.output_dir)
    parts = _parts(settings)
    title = f"{parts.space.name} {settings.method['name']}"
    with SearchLog(folder, parts.space) as log:
        if settings.cuda_graphs:
            _record_steps(parts.process)
        ahead = _compiled(parts.process) if settings.compile else {}
        with progress(title, parts.steps) as (step, show), last_good_state_named(folder):
            for record in parts.process.epochs(step):
                log.epoch(record, parts.process)
                show(f"epoch {record.epoch} valid accuracy {record.valid_accuracy:.3f}")
        summary = _summary(settings, parts, record, ahead, time.perf_counter() - start)
        log.finish(record, _hparams(settings), summary.metrics)
    write_summary(folder, summary)
    print(_result(summary, folder))


def _parts(settings: Search) -> Parts:
    device, recipe = device_of(settings.device, settings.threads), recipe_of(settings.trainer)
    if settings.cuda_graphs and device.type != "cuda":
        raise ValueError(f"cuda_graphs=true needs a GPU, and this search runs on {device}: leave it out")
    space: SearchSpace = instantiate(settings.space)
    method: SearchMethod = instantiate(settings.method)
    source: DataSource = instantiate(settings.data)
    halves = source.split(source.train())
    skeleton = skeleton_of(settings.network, halves[0])
    train, valid = (
        feed_of(half, recipe, seed=2 * settings.seed + index, device=device, max_steps=settings.trainer.max_steps)
        for index, half in enumerate(halves)
    )
    torch.manual_seed(settings.seed)
    process = method.start(space, skeleton, train, valid, recipe, device)
    return Parts(space, skeleton, process, halves[0].shape, device, recipe.epochs * train.steps)


def _record_steps(process: SearchProcess) -> None:
    try:
        process.record_steps()
    except RecordingError as error:
        print(f"warning: the search runs without CUDA graphs: {error}", file=sys.stderr)


def _compiled(process: SearchProcess) -> dict[str, float]:
    """The seconds that compiling took, as a metric; none where it failed and the search runs as it is."""
    try:
        seconds = process.compile()
    except CompilationError as error:
        print(f"warning: compile=true failed, so the search runs without it: {error}", file=sys.stderr)
        return {}
    print(f"compiled the supernet in {seconds:.0f} s", flush=True)
    return {"compile_seconds": seconds}


def _summary(
    settings: Search, parts: Parts, record: EpochRecord, ahead: Mapping[str, float], seconds: float
) -> Summary:
    cost = _cost(parts, record)
    return Summary(
        command="search",
        space=parts.space.name,
        method=settings.method["name"],
        setting=tuple(HydraConfig.get().overrides.task),
        seed=settings.seed,
        genotype=record.genotype,
        params=cost.params,
        macs=cost.macs,
        metrics={
            "train_loss": record.train_loss,
            "train_accuracy": record.train_accuracy,
            "valid_loss": record.valid_loss,
            "valid_accuracy": record.valid_accuracy,
            **ahead,
        },
        epochs=record.epoch + 1,
        device=device_words(parts.device),
        wall_seconds=seconds,
    )


def _cost(parts: Parts, record: EpochRecord) -> Cost:
    with torch.device("meta"):
        network = parts.space.network(record.genotype, parts.skeleton)
    return count(network, parts.image_shape)


def _hparams(settings: Search) -> dict[str, Setting]:
    """What tells this search from others: the parts by name, the seed, and the single values of network and trainer."""
    parts = {part: str(HydraConfig.get().runtime.choices[part]) for part in ("space", "method", "data")}
    sizes = {"network": settings.network.model_dump(), "trainer": settings.trainer.model_dump()}
    return {**parts, "seed": settings.seed, **_flat(sizes)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Setting]:
    """The single values of a nested mapping by their dotted keys, without those that name classes."""
    flat: dict[str, Setting] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, Setting) and not key.startswith("_"):
            flat[f"{prefix}{key}"] = value
    return flat


def _result(summary: Summary, folder: Path) -> str:
    place = shown(folder)
    typed = shlex.quote(str(place))
    return "\n".join(
        [
            f"searched {summary.space} by {summary.method}, seed {summary.seed}: {summary.epochs} epochs "
            f"in {summary.wall_seconds:.0f} s on {summary.device}",
            f"validation accuracy while searching {summary.metrics['valid_accuracy']:.2%}; the derived network has "
            f"{summary.params:,} parameters and {summary.macs:,} MACs",
            f"genotype: {place}/genotype.json, its picture {place}/genotype.png, curves: tensorboard --logdir {typed}",
            f"next: python -m nas.retrain genotype={typed}",
        ]
    )


def main() -> int:
    """The command; returns its exit status."""
    return run("search", search, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
