"""The auxiliary head of the DARTS recipe."""

import torch.nn.functional as F
from torch import Tensor, nn

from nas.space import Skeleton


class AuxiliaryHead(nn.Module):
    """ReLU, average pooling to 2x2, 1x1 convolution to 128, 2x2 convolution to 768, linear (Liu et al., 2019).

    The pooling is the authors' 5x5 one where it gives 2x2: from 8x8 with stride 3 (CIFAR) and from 7x7 with stride 2
    (ImageNet). Maps of other sizes, which the authors' head cannot take, are pooled to 2x2 adaptively. Behind the
    second convolution the ImageNet head deliberately has no batch norm.
    """

    def __init__(self, in_channels: int, skeleton: Skeleton) -> None:
        super().__init__()
        self.stride, self.size = (2, 7) if skeleton.stem == "imagenet" else (3, 8)
        last_norm = nn.Identity() if skeleton.stem == "imagenet" else nn.BatchNorm2d(768)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            last_norm,
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, skeleton.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        if tuple(x.shape[-2:]) == (self.size, self.size):
            x = F.avg_pool2d(x, 5, self.stride, count_include_pad=False)
        else:
            x = F.adaptive_avg_pool2d(x, 2)
        return self.classifier(self.features(x).flatten(1))
