"""python -m nas.cost genotype=G: counts what a derived network needs of memory and computation."""

import json
import sys
from dataclasses import asdict

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from nas.cli.command import run
from nas.cli.following import check_following
from nas.cli.mistakes import checked
from nas.cli.parts import require_use, space_of
from nas.cli.settings import Cost
from nas.costs import count
from nas.space import Skeleton
from search_spaces.genotypes import read_genotype

DEFAULTS = {"cifar": (10, (3, 32, 32)), "imagenet": (1000, (3, 224, 224))}
"""Classes and image shape that go with each stem, as in the papers."""


def cost(config: DictConfig) -> None:
    """Prints one JSON object: the fields of `nas.costs.Cost`, `auxiliary_params` only where there is such a head."""
    settings: Cost = checked("cost", OmegaConf.to_container(config, resolve=True))
    check_following(settings.genotype)
    genotype = read_genotype(settings.genotype)
    classes, shape = DEFAULTS[settings.network.stem]
    if settings.input_shape is not None:
        channels, height, width = settings.input_shape
        shape = channels, height, width
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
    print(json.dumps(found))


def main() -> int:
    """The command; returns its exit status."""
    return run("cost", cost, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
