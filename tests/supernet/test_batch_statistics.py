"""Norms of supernets: statistics of the batch, one scale and shift for every width."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from nas.parallel import Ranks
from nas.supernet import BatchStatistics, LendingNetwork, Lent, SwitchableBatchNorm, SynchronizedBatchNorm
from tests.contracts import EXACT, MixedModuleContract, random_images

NORMS = [(nn.BatchNorm1d, (5, 4)), (nn.BatchNorm1d, (5, 4, 3)), (nn.BatchNorm2d, (5, 4, 3, 2))]


def trained(norm: nn.Module) -> nn.Module:
    """A norm with parameters and running statistics unlike those of a fresh one."""
    with torch.no_grad():
        for number, tensor in enumerate([*norm.parameters(), *norm.buffers()]):
            tensor.add_(torch.arange(4) + number if tensor.dim() else 7)
    return norm.double()


@pytest.mark.parametrize(("kind", "shape"), NORMS)
@pytest.mark.parametrize("training", [True, False])
def test_it_normalizes_by_the_batch_and_leaves_no_trace(
    kind: type[nn.BatchNorm2d], shape: tuple[int, ...], training: bool
) -> None:
    norm, x = trained(kind(4, eps=0.1)), random_images(*shape)
    made = BatchStatistics.of(norm).train(training)
    before = copy.deepcopy(made.state_dict())
    axes = [axis for axis in range(x.dim()) if axis != 1]
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    along = [1, -1, *[1] * (x.dim() - 2)]
    wanted = (x - mean) / (variance + 0.1).sqrt() * norm.weight.view(along) + norm.bias.view(along)
    assert_close(made(x), wanted, **EXACT)
    assert_close(dict(made.state_dict()), dict(before), rtol=0, atol=0)
    assert list(before) == list(norm.state_dict())
    assert made.weight is norm.weight
    assert made.running_mean is norm.running_mean
    plain = made.plain()
    assert type(plain) is kind
    assert plain.training == training
    assert torch.equal(plain(x), copy.deepcopy(norm).train(training)(x))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("tracked", [True, False])
def test_what_a_norm_does_not_have_it_does_not_get(affine: bool, tracked: bool) -> None:
    norm, x = nn.BatchNorm2d(4, affine=affine, track_running_stats=tracked).double(), random_images(5, 4, 3, 2)
    made = BatchStatistics.of(norm)
    assert_close(made(x), copy.deepcopy(norm)(x), **EXACT)
    assert list(made.state_dict()) == list(norm.state_dict())


class Twins(Ranks):
    """Two ranks that hold the same rows: a mean over them is what each has."""

    def __init__(self) -> None:
        self.calls = 0

    def mean(self, tensors):  # type: ignore[no-untyped-def]
        self.calls += 1
        return list(tensors)


@pytest.mark.parametrize("switchable", [False, True])
def test_synchronized_batch_norm_reaches_it(switchable: bool) -> None:
    norm, x = trained(nn.BatchNorm2d(4)), random_images(5, 4, 3, 2).requires_grad_()
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
    mixed = SwitchableBatchNorm(norm, (0.5, 1.0))

    def run() -> Tensor:
        return mixed(x, weights) if switchable else BatchStatistics.of(norm)(x)

    wanted, ranks = run(), Twins()
    with SynchronizedBatchNorm(ranks):
        found = run()
    assert ranks.calls == 1
    assert_close(found, wanted, **EXACT)


class TestSwitchableBatchNorm(MixedModuleContract):
    @pytest.fixture
    def mixed(self) -> SwitchableBatchNorm:
        mixed = SwitchableBatchNorm(trained(nn.BatchNorm2d(4)), (0.25, 0.5, 1.0))
        return different(mixed)

    @pytest.fixture
    def x(self) -> Tensor:
        return random_images(5, 4, 3, 2)


def different(mixed: SwitchableBatchNorm) -> SwitchableBatchNorm:
    """Another scale and shift for every width."""
    with torch.no_grad():
        for number, parameter in enumerate(mixed.parameters()):
            parameter.add_(random_images(4, seed=number))
    return mixed


def test_scales_and_shifts_are_mixed() -> None:
    mixed, x = different(SwitchableBatchNorm(trained(nn.BatchNorm2d(4)), (0.5, 1.0))), random_images(5, 4, 3, 2)
    weights = torch.tensor([0.3, 0.9], dtype=torch.float64)
    wanted = sum(weight * mixed.select(ratio)(x) for weight, ratio in zip(weights, (0.5, 1.0), strict=True))
    assert_close(mixed(x, weights), wanted, **EXACT)


def test_every_width_starts_from_the_norm_and_what_is_selected_fits_a_plain_one() -> None:
    norm = trained(nn.BatchNorm2d(4))
    mixed, x = SwitchableBatchNorm(norm, (0.5, 1.0)), random_images(5, 4, 3, 2)
    assert mixed.kind == "width"
    for ratio in mixed.candidates:
        assert_close(dict(mixed.select(ratio).state_dict()), dict(norm.state_dict()), rtol=0, atol=0)
    plain = nn.BatchNorm2d(4).double()
    plain.load_state_dict(different(mixed).select(0.5).state_dict())
    assert_close(plain(x), mixed(x, torch.tensor([1.0, 0.0])), **EXACT)


def test_it_is_lent_the_weights_of_the_width_and_works_in_bf16() -> None:
    mixed = different(SwitchableBatchNorm(trained(nn.BatchNorm2d(4)), (0.5, 1.0))).float()
    supernet, x = LendingNetwork(nn.Sequential(Lent(mixed, "conv/width"))), torch.randn(5, 4, 3, 2)
    weights = torch.tensor([0.3, 0.7])
    wanted = mixed(x, weights)
    assert torch.equal(supernet.eval()(x, {"conv/width": weights}), wanted)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = F.conv2d(x, torch.eye(4)[:, :, None, None])
        assert_close(supernet(rounded, {"conv/width": weights}).float(), wanted, rtol=3e-2, atol=3e-2)


def test_a_norm_without_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="affine=False has no scale and shift to switch: leave it as it is"):
        SwitchableBatchNorm(nn.BatchNorm2d(4, affine=False), (0.5, 1.0))
