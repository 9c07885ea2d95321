"""The trained network that a retraining left."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from torch import nn

from nas.architecture import Genotype
from nas.cli.parts import space_of
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
    if not Path(run).is_dir():
        raise ValueError(f"{run} is a genotype without weights; {_retrain(run)}")
    place = Path(run) / "checkpoint.pt"
    state = load_checkpoint(place)
    if not {"genotype", "skeleton", "weights"} <= state.keys():
        raise ValueError(f"{run} holds a search; {_retrain(run)}")
    genotype, skeleton = Genotype.from_dict(state["genotype"]), _skeleton(place, state["skeleton"])
    of_genotype = space_of(genotype, space)
    trained = of_genotype.network(genotype, skeleton)
    _load(place, trained, state["weights"])
    network = of_genotype.network(genotype, replace(skeleton, auxiliary=False))
    weights = trained.state_dict()
    _load(place, network, {name: weights[name] for name in network.state_dict()})
    return Retrained(genotype, skeleton, network, state["epoch"])


def _retrain(genotype: str) -> str:
    return f"retrain it first: python -m nas.retrain genotype={genotype}"


def _skeleton(place: Path, data: dict[str, Any]) -> Skeleton:
    known = {field.name for field in fields(Skeleton)}
    if data.keys() != known:
        wrong = ", ".join(sorted(data.keys() ^ known))
        raise ValueError(f"{place} is of another version of this program: its skeleton differs in {wrong}; retrain it")
    return Skeleton(**data)


def _load(place: Path, network: nn.Module, weights: dict[str, Any]) -> None:
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()[:200]
        raise ValueError(f"the weights in {place} do not fit the network of its genotype: {first}") from None
