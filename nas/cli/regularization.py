"""Whether a network has what the keys of its regularization change."""

from collections.abc import Sequence

import torch

from nas.cli.arguments import keys_given
from nas.cli.settings import RetrainTrainer
from nas.optimization import Feed
from nas.space import DiscreteNetwork, has_drop_path


def require_regularizable(
    network: DiscreteNetwork, feed: Feed, trainer: RetrainTrainer, arguments: Sequence[str]
) -> None:
    """A ValueError where the arguments give a drop path or a weight of auxiliary heads, above 0, for none.

    Defaults and experiments may have them for every network.
    """
    given = {*keys_given("trainer", arguments)}
    if "drop_path" in given and trainer.drop_path and not has_drop_path(network):
        raise ValueError(
            f"trainer.drop_path is {trainer.drop_path:g}, but this network has no paths to drop: leave it out"
        )
    if "auxiliary_weight" in given and trainer.auxiliary_weight and not _auxiliary_heads(network, feed):
        raise ValueError(
            f"trainer.auxiliary_weight is {trainer.auxiliary_weight:g}, but this network has no auxiliary head: leave "
            "it out"
        )


def _auxiliary_heads(network: DiscreteNetwork, feed: Feed) -> int:
    """How many there are; the network is in evaluation mode afterwards."""
    with torch.no_grad():
        return len(network.eval().training_logits(feed.first_images())) - 1
