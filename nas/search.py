"""python -m nas.search +space=NAME: searches an architecture."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from nas.architecture import EpochRecord
from nas.cli.command import run
from nas.cli.devices import device_of
from nas.cli.last_state import last_good_state_named
from nas.cli.launch import led, on_devices, one_job
from nas.cli.memory import fitting_batch_named, memory_for_the_start
from nas.cli.mistakes import checked
from nas.cli.processes import begin
from nas.cli.progress import progress, shown
from nas.cli.resuming import Keeper, left_by, take_up
from nas.cli.rollback import epochs_of
from nas.cli.sameness import deciding
from nas.cli.search_job import Job, Parts, parts_of
from nas.cli.search_result import hparams_of, in_words, summary_of
from nas.cli.signals import Stopped, StopSignals
from nas.cli.states import require_genotypes
from nas.optimization import CompilationError, RecordingError, SearchProcess
from nas.parallel import Seat, joined
from nas.tracking import load_checkpoint, write_summary


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
        config_folders=tuple(s.path for s in hydra.runtime.config_sources if s.provider == "command-line"),
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
            parts = parts_of(job, device, ranks)
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
        summary = summary_of(job, parts, record, ahead, before)
        log.finish(record, hparams_of(job), summary.metrics)
    write_summary(job.folder, summary)
    return in_words(summary, job, parts.budget, record.budget)


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


def main() -> int:
    """The command; returns its exit status."""
    return led(lambda: run("search", search, sys.argv[1:], further=one_job), work)


if __name__ == "__main__":
    sys.exit(main())
