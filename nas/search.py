"""python -m nas.search +space=NAME: searches an architecture."""

import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from nas.architecture import EpochRecord, Genotype
from nas.cli.budgets import beside_counts, budget_of, require_counted, spent_in_words
from nas.cli.command import run
from nas.cli.devices import device_of
from nas.cli.launch import led, on_devices, one_job
from nas.cli.mistakes import checked
from nas.cli.parts import feed_of, recipe_of, require_use, skeleton_of
from nas.cli.progress import last_good_state_named, progress, shown
from nas.cli.settings import Search
from nas.costs import count
from nas.data import DataSource
from nas.optimization import Budget, CompilationError, RecordingError, SearchMethod, SearchProcess
from nas.parallel import Ranks, Seat, joined
from nas.space import SearchSpace, Skeleton
from nas.tracking import COSTS, Summary, device_words, write_summary
from nas.tracking.tensorboard import Setting


@dataclass(frozen=True)
class Job:
    """All that a search needs to know, as plain data: it travels as text to the processes that share the search."""

    settings: Search
    folder: Path
    overrides: tuple[str, ...]
    choices: dict[str, str]
    started: float

    def to_text(self) -> str:
        """YAML, which keeps every value that a config can hold."""
        plain = {**vars(self), "settings": self.settings.model_dump(), "folder": str(self.folder)}
        return yaml.safe_dump({**plain, "overrides": list(self.overrides)})

    @classmethod
    def from_text(cls, text: str) -> "Job":
        """What `to_text` wrote, checked again."""
        plain = yaml.safe_load(text)
        changed = {"settings": checked("search", plain["settings"]), "folder": Path(plain["folder"])}
        return cls(**{**plain, **changed, "overrides": tuple(plain["overrides"])})


@dataclass(frozen=True)
class Parts:
    """What a search is made of."""

    space: SearchSpace
    skeleton: Skeleton
    process: SearchProcess
    budget: Budget | None
    device: torch.device
    steps: int

    def costs(self, genotype: Genotype) -> dict[str, int]:
        """What the network of a genotype costs, counted: each of COSTS."""
        with torch.device("meta"):
            network = self.space.network(genotype, self.skeleton)
        counted = asdict(count(network, self.skeleton.image_shape))
        return {name: counted[name] for name in COSTS}


def search(config: DictConfig) -> None:
    """One search in the run directory that Hydra made: trains, writes every epoch down, derives, sums up."""
    hydra = HydraConfig.get()
    job = Job(
        settings=checked("search", OmegaConf.to_container(config, resolve=True)),
        folder=Path(hydra.runtime.output_dir),
        overrides=tuple(hydra.overrides.task),
        choices={part: str(hydra.runtime.choices[part]) for part in ("space", "method", "data")},
        started=time.time(),
    )
    print(on_devices(work, job.to_text(), job.settings.trainer.devices))


def work(text: str, seat: Seat) -> str:
    """What one of the processes does that share a search: rank 0 alone writes, and returns what is to be printed."""
    job = Job.from_text(text)
    device = device_of(job.settings.device, job.settings.threads, rank=seat.rank, size=seat.size)
    with joined(seat, device=device) as ranks, last_good_state_named(job.folder):
        parts = _parts(job, device, ranks)
        if ranks.rank == 0:
            return _written(job, parts)
        for _ in parts.process.epochs(lambda: None):
            pass
        return ""


def _written(job: Job, parts: Parts) -> str:
    from nas.cli.search_log import SearchLog  # here, so that --help, errors and other ranks need no matplotlib

    title = f"{parts.space.name} {job.settings.method['name']}"
    with SearchLog(job.folder, parts.space, parts.skeleton, parts.costs) as log:
        if job.settings.cuda_graphs:
            _record_steps(parts.process)
        ahead = _compiled(parts.process) if job.settings.compile else {}
        with progress(title, parts.steps) as (step, show):
            for record in parts.process.epochs(step):
                log.epoch(record, parts.process)
                show(f"epoch {record.epoch} valid accuracy {record.valid_accuracy:.3f}")
        summary = _summary(job, parts, record, ahead)
        log.finish(record, _hparams(job), summary.metrics)
    write_summary(job.folder, summary)
    return _result(summary, job.folder, parts.budget, record.budget)


def _parts(job: Job, device: torch.device, ranks: Ranks) -> Parts:
    settings = job.settings
    recipe = recipe_of(settings.trainer)
    if settings.cuda_graphs and device.type != "cuda":
        raise ValueError(f"cuda_graphs=true needs a GPU, and this search runs on {device}: leave it out")
    space: SearchSpace = instantiate(settings.space)
    require_use(space, job.overrides)
    method: SearchMethod = instantiate(settings.method)
    source: DataSource = instantiate(settings.data)
    halves = source.split(source.train())
    skeleton = skeleton_of(settings.network, halves[0])
    limit = settings.trainer.max_steps
    train, valid = (
        feed_of(half, recipe, seed=2 * settings.seed + index, device=device, max_steps=limit, ranks=ranks)
        for index, half in enumerate(halves)
    )
    budget = budget_of(settings.budget, space, skeleton, device, ranks)
    torch.manual_seed(settings.seed)
    process = method.start(space, skeleton, train, valid, recipe, device, ranks, budget)
    return Parts(space, skeleton, process, budget, device, recipe.epochs * train.steps)


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


def _summary(job: Job, parts: Parts, record: EpochRecord, ahead: Mapping[str, float]) -> Summary:
    costs = parts.costs(record.genotype)
    if parts.budget is not None:
        require_counted(parts.budget, parts.space, record.genotype, costs)
    return Summary(
        command="search",
        space=parts.space.name,
        method=job.settings.method["name"],
        setting=job.overrides,
        seed=job.settings.seed,
        genotype=record.genotype,
        params=costs["params"],
        macs=costs["macs"],
        metrics={
            **_metrics(parts.process, record),
            "bops": costs["bops"],
            "memory_bytes": costs["memory_bytes"],
            **beside_counts(record.budget, costs),
            **ahead,
        },
        epochs=record.epoch + 1,
        device=device_words(parts.device, job.settings.trainer.devices),
        wall_seconds=time.time() - job.started,
    )


def _metrics(process: SearchProcess, record: EpochRecord) -> dict[str, float]:
    """Those of the last epoch; or, of networks trained one by one, those of the one whose genotype is kept."""
    kept = [candidate for candidate in process.finished() if candidate.genotype == record.genotype]
    measured = max(kept, key=lambda candidate: candidate.valid_accuracy) if kept else record
    return {
        "train_loss": measured.train_loss,
        "train_accuracy": measured.train_accuracy,
        "valid_loss": measured.valid_loss,
        "valid_accuracy": measured.valid_accuracy,
    }


def _hparams(job: Job) -> dict[str, Setting]:
    """What tells this search from others: the parts by name, the seed, and the single values of network and trainer."""
    settings = job.settings
    sizes = {"network": settings.network.model_dump(), "trainer": settings.trainer.model_dump()}
    if settings.budget.asked() is not None:
        sizes["budget"] = settings.budget.model_dump()
    return {**job.choices, "seed": settings.seed, **_flat(sizes)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Setting]:
    """The single values of a nested mapping by their dotted keys, without those that name classes."""
    flat: dict[str, Setting] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, Setting) and not key.startswith("_"):
            flat[f"{prefix}{key}"] = value
    return flat


def _result(summary: Summary, folder: Path, budget: Budget | None, standing: Mapping[str, float]) -> str:
    place = shown(folder)
    typed = shlex.quote(str(place))
    return "\n".join(
        [
            f"searched {summary.space} by {summary.method}, seed {summary.seed}: {summary.epochs} epochs "
            f"in {summary.wall_seconds:.0f} s on {summary.device}",
            f"validation accuracy while searching {summary.metrics['valid_accuracy']:.2%}; the derived network has "
            f"{summary.params:,} parameters and {summary.macs:,} MACs",
            *([] if budget is None else [spent_in_words(budget, standing[budget.cost.name])]),
            f"genotype: {place}/genotype.json, its picture {place}/genotype.png, curves: tensorboard --logdir {typed}",
            f"next: python -m nas.retrain genotype={typed}",
        ]
    )


def main() -> int:
    """The command; returns its exit status."""
    return led(lambda: run("search", search, sys.argv[1:], further=one_job), work)


if __name__ == "__main__":
    sys.exit(main())
