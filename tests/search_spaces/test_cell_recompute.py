"""Cells that are computed again in the backward pass: the same numbers to the last bit, in less memory."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from experiments.speed.memory import peak_bytes
from nas.architecture import ArchParameters, Mixture
from nas.optimization import BilevelOptimizer, FirstOrder, Objective, SecondOrder
from nas.optimization.objective import Batch
from nas.relaxation import Softmax
from nas.space import Skeleton
from search_spaces.cells import CellSpace
from search_spaces.operators import Normalization
from tests.contracts import draws, random_images
from tests.marks import slow
from tests.search_spaces.spaces import darts, pc_darts

CPU = torch.device("cpu")
EXECUTIONS = ("batched", "edge_by_edge")
SKELETON = Skeleton(channels=4, num_cells=3)


def noisy(channels: int, stride: int, norm: Normalization) -> nn.Module:
    """A user's operator that draws random numbers and remembers: a dropout, and a norm with running statistics."""
    layers = [nn.Conv2d(channels, channels, 3, stride, 1), nn.BatchNorm2d(channels), nn.Dropout(0.5)]
    return nn.Sequential(*layers)


FEW = {"operators": ["none", "max_pool_3x3", "sep_conv_3x3", "dil_conv_3x3", "noisy"], "num_nodes": 2}


def space(execution: str, recompute: bool) -> CellSpace:
    return darts(
        **FEW,
        extra_operators={"noisy": noisy},
        partial_channels=2,
        edge_normalization=True,
        execution=execution,
        recompute=recompute,
    )


def supernet(execution: str, recompute: bool, dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    return space(execution, recompute).supernet(SKELETON).to(dtype)


def mixture() -> Mixture:
    alphas = ArchParameters(space("batched", False).choices, scale=1.0, generator=torch.Generator().manual_seed(1))
    return alphas.mixture(Softmax().mean).as_leaves()


def batch(seed: int = 0) -> Batch:
    return random_images(4, 3, 8, 8, seed=seed).float(), torch.arange(4)


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    assert len(one) == len(other)
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def gradients(objective: Objective, lent: dict[str, Tensor] | None = None) -> list[Tensor]:
    """The loss, its gradients to weights and mixture, the buffers after it, and the random numbers that come next."""
    m = mixture()
    weights = list(objective.supernet.parameters()) if lent is None else [t for t in lent.values() if t.requires_grad]
    torch.manual_seed(2)
    loss, _ = objective(batch(), m, lent)
    found = torch.autograd.grad(loss, [*weights, *m.tables.values()])
    return [loss.detach(), *found, *objective.supernet.buffers(), torch.rand(2)]


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_gradients_are_the_same_to_the_last_bit(execution: str, autocast: torch.dtype | None) -> None:
    kept, again = (
        gradients(Objective(supernet(execution, recompute), autocast=autocast)) for recompute in (False, True)
    )
    assert same(kept, again)
    assert all(gradient.isfinite().all() for gradient in again)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_so_are_those_at_other_weights(execution: str) -> None:
    results = []
    for recompute in (False, True):
        objective = Objective(supernet(execution, recompute))
        torch.manual_seed(3)
        others = {
            name: (parameter + 0.1 * torch.randn_like(parameter)).detach().requires_grad_()
            for name, parameter in objective.supernet.named_parameters()
        }
        lent = {**objective.constants(), **others}
        results.append(gradients(objective, lent))
    assert same(*results)
    assert not torch.equal(results[1][0], gradients(objective)[0]), "the live weights have another loss"


def bilevel(method: type[BilevelOptimizer], execution: str, recompute: bool) -> BilevelOptimizer:
    net = supernet(execution, recompute)
    arch = ArchParameters(space(execution, recompute).choices, generator=torch.Generator().manual_seed(1))
    weight_optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=3e-4)
    arch_optimizer = torch.optim.Adam(arch.parameters(), lr=0.01)
    return method(Objective(net), arch, Softmax(), weight_optimizer, arch_optimizer, clip_norm=5.0)


@pytest.mark.parametrize(
    ("method", "execution"),
    [
        *((FirstOrder, execution) for execution in EXECUTIONS),
        *slow(*((SecondOrder, execution) for execution in EXECUTIONS)),
    ],
)
def test_a_search_takes_the_same_steps(method: type[BilevelOptimizer], execution: str) -> None:
    states = []
    for recompute in (False, True):
        search = bilevel(method, execution, recompute)
        torch.manual_seed(4)
        for step in range(2):
            search.arch_step(batch(2 * step), batch(2 * step + 1))
            search.weight_step(batch(2 * step))
        states.append([*search.objective.supernet.state_dict().values(), *search.arch.state_dict().values()])
    assert same(*states)


def test_evaluation_is_the_same() -> None:
    outputs = []
    for recompute in (False, True):
        net = supernet("batched", recompute).eval()
        with torch.no_grad():
            outputs.append(net(batch()[0], mixture()))
    assert same([outputs[0]], [outputs[1]])


def test_weights_go_from_one_to_the_other() -> None:
    kept, again = (supernet("batched", recompute) for recompute in (False, True))
    assert list(kept.state_dict()) == list(again.state_dict())
    genotype = space("batched", True).sample(torch.Generator().manual_seed(0))
    images = batch()[0]
    one, other = (space("batched", r).inherited(net, genotype).eval() for r, net in ((False, kept), (True, again)))
    assert torch.equal(one(images), other(images))


def peak(space: CellSpace) -> int:
    """The most memory of a forward and backward pass through eight cells."""
    net, arch = space.supernet(Skeleton(channels=8, num_cells=8)), ArchParameters(space.choices)
    objective, images = Objective(net), random_images(8, 3, 8, 8).float()

    def step() -> None:
        loss, _ = objective((images, torch.arange(8)), arch.mixture(Softmax().sample))
        torch.autograd.grad(loss, [*net.parameters(), *arch.parameters()])

    return peak_bytes(step, CPU)


@pytest.mark.parametrize(
    ("make", "execution"),
    [
        (darts, "batched"),
        *slow((pc_darts, "edge_by_edge"), (darts, "edge_by_edge"), (pc_darts, "batched")),
    ],
)
def test_the_peak_of_memory_falls(make: Callable[..., CellSpace], execution: str) -> None:
    """To what one of eight cells holds, and the outputs of all."""
    small = {"num_nodes": 2, "operators": ["max_pool_3x3", "sep_conv_3x3"], "execution": execution}
    kept, again = (peak(make(**small, recompute=recompute)) for recompute in (False, True))
    assert again < 0.5 * kept


def test_it_is_off_unless_asked_for() -> None:
    assert darts().recompute is False


def test_it_is_no_part_of_a_genotype() -> None:
    one, other = (draws(darts(recompute=recompute), 3) for recompute in (False, True))
    assert one == other


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_another_value_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=rf"^space\.recompute is {value!r}; give true or false$"):
        darts(recompute=value)
