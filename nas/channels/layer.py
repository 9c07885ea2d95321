"""What is found out about a network: its layers, and the groups of channels between them."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from nas.channels.flow import Step


@dataclass(frozen=True, eq=False)
class Layer:
    """One call of a convolution or of a linear layer.

    At one image it takes positions * kernel * in_channels / groups * out_channels multiply-accumulates.

    Attributes:
        path: of the module that owns the weight, such as `layer1.0.conv1`; "" if the weight is no parameter.
        kind: `conv` or `linear`.
        in_channels: of the whole input; features of a linear layer.
        out_channels: of the whole output.
        groups: of the convolution; 1 for a linear layer.
        kernel: number of positions of the kernel, as 9 for 3x3; 1 for a linear layer.
        positions: output pixels of one image (input pixels of a transposed convolution), or rows of a linear layer.
        outputs: output pixels of one image also of a transposed convolution, or rows.
        bias: whether it adds one.
        depthwise: whether groups == in_channels > 1, so that its channels are the same on both sides.
        reads: (in_channels,) int64, the channel that each input channel is; a linear layer after a flatten reads one
            channel at several features.
        writes: (out_channels,) int64.
        input_shape: of one image, such as (16, 32, 32).
        signature: what else its speed depends on: kernel_size, stride, padding, dilation, each one number an axis,
            transposed, (0,) or (1,), and output_padding, which is empty unless it is. Empty for a linear layer.
    """

    path: str
    kind: str
    in_channels: int
    out_channels: int
    groups: int
    kernel: int
    positions: int
    outputs: int
    bias: bool
    depthwise: bool
    reads: Tensor
    writes: Tensor
    input_shape: tuple[int, ...]
    signature: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that can be kept or removed one by one, each in all the places where it occurs.

    Attributes:
        name: the path of the first layer that writes it with `/` for `.`, such as `layer1/0/conv1`, with a number where
            a layer writes several groups; `input` is the image.
        size: number of channels.
        writers: paths of the layers that write it, in order of execution, without depthwise ones.
        fixed: "" if channels can be removed, else why they can't, as in `the network returns it`.
    """

    name: str
    size: int
    writers: tuple[str, ...]
    fixed: str = ""


@dataclass(frozen=True, eq=False)
class Channels:
    """All channels of a network, numbered by group and within it in order.

    Attributes:
        groups: in the order in which the network writes them, the image first.
        layers: in order of execution; one that runs twice is here twice.
        group_of: (channels,) int64, the index of each channel's group.
        rank: (channels,) int64, the position of each channel within its group.
        dims: (parameter or buffer, axis) -> (size,) int64, the channel of each element along that axis. Axes that are
            no channels, such as those of a kernel, are not here.
        norms: path of a batch or instance norm -> (num_features,) int64, the channels that it sees.
        steps: how layers are connected: the image, then layers and where their ways meet, in order of execution.
        returned: the indices of the steps that the network returns.
        output: shape of the tensor that it returns, (1, classes) for logits; if it is none its type, as `a dict`.
    """

    groups: tuple[ChannelGroup, ...]
    layers: tuple[Layer, ...]
    group_of: Tensor
    rank: Tensor
    dims: Mapping[tuple[str, int], Tensor]
    norms: Mapping[str, Tensor]
    steps: tuple[Step, ...]
    returned: tuple[int, ...]
    output: tuple[int, ...] | str

    def group(self, name: str) -> ChannelGroup:
        """The group of that name; a ValueError that lists the groups if there is none."""
        for group in self.groups:
            if group.name == name:
                return group
        names = ", ".join(group.name for group in self.groups)
        raise ValueError(f"there is no channel group {name!r}; the groups are {names}")
