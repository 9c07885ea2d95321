"""Small networks, relaxations and feeds whose right answers are known."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor, nn

from nas.architecture import ArchParameters, Choice, Mixture
from nas.optimization import Cosine, Feed, Recipe
from nas.optimization.objective import Batch
from nas.relaxation import Relaxation
from nas.space import ModuleSpace, Skeleton
from nas.supernet import MixedOp
from search_spaces.cells import CellSpace

CPU = torch.device("cpu")


class Identity(Relaxation):
    """The mixture is the alphas themselves."""

    def sample(self, alphas: Tensor) -> Tensor:
        return alphas * 1.0

    def mean(self, alphas: Tensor) -> Tensor:
        return alphas * 1.0

    def anneal(self, progress: float) -> None:
        pass


class Gumbel(Relaxation):
    """softmax(alpha + Gumbel noise); keeps every draw and every progress that it was told."""

    def __init__(self) -> None:
        self.draws: list[Tensor] = []
        self.told: list[float] = []

    def sample(self, alphas: Tensor) -> Tensor:
        weights = (alphas - torch.empty_like(alphas).exponential_().log()).softmax(dim=-1)
        self.draws.append(weights.detach().clone())
        return weights

    def mean(self, alphas: Tensor) -> Tensor:
        return alphas.softmax(dim=-1)

    def anneal(self, progress: float) -> None:
        self.told.append(progress)


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x


class SinThree(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(3 * x)


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


class SmallNet(nn.Module):
    """A smooth supernet with convolutions and batch norm: choices `first/op`, `second/op` and `gate/op`."""

    def __init__(self, *, running: bool = False, in_channels: int = 2, num_classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4, track_running_stats=running)
        self.first = MixedOp({"conv": self._conv(running), "skip": nn.Identity(), "square": Square()})
        self.second = MixedOp({"conv": self._conv(running), "skip": nn.Identity(), "square": Square()})
        self.gate = MixedOp({"open": nn.Identity(), "tanh": nn.Tanh()})
        self.classifier = nn.Linear(4, num_classes)

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        x = torch.tanh(self.norm(self.stem(x)))
        x = x + self.first(x, mixture["first/op"])
        x = torch.tanh(self.second(x, mixture["second/op"]))
        return self.classifier(self.gate(x, mixture["gate/op"]).mean(dim=(2, 3)))

    def _conv(self, running: bool) -> nn.Module:
        return nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4, track_running_stats=running))


def small_space(*, running: bool = False) -> ModuleSpace:
    """The space of `SmallNet`, for images (N, 1, 6, 6) and the skeleton's classes."""
    return ModuleSpace(
        "small", lambda skeleton: SmallNet(running=running, in_channels=1, num_classes=skeleton.num_classes)
    )


def small_arch(*, dtype: torch.dtype = torch.float64, seed: int = 1) -> ArchParameters:
    """Alphas of `SmallNet`, far from uniform; the first two choices share a table."""
    shared = [Choice(f"{place}/op", ("conv", "skip", "square"), table="op") for place in ("first", "second")]
    choices = [*shared, Choice("gate/op", ("open", "tanh"))]
    return ArchParameters(choices, scale=0.7, generator=torch.Generator().manual_seed(seed)).to(dtype)


def batch(seed: int, *, count: int = 6, dtype: torch.dtype = torch.float64) -> Batch:
    """A batch for `SmallNet`: images (count, 2, 5, 5)."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 2, 5, 5, generator=generator, dtype=dtype)
    return images, torch.randint(3, (count,), generator=generator)


def tiny_cells(num_nodes: int = 1) -> CellSpace:
    """Cells of few nodes and three operators."""
    return CellSpace(name="tiny", operators=("none", "skip_connect", "sep_conv_3x3"), num_nodes=num_nodes)


# three cells: one normal, two reductions
TINY = Skeleton(channels=2, num_cells=3, num_classes=3, in_channels=1)


def images(seed: int, count: int, *, dtype: torch.dtype = torch.float32) -> Batch:
    """`count` images (1, 6, 6) of 3 classes that a small network tells apart: noise on a bright row of the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (count,), generator=generator)
    pixels = 0.5 * torch.randn(count, 1, 6, 6, generator=generator, dtype=dtype)
    pixels[torch.arange(count), :, 2 * labels] += 1.5
    return pixels, labels


class Endless:
    """A stream of what a generator yields, in epochs of ten."""

    def __init__(self, make: Callable[[], Iterator[Batch]]) -> None:
        self.make = make
        self.seek(0, 0)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        self.epoch, self.batch = divmod(10 * self.epoch + self.batch + 1, 10)
        return next(self.batches)

    def seek(self, epoch: int, batch: int) -> None:
        self.epoch, self.batch = epoch, batch
        self.batches = islice(self.make(), 10 * epoch + batch, None)


def stream(data: Batch, size: int, seed: int) -> Endless:
    """Endless random batches of the data."""

    def batches() -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            picks = torch.randint(len(data[1]), (size,), generator=generator)
            yield data[0][picks], data[1][picks]

    return Endless(batches)


def in_order(data: Batch, size: int) -> list[Batch]:
    """All data once; the last batch is the smaller one."""
    return list(zip(data[0].split(size), data[1].split(size), strict=True))


def feed(seed: int = 0, *, count: int = 20, size: int = 8, steps: int = 3, dtype: torch.dtype = torch.float32) -> Feed:
    """Images of `seed`, in random batches; in order with a last batch that is smaller."""
    data = images(seed, count, dtype=dtype)
    return Feed(stream(data, size, seed + 100), steps, lambda: in_order(data, size))


def recipe(epochs: int = 3, *, rate: float = 0.05, **settings: object) -> Recipe:
    """DARTS' recipe, small."""

    def optimizer(weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(weights, lr=rate, momentum=0.9, weight_decay=3e-4)

    defaults = {"batch_size": 8, "optimizer": optimizer, "schedule": Cosine(final_rate=0.001), "clip_norm": 5.0}
    return Recipe(epochs=epochs, **{**defaults, **settings})


def adam(alphas: Iterable[nn.Parameter], *, rate: float = 0.05) -> torch.optim.Optimizer:
    """DARTS' optimizer of alphas."""
    return torch.optim.Adam(alphas, lr=rate, betas=(0.5, 0.999), weight_decay=1e-3)
