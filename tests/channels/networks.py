"""Networks of every kind that people search, small."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from nas.space import Skeleton
from search_spaces.cells.published import PUBLISHED
from tests.search_spaces.spaces import darts


def conv(inputs: int, outputs: int, kernel: int = 3, **more: int) -> nn.Conv2d:
    """A convolution that keeps the size of an image."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **more)


def conv_norm(inputs: int, outputs: int, kernel: int = 3, **more: int) -> nn.Sequential:
    """Convolution, batch norm."""
    return nn.Sequential(conv(inputs, outputs, kernel, **more), nn.BatchNorm2d(outputs))


class Head(nn.Sequential):
    """Mean over the image, linear layer."""

    def __init__(self, body: nn.Module, channels: int) -> None:
        super().__init__(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 5))


class Block(nn.Module):
    """A basic block of a ResNet, with a projection where width or stride change (He et al., 2015)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = conv_norm(inputs, outputs, stride=stride), conv_norm(outputs, outputs)
        changes = inputs != outputs or stride > 1
        self.shortcut = conv_norm(inputs, outputs, 1, stride=stride) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.relu_(self.first(x)))
        y += self.shortcut(x)
        return F.relu(y)


class PreActivation(nn.Module):
    """y = x + conv(relu(norm(conv(relu(norm(x)))))) (He et al., 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels) for _ in range(2)])
        self.convs = nn.ModuleList([conv(channels, channels) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for norm, layer in zip(self.norms, self.convs, strict=True):
            y = layer(norm(y).relu())
        return x + y


class Inverted(nn.Module):
    """Expand, depthwise, project, with a shortcut where it fits (MobileNetV2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 3 * inputs
        self.layers = nn.Sequential(
            *(conv_norm(inputs, wide, 1), nn.ReLU6()),
            *(conv_norm(wide, wide, stride=stride, groups=wide), nn.ReLU6()),
            conv_norm(wide, outputs, 1),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.adds else self.layers(x)


class Dense(nn.Module):
    """Each layer reads all before it (DenseNet), and D is added to the concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = conv(3, 6), conv_norm(6, 4), conv(10, 5), conv(10, 10)
        self.norm = nn.BatchNorm2d(15)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        ab = torch.cat([a, self.b(a).relu()], 1)
        return self.norm(torch.cat([ab + self.d(ab), self.c(ab)], 1))


class Shuffle(nn.Module):
    """Split, depthwise, concatenate, shuffle (ShuffleNetV2); `size` writes the size of a half down in the code."""

    def __init__(self, channels: int, size: int | None = None) -> None:
        super().__init__()
        half, self.size = channels // 2, size
        self.branch = nn.Sequential(
            *(conv_norm(half, half, 1), nn.ReLU(), conv_norm(half, half, groups=half)),
            *(conv_norm(half, half, 1), nn.ReLU()),
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = x.split(self.size, 1) if self.size else x.chunk(2, dim=1)
        x = torch.cat([kept, self.branch(changed)], dim=1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class Excitation(nn.Module):
    """x * sigmoid(fc(relu(fc(mean(x))))) (Hu et al., 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.squeeze, self.excite = conv_norm(3, 8), nn.Linear(8, 4), nn.Linear(4, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        scale = self.excite(self.squeeze(x.mean((2, 3))).relu()).sigmoid()
        return x * scale[:, :, None, None]


class Functional(nn.Module):
    """Convolutions without modules: a plain weight, a quantized one, one that is standardized over its inputs."""

    def __init__(self, standardized: bool = False) -> None:
        super().__init__()
        self.weight, self.more = nn.Parameter(torch.randn(8, 3, 3, 3)), nn.Parameter(torch.randn(6, 8, 1, 1))
        self.step, self.scale = nn.Parameter(torch.rand(6, 1, 1, 1)), nn.Parameter(torch.randn(6, 1, 1))
        self.register_buffer("mask", torch.ones(6, 8, 1, 1))
        self.standardized = standardized

    def forward(self, x: Tensor) -> Tensor:
        more = (self.more / self.step).round().clamp(-7, 7) * self.step * self.mask
        if self.standardized:
            more = more - more.mean((1, 2, 3), keepdim=True)
        return F.prelu(F.conv2d(F.conv2d(x, self.weight).relu(), more), self.scale.flatten()) * self.scale


class Shared(nn.Module):
    """A layer and a norm that run twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.twice, self.norm = conv(3, 7), conv(7, 7), nn.BatchNorm2d(7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(2):
            x = self.norm(self.twice(x)).relu()
        return x


class Shapes(nn.Module):
    """Python that looks at shapes, and pads channels with zeros in a shortcut (option A of ResNet)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.wide = conv(3, 6), nn.ModuleList([conv(6, 10), conv(10, 10)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        while x.shape[-1] > 4:
            x = F.max_pool2d(x, 2)
        for layer in self.wide:
            y = layer(x.relu())
            if y.shape[1] != x.shape[1]:
                x = F.pad(x, (0, 0, 0, 0, 2, 2))
            x = x + y
        return x


class Folded(nn.Module):
    """Both halves of the channels are added up, so channels of one layer are removed in pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = conv(3, 12), nn.BatchNorm2d(6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        half = x.shape[1] // 2
        return self.norm(x[:, :half] + x[:, half:].sigmoid())


class Copies(nn.Module):
    """A depthwise convolution that makes two channels of each, and norms without parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 5)
        self.copies = nn.Conv2d(5, 10, 3, padding=1, groups=5)
        self.norm, self.plain = nn.InstanceNorm2d(10), nn.BatchNorm2d(10, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.plain(self.norm(self.copies(F.hardswish(self.stem(x))))).relu(), scale_factor=2)


class Upsampled(nn.Module):
    """A transposed convolution, weights in weight norm, a map that says where to look."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = parametrizations.weight_norm(conv(3, 6))
        self.up, self.look = nn.ConvTranspose2d(6, 8, 2, stride=2), conv(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(self.stem(x).relu())
        return x * self.look(x).sigmoid()


class Tokens(nn.Module):
    """Pixels as tokens (N, T, C), each with an embedding, all of them read at once."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.embedding = nn.Conv2d(3, 6, 8, 8), nn.Parameter(torch.randn(1, 4, 6))
        self.last = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.embedding
        return self.last(tokens.relu().flatten(1))


class Outer(nn.Module):
    """All products of the channels of two layers, of which one must stay."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = conv(3, 4), conv(3, 3), conv(12, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.c((self.a(x).unsqueeze(2) * self.b(x).unsqueeze(1)).flatten(1, 2))


def derived() -> nn.Module:
    """The network of DARTS_V2."""
    return darts().network(PUBLISHED["DARTS_V2"], Skeleton(channels=4, num_cells=3, num_classes=5))


def vision(name: str) -> nn.Module:
    """A network of torchvision."""
    from nas.data.vision import torchvision

    network: nn.Module = getattr(torchvision.models, name)()
    return network


def vgg() -> nn.Module:
    """Convolutions without norms, then linear layers that read each channel at four pixels."""
    layers = [nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(True), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(True), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 5))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: Head(nn.Sequential(conv_norm(3, 8), nn.ReLU(), conv_norm(8, 6), nn.PReLU(6), conv(6, 4)), 4),
    "resnet": lambda: Head(
        nn.Sequential(conv_norm(3, 6), nn.ReLU(), Block(6, 6, 1), Block(6, 8, 2), Block(8, 8, 1)), 8
    ),
    "pre_activation": lambda: Head(nn.Sequential(conv(3, 6), PreActivation(6), PreActivation(6)), 6),
    "mobilenet": lambda: Head(nn.Sequential(conv_norm(3, 4), Inverted(4, 4, 1), Inverted(4, 6, 2)), 6),
    "densenet": lambda: Head(Dense(), 15),
    "vgg": vgg,
    "shufflenet": lambda: Head(nn.Sequential(conv(3, 12), Shuffle(12), conv(12, 16), Shuffle(16), Shuffle(16)), 16),
    "squeeze_and_excitation": lambda: Head(Excitation(), 8),
    "functional": lambda: Head(Functional(), 6),
    "shared": lambda: Head(Shared(), 7),
    "shapes": lambda: Head(Shapes(), 10),
    "folded": lambda: Head(Folded(), 6),
    "copies": lambda: Head(Copies(), 10),
    "upsampled": lambda: Head(Upsampled(), 8),
    "tokens": Tokens,
    "outer": lambda: Head(Outer(), 6),
    "darts": derived,
}
"""Networks that take images (3, 16, 16) and give five logits, by name."""


class Middle(nn.Module):
    """Two convolutions and something between them."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.between = conv(3, 8), conv(8, 6), between

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.between(self.a(x)))


def written_into(x: Tensor) -> Tensor:
    """A tensor that the code made, with x in it."""
    y = torch.zeros(x.shape)
    y[:, :8] = x
    return y


BETWEEN: list[tuple[Callable[[Tensor], Tensor], int]] = [
    (lambda x: torch.max(x, x.sigmoid()), 8),
    (lambda x: F.mish(F.hardswish(x.clone(), inplace=True), inplace=True).masked_fill_(x < 0, 0.0), 8),
    (lambda x: x + x.new_zeros(1) + torch.zeros_like(x), 8),
    (lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2).to(memory_format=torch.channels_last), 8),
    (lambda x: F.normalize(x, dim=(2, 3)), 8),
    (lambda x: x.flip(1), 8),
    (lambda x: x.flatten(2).unflatten(2, (16, 16)).unsqueeze(0).squeeze(0), 8),
    (lambda x: torch.stack([x, x.relu()]).sum(0), 8),
    (lambda x: x.split(9, dim=1)[0], 8),
    (lambda x: torch.cat(x.chunk(4, dim=1)[::-1], dim=1), 2),
    (lambda x: F.channel_shuffle(x, 2), 4),
    (lambda x: F.channel_shuffle(x, 2).unflatten(1, (x.shape[1] // 2, 2)).sum(2).repeat(1, 2, 1, 1), 4),
    (lambda x: torch.cat([x[:, c : c + x.shape[1] // 4] for c in range(0, x.shape[1], x.shape[1] // 4)], 1), 2),
    (lambda x: torch.cat([x[:, ::2], x[:, 1::2]], 1), 0),
    (lambda x: x.unflatten(1, (-1, 2)).transpose(1, 2).flatten(1, 2), 0),
    (lambda x: F.pad(x, (0, 0, 0, 0, -2, 2)), 0),
    (lambda x: torch.cat([x[:, :3], x[:, 3:]], 1), 0),
    (lambda x: x * x.mean(1, keepdim=True), 0),
    (lambda x: F.layer_norm(x, x.shape[1:]), 0),
    (lambda x: x.roll(1, 1), 0),
    (lambda x: F.glu(torch.cat([x, x], 1), 1), 0),
    (lambda x: F.normalize(x, dim=1), 0),
    (lambda x: x * torch.bmm(x.flatten(2), x.flatten(2).transpose(1, 2)).mean(), 0),
    (lambda x: x * x.cumsum(1), 0),
    (lambda x: x if torch.equal(x, x.relu()) else x + 1, 0),
    (written_into, 0),
]
"""What may be between two layers, and how many of 8 channels can be removed one by one."""
