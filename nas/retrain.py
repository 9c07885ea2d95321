"""python -m nas.retrain genotype=G: trains a derived network, from scratch or from inherited weights, and tests it."""

import shlex
import sys
import time
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

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
from nas.cli.mistakes import checked
from nas.cli.parts import feed_of, recipe_of, require_use, skeleton_of, space_of
from nas.cli.progress import last_good_state_named, progress, shown
from nas.cli.regularization import require_regularizable
from nas.cli.settings import Retrain
from nas.costs import count
from nas.data import DataSource
from nas.optimization import DiscreteLoss, Feed, Recipe, TrainingRecord, evaluate, train
from nas.space import DiscreteNetwork, SearchSpace, Skeleton
from nas.supernet import calibrate
from nas.tracking import (
    Summary,
    TensorBoard,
    append_line,
    device_words,
    save_checkpoint,
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
    network: DiscreteNetwork
    source: DataSource
    feed: Feed
    recipe: Recipe
    loss: DiscreteLoss
    device: torch.device


def retrain(config: DictConfig) -> None:
    """One training in the run directory that Hydra made; the test set is read once, at its end."""
    start = time.perf_counter()
    settings: Retrain = checked("retrain", OmegaConf.to_container(config, resolve=True))
    folder = Path(HydraConfig.get().runtime.output_dir)
    parts = _parts(settings)
    write_atomically(folder / "genotype.json", parts.genotype.to_json())
    with TensorBoard(folder) as board:
        record = _train(settings, parts, folder, board)
        test_loss, test_accuracy = _test(settings, parts)
        board.scalars({"loss/test": test_loss, "accuracy/test": test_accuracy}, record.epoch)
    metrics = {
        "train_loss": record.train_loss,
        "train_accuracy": record.train_accuracy,
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
    }
    summary = _summary(settings, parts, metrics, time.perf_counter() - start)
    write_summary(folder, summary)
    print(_result(summary, folder))


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
    return Parts(genotype, found_by, space, skeleton, network, source, feed, recipe, loss, device)


def _train(settings: Retrain, parts: Parts, folder: Path, board: TensorBoard) -> TrainingRecord:
    optimizer = parts.recipe.optimizer(parts.network.parameters())
    steps, drop_path = parts.recipe.epochs * parts.feed.steps, settings.trainer.drop_path
    with progress(f"retrain {settings.genotype}", steps) as (step, show), last_good_state_named(folder):
        for record in train(
            parts.network, parts.feed, parts.recipe, optimizer, parts.loss, drop_path=drop_path, on_step=step
        ):
            append_line(folder / "train.jsonl", record.to_dict())
            board.scalars({"loss/train": record.train_loss, "accuracy/train": record.train_accuracy}, record.epoch)
            state = {
                "epoch": record.epoch,
                "genotype": parts.genotype.to_dict(),
                "skeleton": asdict(parts.skeleton),
                "weights": parts.network.state_dict(),
                "weight_optimizer": optimizer.state_dict(),
            }
            save_checkpoint(folder / "checkpoint.pt", state)
            show(f"epoch {record.epoch} training accuracy {record.train_accuracy:.3f}")
    return record


def _test(settings: Retrain, parts: Parts) -> tuple[float, float]:
    batches = parts.source.test().batches(batch_size=parts.recipe.batch_size, device=parts.device)
    limited = islice(batches, settings.trainer.max_steps)
    return evaluate(parts.network.eval(), limited, parts.loss.criterion, autocast=parts.recipe.autocast)


def _summary(settings: Retrain, parts: Parts, metrics: dict[str, float], seconds: float) -> Summary:
    cost = count(parts.network, parts.skeleton.image_shape)
    found = parts.found_by
    words = normalised(HydraConfig.get().overrides.task)
    own = [word for word in words if not (found and word.startswith("genotype="))]
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
        epochs=parts.recipe.epochs,
        device=device_words(parts.device),
        wall_seconds=seconds,
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
