"""The frame that cells stand in: stem, a row of cells, classifier; the same for supernets and discrete networks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from nas.space import Skeleton
from search_spaces.operators import FactorizedReduce, Normalization, relu_conv_norm


@dataclass(frozen=True)
class CellPlace:
    """Where a cell stands: its kind, its width, the channels of its two inputs, and whether the second of them is the
    output of a reduction, so that the first has twice its image size."""

    kind: str
    channels: int
    in_channels: tuple[int, int]
    after_reduction: bool

    @property
    def stride(self) -> int:
        """The stride of edges that leave an input of the cell."""
        return 2 if self.kind == "reduce" else 1

    def preprocessing(self, norm: Normalization) -> nn.ModuleList:
        """What brings both inputs to the cell's width and to one image size."""
        first, second = self.in_channels
        reduce_or_conv = FactorizedReduce if self.after_reduction else relu_conv_norm
        return nn.ModuleList([reduce_or_conv(first, self.channels, norm), relu_conv_norm(second, self.channels, norm)])


class Stem(nn.Module):
    """The two inputs of the first cell, from an image.

    `cifar`: one 3x3 convolution to 3C channels, given twice. `imagenet`: three 3x3 convolutions of stride 2, the
    outputs of the second (C channels, 1/4 of the size) and of the third (C channels, 1/8).
    """

    def __init__(self, skeleton: Skeleton, norm: Normalization) -> None:
        super().__init__()
        width = skeleton.channels
        self.halves = skeleton.stem == "imagenet"
        self.second: nn.Module
        if self.halves:
            self.out_channels = (width, width)
            self.first = nn.Sequential(
                _conv_3x3(skeleton.in_channels, width // 2, 2),
                norm(width // 2),
                nn.ReLU(),
                _conv_3x3(width // 2, width, 2),
                norm(width),
            )
            self.second = nn.Sequential(nn.ReLU(), _conv_3x3(width, width, 2), norm(width))
        else:
            self.out_channels = (3 * width, 3 * width)
            self.first = nn.Sequential(_conv_3x3(skeleton.in_channels, 3 * width, 1), norm(3 * width))
            self.second = nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # the order that all that follows keeps; depthwise convolutions are 2 to 5 times faster in it on a CPU
        first = self.first(x).contiguous(memory_format=torch.channels_last)
        return first, self.second(first)


class CellBackbone(nn.Module):
    """Stem, cells, global average pooling and a linear classifier.

    `make_cell(place)` returns a module called as `cell(s0, s1, *arguments)`; the arguments are those given to `forward`
    after the images. `concatenated` says how many nodes a cell of each kind returns. Cells L//3 and 2L//3 reduce.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        concatenated: Mapping[str, int],
        make_cell: Callable[[CellPlace], nn.Module],
        norm: Normalization,
    ) -> None:
        super().__init__()
        self.skeleton = skeleton
        self.stem = Stem(skeleton, replace(norm, affine=True))
        inputs, after_reduction, channels = self.stem.out_channels, self.stem.halves, skeleton.channels
        self.cells = nn.ModuleList()
        self.out_channels = []
        for index in range(skeleton.num_cells):
            kind = "reduce" if index in (skeleton.num_cells // 3, 2 * skeleton.num_cells // 3) else "normal"
            channels = channels * 2 if kind == "reduce" else channels
            self.cells.append(make_cell(CellPlace(kind, channels, inputs, after_reduction)))
            inputs, after_reduction = (inputs[1], channels * concatenated[kind]), kind == "reduce"
            self.out_channels.append(inputs[1])
        self.classifier = nn.Linear(inputs[1], skeleton.num_classes)

    def forward(self, x: Tensor, *arguments: object) -> Tensor:
        return self.classify(self.features(x, *arguments)[-1])

    def features(self, x: Tensor, *arguments: object) -> list[Tensor]:
        """The output of every cell."""
        s0, s1 = self.stem(x)
        outputs = []
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1, *arguments)
            outputs.append(s1)
        return outputs

    def classify(self, feature: Tensor) -> Tensor:
        """Logits from the last cell's output."""
        return self.classifier(torch.mean(feature, dim=(2, 3)))


def _conv_3x3(in_channels: int, out_channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
