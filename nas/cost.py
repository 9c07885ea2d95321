"""python -m nas.cost genotype=G: counts what a derived network needs of memory and computation."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from nas.cli.arguments import keys_given
from nas.cli.command import run
from nas.cli.following import check_following
from nas.cli.mistakes import checked
from nas.cli.parts import require_use, space_of
from nas.cli.settings import Cost
from nas.cli.states import skeleton_in
from nas.costs import count
from nas.space import Skeleton
from nas.tracking import newest_checkpoint
from search_spaces.genotypes import read_genotype

DEFAULTS = {"cifar": (10, (3, 32, 32)), "imagenet": (1000, (3, 224, 224))}
"""Classes and image shape that go with each stem, as in the papers."""

Data = tuple[int, tuple[int, int, int]]
"""Classes and image shape."""


def cost(config: DictConfig) -> None:
    """Prints one JSON object: the fields of `nas.costs.Cost`, `auxiliary_params` only where there is such a head.

    Of a run directory, standard error says for which images, unless the person did.
    """
    settings: Cost = checked("cost", OmegaConf.to_container(config, resolve=True))
    check_following(settings.genotype)
    genotype = read_genotype(settings.genotype)
    classes, shape = _data(settings)
    skeleton = Skeleton(
        channels=settings.network.channels,
        num_cells=settings.network.cells,
        stem=settings.network.stem,
        num_classes=settings.network.num_classes or classes,
        in_channels=shape[0],
        image_size=shape[1:],
        auxiliary=settings.network.auxiliary,
    )
    space = space_of(genotype, settings.space)
    require_use(space, HydraConfig.get().overrides.task)
    with torch.device("meta"):
        network = space.network(genotype, skeleton)
    found = asdict(count(network, skeleton.image_shape))
    if not skeleton.auxiliary:
        del found["auxiliary_params"]
    if settings.input_shape is None and os.path.isdir(settings.genotype):
        print(f"counted for input_shape={_typed(shape)} and {skeleton.num_classes} classes", file=sys.stderr)
    print(json.dumps(found))


def _data(settings: Cost) -> Data:
    """What is given, else what the run had whose directory the genotype is, else what goes with the stem.

    A given stem that the run had not is a network for other images than the run's.
    """
    if settings.input_shape is not None:
        channels, height, width = settings.input_shape
        return DEFAULTS[settings.network.stem][0], (channels, height, width)
    of_run = _skeleton_of_run(settings.genotype)
    stem_given = "stem" in keys_given("network", HydraConfig.get().overrides.task)
    if of_run is None or (stem_given and settings.network.stem != of_run.stem):
        return DEFAULTS[settings.network.stem]
    return of_run.num_classes, of_run.image_shape


def _skeleton_of_run(genotype: str) -> Skeleton | None:
    """That in the newest checkpoint of a run directory, if `genotype` is one that has kept any."""
    if not os.path.isdir(genotype):
        return None
    try:
        found = newest_checkpoint(Path(genotype))
        if found is None:
            return None
        place, state = found
        if "skeleton" not in state:
            raise ValueError(f"{place} does not say for which images its network is")
        return skeleton_in(state, place)
    except ValueError as error:
        raise ValueError(f"{error}; or give input_shape=[CHANNELS,HEIGHT,WIDTH]") from None


def _typed(shape: tuple[int, ...]) -> str:
    return str(list(shape)).replace(" ", "")


def main() -> int:
    """The command; returns its exit status."""
    return run("cost", cost, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
