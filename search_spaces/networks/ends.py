"""The two ends of a network: the image that it takes and the logits that it returns."""

from collections.abc import Callable

from nas.channels import Channels, ForwardError
from nas.space import Skeleton

USUAL_SIDES = (8, 28, 32, 64, 96, 224)
"""Pixels of the images that people search networks for."""

Trace = Callable[[Skeleton], Channels]


def why_refused(error: ForwardError, skeleton: Skeleton, listed: Skeleton, trace: Trace) -> str:
    """An error of a network at the image of a skeleton, and whether that image is the reason.

    `listed` is the image of `space.input_shape`. Where it is the one refused, those of usual shapes are tried.
    """
    if skeleton.image_shape != listed.image_shape:
        return (
            f"{error}; it takes that of space.input_shape, {list(listed.image_shape)}: give data of this shape, or a "
            "network for both"
        )
    if skeleton != listed:
        return f"{error}; it takes one where it is made for {listed.num_classes} classes"
    others = (
        Skeleton(in_channels=channels, image_size=(side, side))
        for channels in dict.fromkeys((listed.in_channels, 1, 3))
        for side in USUAL_SIDES
    )
    found = next((list(other.image_shape) for other in others if _takes(other, trace)), None)
    if found:
        return f"{error}; it takes {found}: give the shape of your data as space.input_shape=[channels,height,width]"
    return f"{error}; mend the network, or give the shape that it is for as space.input_shape=[channels,height,width]"


def require_logits(channels: Channels, num_classes: int | None = None) -> None:
    """A ValueError for a network that returns anything but (N, classes), or fewer classes than there are."""
    output = channels.output
    if isinstance(output, str) or len(output) != 2 or output[0] != 1:
        found = output if isinstance(output, str) else f"a tensor of shape {list(output)}"
        raise ValueError(
            f"the network returns {found} for one image; it must return its logits alone, a tensor of shape "
            "[N, classes]"
        )
    if num_classes is not None and output[1] < num_classes:
        raise ValueError(
            f"the network returns logits of {output[1]} classes, but there are {num_classes}: give it an argument "
            "num_classes that its last layer follows"
        )


def _takes(skeleton: Skeleton, trace: Trace) -> bool:
    try:
        trace(skeleton)
    except ValueError:
        return False
    return True
