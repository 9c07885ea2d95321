"""Sums over the edges of a fan against a loop over targets, outputs and sources."""

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from nas.supernet import (
    Batched,
    Fan,
    Normalized,
    Outputs,
    Separate,
    Shared,
    edge_by_edge,
    kernels_apart,
    rows,
    weighted_sum,
)
from nas.supernet.fan import APART
from tests.contracts import EXACT, random_images

CHANNELS = 3
SIZE = (2, 3, 4)
"""N, H and W of every output."""
PIXELS = 24
GRIDS = pytest.mark.parametrize(("targets", "sources"), [(1, 1), (3, 1), (2, 2), (1, 2), (4, 3)])


def fan_of(targets: int, sources: int) -> Fan:
    """A fan of images of CHANNELS channels, twice as large as the outputs."""
    return Fan(feature(sources * CHANNELS, seed=0, size=(2, 6, 8)), sources, targets)


def feature(channels: int, *, seed: int, size: tuple[int, int, int] = SIZE) -> Tensor:
    """A channels-last leaf in float64."""
    x = random_images(size[0], channels, *size[1:], seed=seed)
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def blocks_of(kind: str, sources: int) -> int:
    """How many edges lead into a target: `wide` stands for two operators that run as one."""
    return 2 * sources if "wide" in kind else sources


def output(kind: str, targets: int, sources: int, seed: int) -> Outputs:
    """An output by name; `normalized 2` has blocks of 2 channels, and `coarse` stands for another eps."""
    if kind == "shared":
        return Shared(feature(sources * CHANNELS, seed=seed))
    edges = targets * blocks_of(kind, sources)
    if "separate" in kind:
        return Separate(feature(edges * CHANNELS, seed=seed))
    inputs = int(kind.split()[1])
    weight = random_images(edges, CHANNELS, inputs, seed=seed + 100).requires_grad_()
    return Normalized(feature(edges * inputs, seed=seed), weight, 0.1 if "coarse" in kind else 1e-5)


def tensors(given: Outputs) -> list[Tensor]:
    return [given.features, given.weight] if isinstance(given, Normalized) else [given.features]


def on_edge(given: Outputs, target: int, block: int, blocks: int) -> Tensor:
    """What one edge gives, (pixels, CHANNELS)."""
    pixels, edge = rows(given.features), target * blocks + block
    if isinstance(given, Shared):
        return pixels[:, block * CHANNELS : (block + 1) * CHANNELS]
    if isinstance(given, Separate):
        return pixels[:, edge * CHANNELS : (edge + 1) * CHANNELS]
    weight = given.weight[edge]
    inputs = pixels[:, edge * weight.shape[1] : (edge + 1) * weight.shape[1]]
    return F.batch_norm(inputs @ weight.T, None, None, training=True, eps=given.eps)


def slow_sum(targets: int, outputs: Sequence[tuple[Outputs, Tensor]], previous: Tensor | None) -> Tensor:
    """Target by target, output by output, edge by edge."""
    sums = []
    for target in range(targets):
        total = torch.zeros(PIXELS, CHANNELS, dtype=torch.float64) if previous is None else previous[target]
        for given, weights in outputs:
            for block, weight in enumerate(weights[target]):
                total = total + weight * on_edge(given, target, block, weights.shape[1])
        sums.append(total)
    return torch.stack(sums)


@GRIDS
@pytest.mark.parametrize("starts", [False, True], ids=["from_nothing", "from_sums"])
@pytest.mark.parametrize(
    "kinds",
    [
        ["shared"],
        ["separate"],
        ["normalized 3"],
        ["shared", "shared"],
        ["separate", "separate"],
        ["normalized 3", "normalized 3", "normalized 3"],
        ["normalized 3", "normalized 2"],
        ["normalized 3", "normalized 3 coarse", "normalized 1"],
        ["separate", "normalized 2"],
        ["normalized 3 wide"],
        ["separate wide", "normalized 3 wide", "normalized 3", "normalized 3 wide"],
        ["normalized 3", "shared", "separate", "normalized 2", "shared", "normalized 3", "separate"],
    ],
    ids=" ".join,
)
def test_sums_are_those_of_a_loop(targets: int, sources: int, kinds: list[str], starts: bool) -> None:
    outputs = [
        (
            output(kind, targets, sources, seed),
            random_images(targets, blocks_of(kind, sources), seed=seed + 200).requires_grad_(),
        )
        for seed, kind in enumerate(kinds, start=1)
    ]
    previous = random_images(targets, PIXELS, CHANNELS, seed=300).requires_grad_() if starts else None
    wanted = slow_sum(targets, outputs, previous)
    found = weighted_sum(fan_of(targets, sources), outputs, previous)
    assert_close(found, wanted, **EXACT)
    upstream = random_images(*wanted.shape, seed=400)
    leaves = [tensor for given, weights in outputs for tensor in (*tensors(given), weights)]
    leaves += [] if previous is None else [previous]
    gradients = [torch.autograd.grad(y, leaves, upstream) for y in (found, wanted)]
    assert_close(gradients[0], gradients[1], **EXACT)


def test_previous_sums_stay_as_they_were() -> None:
    previous = random_images(2, PIXELS, CHANNELS)
    before = previous.clone()
    for kind in ("shared", "separate", "normalized 3"):
        weighted_sum(fan_of(2, 2), [(output(kind, 2, 2, 1), random_images(2, 2, seed=2))], previous)
    assert torch.equal(previous, before)


@pytest.mark.parametrize("sources", [1, 2, 3])
def test_sources_lie_one_after_the_other(sources: int) -> None:
    images = [random_images(2, CHANNELS, 4, 5, seed=seed) for seed in range(sources)]
    fan = Fan(torch.cat(images, dim=1), sources, targets=2)
    for number, wanted in enumerate(images):
        assert torch.equal(fan.source(number), wanted)


def test_relu_is_computed_once_with_a_copy_for_each_target() -> None:
    fan = fan_of(3, 2)
    assert torch.equal(fan.relu, fan.x.clamp(min=0))
    assert fan.relu is fan.relu
    assert fan.relu_copies is fan.relu_copies
    assert fan.relu_copies.x is fan.relu
    assert fan.relu_copies.count == 3
    assert torch.equal(fan.relu_copies.repeated, fan.x.clamp(min=0).repeat(1, 3, 1, 1))


def test_a_widened_fan_has_more_targets_and_the_same_sources() -> None:
    fan = fan_of(3, 2)
    assert fan.widened(1) is fan
    wide = fan.widened(2)
    assert (wide.targets, wide.sources) == (6, 2)
    assert fan.widened(2) is wide
    assert wide.x is fan.x
    assert wide.relu is fan.relu
    assert wide.relu_copies.count == 6


class Halved(nn.Module):
    """A convolution of stride 2: a form for one edge only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.conv(x))


@GRIDS
def test_operators_without_a_batched_form_run_edge_by_edge(targets: int, sources: int) -> None:
    torch.manual_seed(0)
    operators = [Halved().double() for _ in range(targets * sources)]
    assert not isinstance(operators[0], Batched)
    fan, weights = fan_of(targets, sources), random_images(targets, sources, seed=1).requires_grad_()
    images = fan.x.split(CHANNELS, dim=1)
    outputs = torch.stack([rows(operator(images[edge % sources])) for edge, operator in enumerate(operators)])
    wanted = (weights[..., None, None] * outputs.unflatten(0, (targets, sources))).sum(1)
    given = edge_by_edge(fan, operators)
    assert isinstance(given, Separate)
    found = weighted_sum(fan, [(given, weights)], None)
    assert_close(found, wanted, **EXACT)
    upstream = random_images(*wanted.shape, seed=2)
    leaves = [fan.x, weights, *nn.ModuleList(operators).parameters()]
    gradients = [torch.autograd.grad(y, leaves, upstream) for y in (found, wanted)]
    assert_close(gradients[0], gradients[1], **EXACT)


def test_the_precision_of_the_mixture_may_be_another() -> None:
    outputs = [output(kind, 2, 2, seed) for seed, kind in enumerate(["shared", "separate", "normalized 2"])]
    weights = random_images(2, 2, seed=9)
    for single in (weights.float(), weights.float().requires_grad_()):
        found = weighted_sum(fan_of(2, 2), [(given, single) for given in outputs], None)
        assert_close(found, slow_sum(2, [(given, single.double()) for given in outputs], None), **EXACT)
        assert found.dtype == torch.float64
    (slope,) = torch.autograd.grad(found.square().sum(), single)
    assert slope.dtype == torch.float32


def test_kernels_are_padded_but_for_large_sources_on_a_cpu() -> None:
    """The source of DARTS at batch 64 in the first cell has 2^20 numbers, that of PC-DARTS in the last has 2^16."""
    assert 1 << 16 < APART <= 1 << 20
    assert kernels_apart(torch.empty(APART))
    assert not kernels_apart(torch.empty(APART - 1))
    assert not kernels_apart(torch.empty(APART, device="meta"))
