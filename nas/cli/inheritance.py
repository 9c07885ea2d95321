"""Networks that go on from the weights of a search."""

from pathlib import Path

import torch

from nas.architecture import Genotype
from nas.cli.states import require_fit, skeleton_in
from nas.space import DiscreteNetwork, SearchSpace, Skeleton
from nas.tracking import load_checkpoint


def inherited_network(run: str, space: SearchSpace, genotype: Genotype, skeleton: Skeleton) -> DiscreteNetwork:
    """The network of a genotype with the weights of the supernet in the run directory of its search.

    `skeleton` is that of the data; the size is that of the supernet.

    Raises:
        ValueError: something else than the directory of a search with a supernet, data of another kind, or a space
            whose networks have other parameters than its supernet.
    """
    place = Path(run) / "checkpoint.pt"
    state = load_checkpoint(place) if Path(run).is_dir() else {}
    if not {"alphas", "weights", "skeleton"} <= state.keys():
        raise ValueError(
            f"init=inherit takes the weights of a search's supernet, which {run} has not: give init=scratch"
        )
    searched = skeleton_in(state, place)
    for key in ("num_classes", "in_channels"):
        if getattr(searched, key) != getattr(skeleton, key):
            raise ValueError(
                f"init=inherit: the search in {run} had {key} {getattr(searched, key)}, and the data has "
                f"{getattr(skeleton, key)}; give the data of the search, or init=scratch"
            )
    with torch.device("meta"):
        planned = space.supernet(searched)
    require_fit(
        planned,
        state["weights"],
        f"init=inherit: the weights in {run} do not fit the supernet of space {space.name!r}",
        "; give the space as it was in the search, or init=scratch",
    )
    supernet = space.supernet(searched)
    supernet.load_state_dict(state["weights"])
    network = space.network(genotype, searched)
    inherited = space.inherited(supernet, genotype).state_dict()
    if differing := sorted(network.state_dict().keys() ^ inherited.keys()):
        raise ValueError(
            f"init=inherit: networks of space {space.name!r} have other parameters than its supernet, such as "
            f"{differing[0]!r}; give init=scratch"
        )
    network.load_state_dict(inherited)
    return network
