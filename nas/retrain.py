"""python -m nas.retrain genotype=G: trains a derived network, from scratch or from inherited weights, and tests it."""

import json
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from nas.architecture import Genotype
from nas.cli.command import run
from nas.cli.devices import device_of
from nas.cli.following import check_following, search_summary, taken_over
from nas.cli.inheritance import inherited_network
from nas.cli.last_state import last_good_state_named
from nas.cli.memory import fitting_batch_named, memory_for_the_start
from nas.cli.mistakes import checked
from nas.cli.parts import feed_of, recipe_of, require_use, skeleton_of, space_of
from nas.cli.progress import progress, shown
from nas.cli.regularization import require_regularizable
from nas.cli.resuming import Keeper, Left, left_by, take_up
from nas.cli.rollback import epochs_of
from nas.cli.sameness import deciding, deciding_values
from nas.cli.settings import Retrain
from nas.cli.signals import StopSignals
from nas.costs import count
from nas.data import DataSource
from nas.optimization import DiscreteLoss, Training, TrainingRecord, evaluate
from nas.space import SearchSpace, Skeleton
from nas.supernet import calibrate
from nas.tracking import (
    Summary,
    TensorBoard,
    append_line,
    device_words,
    json_line,
    write_atomically,
    write_summary,
)
from nas.tracking.summary import normalised
from search_spaces.genotypes import read_genotype


@dataclass(frozen=True)
class Parts:
    """What a retraining is made of."""

    genotype: Genotype
    found_by: Summary | None
    space: SearchSpace
    skeleton: Skeleton
    training: Training
    source: DataSource


def retrain(config: DictConfig) -> None:
    """One training in the run directory that Hydra made; the test set is read once, at its end."""
    start = time.perf_counter()
    settings: Retrain = checked("retrain", OmegaConf.to_container(config, resolve=True))
    folder = Path(HydraConfig.get().runtime.output_dir)
    left = left_by("retrain", folder, settings) if settings.resume else None
    if left is not None and left.finished(settings.trainer.epochs):
        print(f"{shown(folder)} is finished: {len(left.records)} epochs, numbers: {shown(folder)}/summary.json")
        return
    with StopSignals(settings.trainer.stop_signals) as signals, last_good_state_named(folder):
        print(_retrained(settings, folder, signals, left, start))


def _retrained(settings: Retrain, folder: Path, signals: StopSignals, left: Left | None, start: float) -> str:
    with memory_for_the_start():
        parts = _parts(settings)
        if left is not None:
            take_up(parts.training, left.state, left.place)
    lines, before = ([], 0.0) if left is None else (left.records, left.state["seconds"])
    if settings.resume:
        (folder / "summary.json").unlink(missing_ok=True)
        write_atomically(folder / "train.jsonl", "".join(lines))
    write_atomically(folder / "genotype.json", parts.genotype.to_json())
    with TensorBoard(folder, first_epoch=len(lines) if settings.resume else None) as board:
        keeper = _keeper(settings, parts, folder, signals, lines, left, lambda: before + time.perf_counter() - start)
        fitting = fitting_batch_named(settings.trainer.batch_size, 1, parts.training.try_step)
        with signals.deferred(), fitting:
            _train(settings, parts, keeper, board, lines)
        signals.where = "after the last epoch"
        record = TrainingRecord(**json.loads(lines[-1]))
        test_loss, test_accuracy = _test(settings, parts)
        board.scalars({"loss/test": test_loss, "accuracy/test": test_accuracy}, record.epoch + 1)
    metrics = {
        "train_loss": record.train_loss,
        "train_accuracy": record.train_accuracy,
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
    }
    summary = _summary(settings, parts, metrics, before + time.perf_counter() - start)
    write_summary(folder, summary)
    return _result(summary, folder)


def _parts(settings: Retrain) -> Parts:
    check_following(settings.genotype)
    device, recipe = device_of(settings.device, settings.threads), recipe_of(settings.trainer)
    genotype, found_by = read_genotype(settings.genotype), search_summary(settings.genotype)
    space = space_of(genotype, settings.space)
    require_use(space, HydraConfig.get().overrides.task)
    source: DataSource = instantiate(settings.data)
    samples = source.train()
    skeleton = skeleton_of(settings.network, samples, auxiliary=settings.network.auxiliary)
    feed = feed_of(samples, recipe, seed=settings.seed, device=device, max_steps=settings.trainer.max_steps)
    torch.manual_seed(settings.seed)
    if settings.init == "inherit":
        network = inherited_network(settings.genotype, space, genotype, skeleton).to(device)
    else:
        network = space.network(genotype, skeleton).to(device)
        calibrate(network, lambda: network(feed.first_images()))
    require_regularizable(network, feed, settings.trainer, HydraConfig.get().overrides.task)
    criterion = nn.CrossEntropyLoss(label_smoothing=settings.trainer.label_smoothing)
    loss = DiscreteLoss(criterion, settings.trainer.auxiliary_weight)
    training = Training(network, feed, recipe, loss, device, drop_path=settings.trainer.drop_path)
    return Parts(genotype, found_by, space, skeleton, training, source)


def _keeper(
    settings: Retrain,
    parts: Parts,
    folder: Path,
    signals: StopSignals,
    lines: list[str],
    left: Left | None,
    seconds: Callable[[], float],
) -> Keeper:
    def state() -> dict[str, Any]:
        return {
            "command": "retrain",
            "settings": settings.model_dump(),
            "genotype": parts.genotype.to_dict(),
            "skeleton": asdict(parts.skeleton),
            "records": list(lines),
            "seconds": seconds(),
            "position": [place.epoch, place.step],
            **parts.training.state_dict(),
        }

    place, rollbacks = parts.training.progress, 0 if left is None else left.state["rollbacks"]
    every = settings.trainer.checkpoint_steps
    return Keeper(folder, every, state, epoch=place.epoch, signals=signals, rollbacks=rollbacks)


def _train(settings: Retrain, parts: Parts, keeper: Keeper, board: TensorBoard, lines: list[str]) -> None:
    """Trains to the end, and adds the lines of the epochs to come to `lines`."""
    training = parts.training
    place, steps = training.progress, training.feed.steps
    title, done = f"retrain {settings.genotype}", place.epoch * steps + place.step
    with progress(title, training.recipe.epochs * steps, done) as (reach, show):

        def on_step() -> None:
            reach(place.epoch * steps + place.step)
            keeper.after_step(place.step)

        for record in epochs_of(training, keeper, on_step, settings.trainer.on_nan):
            append_line(keeper.folder / "train.jsonl", record.to_dict())
            lines.append(json_line(record.to_dict()))
            board.scalars({"loss/train": record.train_loss, "accuracy/train": record.train_accuracy}, record.epoch)
            board.flush()
            keeper.after_epoch()
            show(f"epoch {record.epoch} training accuracy {record.train_accuracy:.3f}")


def _test(settings: Retrain, parts: Parts) -> tuple[float, float]:
    training = parts.training
    batches = parts.source.test().batches(batch_size=training.recipe.batch_size, device=training.device)
    limited = islice(batches, settings.trainer.max_steps)
    return evaluate(training.network.eval(), limited, training.loss.criterion, autocast=training.recipe.autocast)


def _summary(settings: Retrain, parts: Parts, metrics: dict[str, float], seconds: float) -> Summary:
    cost = count(parts.training.network, parts.skeleton.image_shape)
    found = parts.found_by
    words = normalised(deciding(HydraConfig.get().overrides.task))
    own = [word for word in words if not (found and word.startswith("genotype="))]
    config = deciding_values(settings.model_dump(), words, {"data": str(HydraConfig.get().runtime.choices["data"])})
    if found:
        del config["genotype"]  # of another folder for each seed
        config |= {f"search.{key}": value for key, value in (found.config or {"setting": found.setting}).items()}
    return Summary(
        command="retrain",
        space=parts.space.name,
        method=found.method if found else "published",
        setting=tuple({*own, *(found.setting if found else ())}),
        seed=settings.seed,
        genotype=parts.genotype,
        params=cost.params,
        macs=cost.macs,
        metrics={**metrics, "bops": cost.bops, "memory_bytes": cost.memory_bytes},
        epochs=settings.trainer.epochs,
        device=device_words(parts.training.device),
        wall_seconds=seconds,
        config=config,
    )


def _result(summary: Summary, folder: Path) -> str:
    place = shown(folder)
    return "\n".join(
        [
            f"retrained, seed {summary.seed}: {summary.epochs} epochs in {summary.wall_seconds:.0f} s "
            f"on {summary.device}",
            f"test accuracy {summary.metrics['test_accuracy']:.2%} with {summary.params:,} parameters "
            f"and {summary.macs:,} MACs",
            f"network: {place}/checkpoint.pt, numbers: {place}/summary.json",
            f"next: python -m nas.report {shlex.quote(str(place.parent))}",
        ]
    )


def main() -> int:
    """The command; returns its exit status."""
    return run("retrain", retrain, sys.argv[1:], further=taken_over)


if __name__ == "__main__":
    sys.exit(main())
