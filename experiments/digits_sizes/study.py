"""What is run: searches, baselines of equal cost, and the retraining of what they found."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nas.architecture import Genotype
from nas.space import Skeleton
from search_spaces.networks import NetworkSpace

DIGITS = Skeleton(num_classes=10, in_channels=1, image_size=(8, 8))


@dataclass(frozen=True)
class Arm:
    """A space, the cost that is limited, and the homogeneous networks whose costs are the limits."""

    space: str
    cost: str
    limits: tuple[str, ...]


ARMS = (Arm("bit_width", "bops", ("3 bits", "4 bits")), Arm("channel_width", "macs", ("width 0.5",)))


METHODS = {
    "first_order": ("method=first_order",),
    "held_expected": ("method=first_order", "budget.loss.held=expected"),
    "annealed": ("method=first_order", "method.relaxation._target_=nas.relaxation.AnnealedSoftmax"),
    "random": ("method=random",),
}


@dataclass(frozen=True)
class Job:
    """Commands in their order; `folder` is where the last one leaves its run, `method` what the table calls it."""

    space: str
    method: str
    limit: str
    seed: int
    folder: Path
    commands: tuple[tuple[str, ...], ...]


def jobs(arm: Arm, space: NetworkSpace, root: Path, seeds: range, epochs: int, retrain_epochs: int) -> Iterator[Job]:
    """Every job of an arm: its homogeneous networks, and for each limit searches and random search."""
    model = space.cost(arm.cost, DIGITS)
    homogeneous = space.homogeneous()
    for seed in seeds:
        for name, genotype in homogeneous.items():
            folder = root / arm.space / "homogeneous" / name.replace(" ", "_") / str(seed)
            found = _written(genotype, root / "genotypes" / f"{arm.space}_{name.replace(' ', '_')}.json")
            command = _retrain(found, folder, retrain_epochs, seed, f"+space={arm.space}")
            yield Job(arm.space, f"homogeneous, {name}", name, seed, folder, (command,))
        for name in arm.limits:
            budget = f"budget.{arm.cost}={model.exact(homogeneous[name].decisions):.0f}"
            place = root / arm.space / f"at_{name.replace(' ', '_')}"
            for method, its_words in METHODS.items():
                searched, folder = place / method / f"search_{seed}", place / method / f"scratch_{seed}"
                words = (f"+space={arm.space}", *its_words, budget, "budget.hard=true")
                search = _command("search", *words, f"trainer.epochs={epochs}", f"seed={seed}", folder=searched)
                after = _retrain(searched, folder, retrain_epochs, seed)
                yield Job(arm.space, method, name, seed, folder, (search, after))
            searched, folder = place / "first_order" / f"search_{seed}", place / "first_order" / f"inherit_{seed}"
            after = _retrain(searched, folder, retrain_epochs, seed, "init=inherit")
            yield Job(arm.space, "first_order, inherited weights", name, seed, folder, (after,))


def _retrain(genotype: Path, folder: Path, epochs: int, seed: int, *words: str) -> tuple[str, ...]:
    given = (f"genotype={genotype}", f"trainer.epochs={epochs}", f"seed={seed}", *words)
    return _command("retrain", *given, folder=folder)


def _command(name: str, *words: str, folder: Path) -> tuple[str, ...]:
    return ("python", "-m", f"nas.{name}", *words, f"hydra.run.dir={folder}")


def _written(genotype: Genotype, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(genotype.to_json())
    return path
