"""The trained network that a retraining left."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nas.architecture import Genotype
from nas.cli.following import config_folders_of, to_retrain
from nas.cli.parts import space_of
from nas.cli.states import require_fit, skeleton_in
from nas.reading import shown
from nas.space import DiscreteNetwork, Skeleton
from nas.tracking import load_checkpoint
from search_spaces.genotypes import read_genotype


@dataclass(frozen=True)
class Retrained:
    """A network without auxiliary heads, with its weights, and where it comes from; epochs count from 0."""

    genotype: Genotype
    skeleton: Skeleton
    network: DiscreteNetwork
    epoch: int


def read_retrained(run: str, space: dict[str, Any] | None) -> Retrained:
    """What the checkpoint of a run directory holds; `space` as in `space_of`.

    Raises:
        ValueError: something else than the directory of a retraining, such as a search or a published name, or a
            checkpoint that does not fit the network of its genotype; one line.
    """
    read_genotype(run)  # says what is wrong with other words
    if not os.path.isdir(run):
        raise ValueError(f"{run} is a genotype without weights; {_retrain(run)}")
    place = Path(run) / "checkpoint.pt"
    state = load_checkpoint(place)
    if not {"records", "genotype", "skeleton", "weights"} <= state.keys():
        raise ValueError(f"{run} holds a search; {_retrain(run)}")
    genotype, skeleton, weights = _genotype(state, place), skeleton_in(state, place), state["weights"]
    of_genotype = space_of(genotype, space)
    with torch.device("meta"):
        trained = of_genotype.network(genotype, skeleton)
    require_fit(trained, weights, f"the weights in {place} do not fit the network of its genotype")
    network = of_genotype.network(genotype, replace(skeleton, auxiliary=False))
    network.load_state_dict({name: weights[name] for name in network.state_dict()})
    return Retrained(genotype, skeleton, network, len(state["records"]) - 1)


def _genotype(state: dict[str, Any], place: Path) -> Genotype:
    if type(state["records"]) is not list:
        raise ValueError(f"{place} is damaged: its records are {shown(state['records'])}")
    try:
        return Genotype.from_dict(state["genotype"])
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _retrain(genotype: str) -> str:
    place = genotype if os.path.isdir(genotype) else os.path.dirname(genotype)
    return f"retrain it first: {to_retrain(genotype, config_folders_of(Path(place)))}"
