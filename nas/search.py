"""python -m nas.search +space=NAME: searches an architecture."""

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
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
from nas.cli.last_state import last_good_state_named
from nas.cli.launch import led, on_devices, one_job
from nas.cli.memory import fitting_batch_named, memory_for_the_start
from nas.cli.mistakes import checked
from nas.cli.parts import feed_of, recipe_of, require_use, skeleton_of
from nas.cli.processes import begin
from nas.cli.progress import progress, shown
from nas.cli.resuming import Keeper, left_by, take_up
from nas.cli.rollback import epochs_of
from nas.cli.sameness import deciding, flat
from nas.cli.settings import Search
from nas.cli.signals import Stopped, StopSignals
from nas.cli.states import require_genotypes
from nas.costs import count
from nas.data import DataSource
from nas.optimization import Budget, CompilationError, RecordingError, SearchMethod, SearchProcess
from nas.parallel import Ranks, Seat, joined
from nas.space import SearchSpace, Skeleton
from nas.tracking import COSTS, Summary, device_words, load_checkpoint, write_summary
from nas.tracking.tensorboard import Setting


@dataclass(frozen=True)
class Job:
    """All that a search needs to know, as plain data: it travels as text to the processes that share the search."""

    settings: Search
    folder: Path
    overrides: tuple[str, ...]
    choices: dict[str, str]
    started: float
    checkpoint: str | None = None

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
    ranks: Ranks
    steps_per_epoch: int

    def costs(self, genotype: Genotype) -> dict[str, int]:
        """What the network of a genotype costs, counted: each of COSTS."""
        with torch.device("meta"):
            network = self.space.network(genotype, self.skeleton)
        counted = asdict(count(network, self.skeleton.image_shape))
        return {name: counted[name] for name in COSTS}


def search(config: DictConfig) -> None:
    """One search in the run directory that Hydra made: trains, writes every epoch down, derives, sums up."""
    hydra, settings = HydraConfig.get(), checked("search", OmegaConf.to_container(config, resolve=True))
    folder = Path(hydra.runtime.output_dir)
    left = left_by("search", folder, settings) if settings.resume else None
    if left is not None and left.finished(settings.trainer.epochs):
        print(f"{shown(folder)} is finished: {len(left.records)} epochs, genotype: {shown(folder)}/genotype.json")
        return
    job = Job(
        settings=settings,
        folder=folder,
        overrides=deciding(hydra.overrides.task),
        choices={part: str(hydra.runtime.choices[part]) for part in ("space", "method", "data")},
        started=time.time(),
        checkpoint=None if left is None else str(left.place),
    )
    trainer = settings.trainer
    print(on_devices(work, job.to_text(), trainer.devices, stop_signals=trainer.stop_signals))


def work(text: str, seat: Seat) -> str:
    """What one of the processes does that share a search: rank 0 alone writes, and returns what is to be printed."""
    job = Job.from_text(text)
    device = device_of(job.settings.device, job.settings.threads, rank=seat.rank, size=seat.size)
    trainer = job.settings.trainer
    signals = StopSignals(trainer.stop_signals, alone=seat.size == 1)
    with signals, joined(seat, device=device, together=Stopped) as ranks, last_good_state_named(job.folder):
        with memory_for_the_start():
            parts = _parts(job, device, ranks)
            left = _taken_up(job, parts)
        begin(seat, ranks, signals)
        with fitting_batch_named(trainer.batch_size, trainer.devices, parts.process.try_step):
            return _searched(job, parts, signals, left)


def _taken_up(job: Job, parts: Parts) -> dict[str, Any] | None:
    """The state that the search goes on from, if there is one."""
    if job.checkpoint is None:
        return None
    left = load_checkpoint(job.checkpoint)
    take_up(parts.process, left, Path(job.checkpoint))
    require_genotypes(parts.space, left["records"], Path(job.checkpoint))
    return left


def _searched(job: Job, parts: Parts, signals: StopSignals, left: Mapping[str, Any] | None) -> str:
    if parts.ranks.rank == 0:
        return _written(job, parts, signals, left)
    keeper = _keeper(job, parts, signals, left, parts.process.state_dict)

    def on_step() -> None:
        keeper.after_step(parts.process.position[1])

    for _ in epochs_of(parts.process, keeper, on_step, job.settings.trainer.on_nan):
        keeper.after_epoch()
    return ""


def _keeper(
    job: Job,
    parts: Parts,
    signals: StopSignals,
    left: Mapping[str, Any] | None,
    state: Callable[[], dict[str, Any]],
) -> Keeper:
    every, epoch = job.settings.trainer.checkpoint_steps, parts.process.position[0]
    rollbacks = 0 if left is None else left["rollbacks"]
    return Keeper(job.folder, every, state, epoch=epoch, signals=signals, ranks=parts.ranks, rollbacks=rollbacks)


def _written(job: Job, parts: Parts, signals: StopSignals, left: Mapping[str, Any] | None) -> str:
    from nas.cli.search_log import SearchLog  # here, so that --help, errors and other ranks need no matplotlib

    process, before = parts.process, 0.0 if left is None else left["seconds"]
    lines = None if not job.settings.resume else [] if left is None else left["records"]
    with SearchLog(job.folder, parts.space, parts.costs, lines) as log:
        log.candidates(process)
        if job.settings.cuda_graphs:
            _record_steps(process)
        ahead = _compiled(process) if job.settings.compile else {}

        def state() -> dict[str, Any]:
            return {
                "command": "search",
                "settings": job.settings.model_dump(),
                "skeleton": asdict(parts.skeleton),
                "records": list(log.lines),
                "seconds": before + time.time() - job.started,
                "position": list(process.position),
                **process.state_dict(),
            }

        keeper = _keeper(job, parts, signals, left, state)
        with signals.deferred():
            for record in _followed(job, parts, keeper):
                log.epoch(record, process)
                keeper.after_epoch()
        signals.where = "after the last epoch"
        record = EpochRecord.from_dict(json.loads(log.lines[-1]))
        summary = _summary(job, parts, record, ahead, before)
        log.finish(record, _hparams(job), summary.metrics)
    write_summary(job.folder, summary)
    return _result(summary, job.folder, parts.budget, record.budget)


def _followed(job: Job, parts: Parts, keeper: Keeper) -> Iterator[EpochRecord]:
    """The epochs to come, with their progress shown and their steps kept."""
    trainer, process = job.settings.trainer, parts.process

    def done() -> int:
        epoch, step = process.position
        return epoch * parts.steps_per_epoch + step

    title = f"{parts.space.name} {job.settings.method['name']}"
    with progress(title, trainer.epochs * parts.steps_per_epoch, done()) as (reach, show):

        def on_step() -> None:
            reach(done())
            keeper.after_step(process.position[1])

        for record in epochs_of(process, keeper, on_step, trainer.on_nan):
            yield record
            show(f"epoch {record.epoch} valid accuracy {record.valid_accuracy:.3f}")


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
    return Parts(space, skeleton, process, budget, device, ranks, train.steps)


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


def _summary(job: Job, parts: Parts, record: EpochRecord, ahead: Mapping[str, float], before: float) -> Summary:
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
        wall_seconds=before + time.time() - job.started,
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
    single = {
        key: value
        for key, value in flat(sizes).items()
        if isinstance(value, Setting) and not key.rpartition(".")[2].startswith("_")
    }
    return {**job.choices, "seed": settings.seed, **single}


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
