"""The parts of a run, made from checked settings."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from nas.architecture import Genotype
from nas.cli.arguments import keys_given
from nas.cli.settings import Network, SearchTrainer, Trainer
from nas.cli.signatures import part_mistakes
from nas.data import Samples
from nas.optimization import Feed, Recipe
from nas.parallel import ALONE, Ranks
from nas.reading import one_line, shown
from nas.space import SearchSpace, Skeleton

_FIELDS = {"cells": "num_cells"}
"""Fields of a skeleton whose `network` key has another name."""
_LOCAL = {"init_from"}
"""Keys of spaces that no genotype has: they name files of this machine."""


def recipe_of(trainer: Trainer) -> Recipe:
    """The training recipe."""
    return Recipe(
        epochs=trainer.epochs,
        batch_size=trainer.batch_size,
        optimizer=instantiate(trainer.optimizer),
        schedule=instantiate(trainer.schedule),
        clip_norm=trainer.clip_norm,
        cutout=trainer.cutout,
        autocast=torch.bfloat16 if trainer.precision == "bf16" else None,
        skips=trainer.on_nan == "skip",
        sync_batch_norm=isinstance(trainer, SearchTrainer) and trainer.sync_batch_norm,
    )


def skeleton_of(network: Network, samples: Samples, *, auxiliary: bool = False) -> Skeleton:
    """The fixed part of the network, fitted to the data; a ValueError if it has too few classes for them."""
    classes = samples.num_classes if network.num_classes is None else network.num_classes
    if classes < samples.num_classes:
        raise ValueError(
            f"network.num_classes {classes} does not fit the data, which has {samples.num_classes} classes; "
            f"leave it out or give at least {samples.num_classes}"
        )
    return Skeleton(
        channels=network.channels,
        num_cells=network.cells,
        stem=network.stem,
        num_classes=classes,
        in_channels=samples.shape[0],
        image_size=samples.shape[1:],
        auxiliary=auxiliary,
    )


def require_use(space: SearchSpace, arguments: Sequence[str]) -> None:
    """A ValueError where the arguments give a size of the network that networks of this space do not follow."""
    for key in keys_given("network", arguments):
        if remedy := space.unused.get(_FIELDS.get(key, key)):
            raise ValueError(f"space {space.name!r} has no use for network.{key}; {remedy}")


def feed_of(
    samples: Samples,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    max_steps: int | None,
    ranks: Ranks = ALONE,
) -> Feed:
    """Batches for training and measuring, at most `max_steps` of them an epoch; of several ranks, what this one has."""
    stream = samples.stream(batch_size=recipe.batch_size, seed=seed, device=device, cutout=recipe.cutout, ranks=ranks)
    limit = None if max_steps is None else len(ranks.turns(max_steps))
    return Feed(
        stream=stream,
        steps=min(stream.batches_per_epoch, max_steps or stream.batches_per_epoch),
        in_order=lambda: islice(samples.batches(batch_size=recipe.batch_size, device=device, ranks=ranks), limit),
    )


def space_of(genotype: Genotype, part: dict[str, Any] | None) -> SearchSpace:
    """The space of a genotype: the given part, or the shipped one of its name; with the genotype's settings.

    A genotype may come from a stranger, so its settings are plain values and never name a class.
    """
    part = part or _shipped(genotype.space)
    for foreign in ("_target_", "${"):
        if foreign in str(genotype.settings):
            raise ValueError(f"the settings of the genotype hold {foreign!r}; they are plain values")
    for local in _LOCAL & genotype.settings.keys():
        raise ValueError(f"the settings of the genotype hold {local!r}, which only you can say: where files lie here")
    if unknown := sorted(genotype.settings.keys() - part.keys()):
        raise ValueError(
            f"the genotype has settings that space {genotype.space!r} does not know: {one_line(', '.join(unknown))}"
        )
    part = {**part, **genotype.settings}
    if mistakes := part_mistakes(part, "space"):
        raise ValueError(f"the settings of the genotype do not fit its space: {one_line('; '.join(mistakes))}")
    try:
        return instantiate(part)
    except InstantiationException as error:
        raise ValueError(one_line(error.__cause__ or error)) from error


def _shipped(name: str) -> dict[str, Any]:
    known = GlobalHydra.instance().config_loader().get_group_options("space")
    if name not in known:
        raise ValueError(
            f"the genotype is of space {shown(name)}, which is not among {', '.join(known)}: give +space=NAME, or the "
            "folder with its config as --config-dir FOLDER"
        )
    composed = OmegaConf.to_container(compose(f"space/{name}").space)
    assert isinstance(composed, dict)
    return {str(key): value for key, value in composed.items()}
