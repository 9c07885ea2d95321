"""A network that fails at its image, or returns no logits, is told of in one line that says where and why."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.optimization import DiscreteLoss
from nas.space import Skeleton
from search_spaces.networks import NetworkSpace

REMEDY = "; mend the network, or give the shape that it is for as space.input_shape=[channels,height,width]"
ALONE = "; it must return its logits alone, a tensor of shape [N, classes]"


class Ending(nn.Module):
    """A convolution of images of some channels, and a linear layer that reads some numbers of some pooled size."""

    def __init__(self, end: Callable[[Tensor], Any], inputs: int = 3, features: int = 8, side: Any = 1) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(inputs, 8, 3, padding=1), nn.AdaptiveAvgPool2d(side))
        self.classifier = nn.Linear(features, 7)
        self.end = end

    def forward(self, x: Tensor) -> Any:
        return self.end(self.classifier(self.features(x).flatten(1)))


def space(*given: Any, **sizes: Any) -> NetworkSpace:
    """The widths of one of these."""
    return NetworkSpace(name="own", network=lambda: Ending(*given, **sizes), widths=(0.5, 1.0))


def same(logits: Tensor) -> Tensor:
    """A network that ends as it should."""
    return logits


def failing(_: Tensor) -> Tensor:
    raise KeyError("head")


@pytest.mark.parametrize(
    ("given", "sizes", "message"),
    [
        ((same,), {"features": 9}, "layer 'classifier', a Linear, fails: mat1 and mat2 shapes cannot be multiplied"),
        ((failing,), {}, f"its own code fails: KeyError: 'head'{REMEDY}"),
        ((same,), {"features": 8 * 28**2, "side": (None, None)}, "it takes [3, 28, 28]: give the shape of your data"),
        ((same, 1), {}, "have 1 channels, but got 3 channels instead; it takes [1, 8, 8]: give the shape of your data"),
        ((lambda y: (y, y),), {}, f"the network returns a tuple for one image{ALONE}"),
        ((lambda y: {"logits": y},), {}, f"the network returns a dict for one image{ALONE}"),
        ((lambda _: None,), {}, f"the network returns None for one image{ALONE}"),
        ((lambda y: y[0],), {}, f"the network returns a tensor of shape [7] for one image{ALONE}"),
        ((lambda y: y[..., None],), {}, f"the network returns a tensor of shape [1, 7, 1] for one image{ALONE}"),
    ],
)
def test_where_and_why_a_network_does_not_run(given: Any, sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        space(*given, **sizes)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_shape_of_the_data_is_named_where_it_is_the_reason() -> None:
    """The choices are listed on the image of space.input_shape, which the network does take."""
    message = r"shape \[1, 8, 8\]: layer 'features.0', a Conv2d, .* space.input_shape, \[3, 32, 32\]: give data of"
    with pytest.raises(ValueError, match=message):
        space(same).supernet(Skeleton(in_channels=1, image_size=(8, 8)))


def test_a_supernet_has_at_least_as_many_classes_as_there_are() -> None:
    space(same).supernet(Skeleton(num_classes=5))
    with pytest.raises(ValueError, match="returns logits of 7 classes, but there are 10: give it an argument num_clas"):
        space(same).supernet(Skeleton(num_classes=10))


def test_what_is_returned_in_training_alone_is_refused_there() -> None:
    loss, labels = DiscreteLoss(F.cross_entropy), torch.tensor([0])
    with pytest.raises(ValueError, match="returns a value of type tuple in training; it must return its logits alone"):
        loss(((torch.zeros(1, 2), torch.zeros(1, 2)),), labels)  # type: ignore[arg-type]
