"""The batched supernet against the definition, which runs edge by edge: equal to rounding from the same weights.

In float64 no gradient may differ by more than 1e-9 of its norm. A norm, not entries, is compared: an entry near zero is
a difference of large terms whose rounding it keeps.
"""

import copy
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast
from unittest.mock import Mock

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.testing import assert_close

from nas.architecture import ArchParameters, Mixture
from nas.optimization import BilevelOptimizer, FirstOrder, Objective, SecondOrder
from nas.optimization.objective import Batch
from nas.relaxation import Softmax
from nas.space import Skeleton
from nas.supernet import Batched, Fan, Separate, depthwise_conv2d
from search_spaces.cells import CellSpace
from search_spaces.operators import OPERATORS, SEARCH, Normalization, Operator
from search_spaces.operators.convolutions import DepthwiseSeparable
from tests.contracts import EXACT, draws, random_images
from tests.search_spaces.spaces import DARTS_OPERATORS, darts, pc_darts

EDGE_BY_EDGE, BATCHED = "edge_by_edge", "batched"
FEW = ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_3x3", "dil_conv_5x5")
SMALL = Skeleton(channels=4, num_cells=3)


def tanh_conv(channels: int, stride: int, norm: Normalization) -> nn.Module:
    """A user's operator without a batched form."""
    return nn.Sequential(nn.Tanh(), nn.Conv2d(channels, channels, 3, stride, 1, bias=False), norm(channels))


class ScaledTanh(nn.Module):
    """A user's operator with a batched form: the tanh of scaled channels. It counts its calls."""

    family = None

    def __init__(self, channels: int, stride: int, norm: Normalization) -> None:
        super().__init__()
        self.inner = nn.ParameterDict({"scale": torch.rand(channels)})
        self.stride = stride
        self.forwards = self.batches = 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += 1
        return self.compute(x, self.inner["scale"])

    def batched(self, fan: Fan, parameters: Mapping[str, Tensor]) -> Separate:
        self.batches += 1
        return Separate(self.compute(fan.x.repeat(1, fan.targets, 1, 1), parameters["inner.scale"].flatten()))

    def compute(self, x: Tensor, scale: Tensor) -> Tensor:
        return torch.tanh(x * scale[:, None, None])[:, :, :: self.stride, :: self.stride]


OWN = {"tanh_conv": tanh_conv, "scaled_tanh": ScaledTanh}


class Case(NamedTuple):
    """A space but for its execution, a skeleton, and the shape of a batch."""

    settings: Mapping[str, object]
    k: int = 1
    skeleton: Skeleton = SMALL
    images: tuple[int, int, int, int] = (3, 3, 8, 8)

    def space(self, execution: str) -> CellSpace:
        return darts(partial_channels=self.k, execution=execution, **self.settings)

    def supernets(self, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, nn.Module]:
        """(edge by edge, batched) with the same weights, which the second one loads from the first."""
        torch.manual_seed(0)
        supernets = [self.space(execution).supernet(self.skeleton).to(dtype) for execution in (EDGE_BY_EDGE, BATCHED)]
        supernets[1].load_state_dict(supernets[0].state_dict())
        return supernets[0], supernets[1]

    def mixture(self, dtype: torch.dtype = torch.float64, seed: int = 0) -> Mixture:
        """The softmax of standard normal alphas, as leaves."""
        generator = torch.Generator().manual_seed(seed)
        alphas = ArchParameters(self.space(BATCHED).choices, scale=1.0, generator=generator).to(dtype)
        return alphas.mixture(Softmax().mean).as_leaves()

    def batch(self, seed: int = 0, dtype: torch.dtype = torch.float64) -> Batch:
        """Images, and labels that differ."""
        images = random_images(*self.images, seed=seed).to(dtype)
        return images, torch.arange(len(images)) % self.skeleton.num_classes


def few(**settings: object) -> dict[str, object]:
    return {"operators": FEW, "num_nodes": 2, **settings}


WEIGHED = {"edge_normalization": True}
CASES = {
    "darts": Case({}),
    "pc_darts": Case(WEIGHED, 4, Skeleton(channels=8, num_cells=3)),
    "pc_darts k=2": Case(few(**WEIGHED), 2),
    "partial channels, inputs not weighed": Case(few(num_nodes=3), 2),
    "weighed inputs": Case(few(**WEIGHED)),
    "one node": Case(few(num_nodes=1)),
    "three nodes": Case(few(num_nodes=3)),
    "five nodes": Case(few(operators=FEW[2:5], num_nodes=5)),
    "one input a node": Case(few(inputs_per_node=1)),
    "without none": Case(few(operators=FEW[1:])),
    "pools": Case(few(operators=DARTS_OPERATORS[1:3])),
    "skip": Case(few(operators=["skip_connect"], num_nodes=3)),
    "skip, partial channels": Case(few(operators=["skip_connect"]), 2),
    "no batched form": Case(few(operators=["conv_7x1_1x7"])),
    "conv_7x1_1x7 among others": Case(few(operators=["conv_7x1_1x7", "none", "sep_conv_3x3"])),
    "sep_conv_7x7": Case(few(operators=["sep_conv_7x7", "sep_conv_3x3"])),
    "sep_conv_7x7 alone": Case(few(operators=["sep_conv_7x7"])),
    "all operators": Case(few(operators=list(OPERATORS))),
    "own operators": Case(few(operators=["scaled_tanh", "none", "sep_conv_5x5", "tanh_conv"], extra_operators=OWN)),
    "own operators, partial channels": Case(few(operators=[*OWN, "sep_conv_3x3"], extra_operators=OWN, **WEIGHED), 2),
    "own operators alone": Case(few(operators=list(OWN), extra_operators=OWN)),
    "6 channels": Case(few(), skeleton=Skeleton(channels=6, num_cells=4, in_channels=1), images=(3, 1, 9, 6)),
    "odd images": Case(few(), images=(2, 3, 13, 17)),
    "odd images, partial channels": Case(few(**WEIGHED), 2, images=(2, 3, 13, 17)),
    "imagenet": Case(few(), skeleton=Skeleton(channels=4, num_cells=3, stem="imagenet"), images=(4, 3, 37, 50)),
    "imagenet, partial channels": Case(
        few(**WEIGHED), 2, Skeleton(channels=4, num_cells=3, stem="imagenet"), (4, 3, 37, 50)
    ),
}
EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
SOME = pytest.mark.parametrize("name", ["pc_darts k=2", "own operators"])


def results(supernet: nn.Module, mixture: Mixture, batch: Batch) -> dict[str, Tensor]:
    """The loss, the logits and the gradient of every weight and of every table that has one."""
    mixture = mixture.as_leaves()
    supernet.zero_grad()
    logits = supernet(batch[0], mixture)
    loss = F.cross_entropy(logits, batch[1])
    loss.backward()
    named = [*supernet.named_parameters(), *mixture.tables.items()]
    gradients = {name: tensor.grad for name, tensor in named if tensor.grad is not None}
    return {"loss": loss.detach(), "logits": logits.detach(), **gradients}


def error(got: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, floor: float = 0.0) -> float:
    """The largest |got - wanted| of a tensor in units of its norm, or of `floor` times the largest norm of all."""
    assert list(got) == list(wanted)
    largest = max(float(tensor.norm()) for tensor in wanted.values())
    errors = []
    for name, right in wanted.items():
        assert got[name].shape == right.shape
        assert got[name].dtype == right.dtype
        assert got[name].isfinite().all(), name
        norm = max(float(right.norm()), floor * largest)
        difference = float((got[name] - right).norm())
        errors.append(difference / norm if norm else float(difference > 0))
    return max(errors)


@EVERY
def test_loss_logits_and_gradients_are_those_edge_by_edge(case: Case) -> None:
    supernets, mixture, batch = case.supernets(), case.mixture(), case.batch()
    wanted, found = (results(supernet, mixture, batch) for supernet in supernets)
    assert {name for name, _ in supernets[0].named_parameters()} <= {*wanted}
    assert error(found, wanted) < 1e-9
    assert_close(found, wanted, **EXACT)


@pytest.mark.parametrize(("name", "sizes"), [("weighed inputs", {3, 5}), ("sep_conv_7x7", {3, 7})])
def test_kernels_of_large_sources_keep_their_sizes(name: str, sizes: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of small ones are padded to the largest; both equal edge by edge."""
    case, counts = CASES[name], []
    supernets, mixture, batch = case.supernets(), case.mixture(), case.batch()
    wanted = results(supernets[0], mixture, batch)
    for smallest in (1, 1 << 30):
        monkeypatch.setattr("nas.supernet.fan.APART", smallest)
        convolve = Mock(wraps=depthwise_conv2d)
        monkeypatch.setattr("search_spaces.operators.convolutions.depthwise_conv2d", convolve)
        found = results(supernets[1], mixture, batch)
        counts.append(Counter(call.args[1].shape[-1] for call in convolve.call_args_list))
        assert error(found, wanted) < 1e-9
        assert_close(found, wanted, **EXACT)
    apart, joined = counts
    assert {*apart} == sizes
    assert joined[max(sizes)] == apart[max(sizes)]
    assert joined[min(sizes)] < apart[min(sizes)]


@pytest.mark.parametrize("name", ["weighed inputs", "pc_darts k=2"])
def test_float32_is_near(name: str) -> None:
    """Rounding may flip a ReLU or the winner of a pool, whose pixel then counts in a gradient or does not: the median
    of three batches knows nothing of that. Gradients of less than 1 % of the largest norm are measured by that, as
    rounding does not shrink with them."""
    case, errors = CASES[name], []
    supernets, mixture = case.supernets(torch.float32), case.mixture(torch.float32)
    for seed in range(3):
        wanted, found = (results(net, mixture, case.batch(seed, torch.float32)) for net in supernets)
        assert_close(found["logits"], wanted["logits"], rtol=1e-4, atol=1e-4)
        errors.append(error(found, wanted, floor=0.01))
    assert statistics.median(errors) < 1e-4


@SOME
def test_an_architecture_is_the_same_in_both(name: str) -> None:
    """Rows of zeros and ones, as in one-shot evaluation: whole blocks have the weight 0."""
    case = CASES[name]
    supernets, space = case.supernets(), case.space(BATCHED)
    for genotype in draws(space, 2):
        selection = space.selection(genotype)
        selection = Mixture(selection.layout, {name: table.double() for name, table in selection.tables.items()})
        wanted, found = (results(supernet, selection, case.batch()) for supernet in supernets)
        assert_close(found, wanted, **EXACT)
        inherited = [space.inherited(supernet, genotype)(case.batch()[0]) for supernet in supernets]
        assert_close(inherited[0], inherited[1], **EXACT)
        assert_close(inherited[1], found["logits"], **EXACT)


@pytest.mark.parametrize("name", ["pc_darts k=2", "all operators", "own operators"])
def test_the_same_seed_gives_the_same_weights_under_the_same_names(name: str) -> None:
    case, states = CASES[name], []
    for execution in (EDGE_BY_EDGE, BATCHED):
        torch.manual_seed(3)
        states.append(case.space(execution).supernet(case.skeleton).state_dict())
    assert list(states[0]) == list(states[1])
    assert_close(dict(states[0]), dict(states[1]), rtol=0, atol=0)


@SOME
def test_weights_pass_from_either_to_the_other(name: str) -> None:
    case = CASES[name]
    mixture, (images, _) = case.mixture(), case.batch()
    for order in ((EDGE_BY_EDGE, BATCHED), (BATCHED, EDGE_BY_EDGE)):
        giver, taker = (case.space(execution).supernet(case.skeleton).double() for execution in order)
        with torch.no_grad():
            wanted = giver(images, mixture)
            assert not torch.isclose(taker(images, mixture), wanted).all()
            taker.load_state_dict(giver.state_dict())
            assert_close(taker(images, mixture), wanted, **EXACT)


def test_all_operators_of_the_catalogue_but_one_have_a_batched_form() -> None:
    """Besides `none`, which is left out."""
    for stride in (1, 2):
        alone = [name for name, make in OPERATORS.items() if not isinstance(make(4, stride, SEARCH), Batched)]
        assert alone == ["none", "conv_7x1_1x7"]
    assert isinstance(ScaledTanh(4, 1, SEARCH), Batched)
    assert not isinstance(tanh_conv(4, 1, SEARCH), Batched)


@pytest.mark.parametrize("num_nodes", [1, 3])
def test_an_operator_with_a_batched_form_runs_once_a_stage(num_nodes: int) -> None:
    """A stage are the edges that leave the two inputs, or a node."""
    case = Case(few(operators=list(OWN), extra_operators=OWN, num_nodes=num_nodes))
    edges = num_nodes * (num_nodes + 3) // 2
    for supernet, forwards, batches in zip(case.supernets(), (edges, 0), (0, num_nodes), strict=True):
        supernet(case.batch()[0], case.mixture())
        for cell in supernet.get_submodule("cells").children():
            own = [module for module in cell.modules() if isinstance(module, ScaledTanh)]
            assert len(own) == edges
            assert sum(module.forwards for module in own) == forwards
            assert sum(module.batches for module in own) == batches


@SOME
def test_frozen_weights_change_no_other_gradient(name: str) -> None:
    case = CASES[name]
    supernets, mixture = case.supernets(), case.mixture()
    for start in (0, 1):
        for supernet in supernets:
            for number, parameter in enumerate(supernet.parameters()):
                parameter.requires_grad_(number % 2 == start)
        wanted, found = (results(supernet, mixture, case.batch()) for supernet in supernets)
        assert error(found, wanted) < 1e-9


@SOME
def test_modes_change_nothing(name: str) -> None:
    case = CASES[name]
    supernet, mixture, (images, _) = case.supernets()[1], case.mixture(), case.batch()
    wanted = supernet(images, mixture).detach()
    state, random_state = copy.deepcopy(supernet.state_dict()), torch.get_rng_state()
    with torch.no_grad():
        assert torch.equal(supernet(images, mixture), wanted)
        assert torch.equal(supernet.eval()(images, mixture), wanted)
    with torch.inference_mode():
        assert torch.equal(supernet(images, mixture), wanted)
    assert_close(dict(supernet.state_dict()), dict(state), rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), random_state)


# weights from outside


@SOME
def test_other_weights_may_be_given(name: str) -> None:
    case = CASES[name]
    supernets, mixture, batch = case.supernets(), case.mixture(), case.batch()
    other = {key: value + 0.1 * random_images(*value.shape) for key, value in supernets[0].state_dict().items()}
    found = []
    for supernet in supernets:
        weights = {key: value.clone().requires_grad_() for key, value in other.items()}
        logits = functional_call(supernet, weights, (batch[0], mixture))
        loss, same = Objective(supernet)(batch, mixture, weights)
        assert torch.equal(same, logits)
        leaves = [*weights.values(), *mixture.tables.values()]
        gradients = torch.autograd.grad(loss, leaves)
        found.append({"logits": logits.detach(), **dict(zip([*weights, *mixture.tables], gradients, strict=True))})
        assert all(parameter.grad is None for parameter in supernet.parameters())
    assert error(found[1], found[0]) < 1e-9
    supernets[1].load_state_dict(other)
    assert_close(results(supernets[1], mixture, batch)["logits"], found[1]["logits"], **EXACT)


@SOME
def test_the_gradients_of_the_mixture_are_those_edge_by_edge(name: str) -> None:
    """The direct one, with constant weights, and the unrolled one."""
    case, found = CASES[name], []
    for supernet in case.supernets():
        optimizer, mixture = bilevel(case, supernet, SecondOrder), case.mixture()
        gradients = [
            *optimizer.direct_gradient(mixture, case.batch(1))[1],
            *optimizer.mixture_gradient(mixture, case.batch(0), case.batch(1))[1],
        ]
        assert all(parameter.grad is None for parameter in supernet.parameters())
        found.append({str(number): gradient for number, gradient in enumerate(gradients)})
    assert all(gradient.any() for gradient in found[0].values())
    assert error(found[1], found[0]) < 1e-8


@pytest.mark.parametrize("kind", [FirstOrder, SecondOrder])
def test_a_search_takes_the_same_steps(kind: type[BilevelOptimizer]) -> None:
    case, ends = Case(few(operators=("none", "avg_pool_3x3", "sep_conv_3x3", "sep_conv_5x5"), **WEIGHED)), []
    for supernet in case.supernets():
        optimizer = bilevel(case, supernet, kind)
        before = copy.deepcopy(optimizer.arch.state_dict())
        for step in range(3):
            optimizer.arch_step(case.batch(2 * step), case.batch(2 * step + 1))
            optimizer.weight_step(case.batch(2 * step))
        ends.append({**optimizer.arch.state_dict(), **supernet.state_dict()})
        assert not any(torch.isclose(before[table], ends[-1][table], atol=1e-4).all() for table in before)
    assert_close(ends[1], ends[0], rtol=1e-8, atol=1e-8)


def bilevel(case: Case, supernet: nn.Module, kind: type[BilevelOptimizer]) -> BilevelOptimizer:
    """DARTS' optimizers."""
    arch = ArchParameters(case.space(BATCHED).choices, generator=torch.Generator().manual_seed(1)).double()
    return kind(
        Objective(supernet),
        arch,
        Softmax(),
        torch.optim.SGD(supernet.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4),
        torch.optim.Adam(arch.parameters(), lr=0.01, betas=(0.5, 0.999), weight_decay=1e-3),
        clip_norm=5.0,
    )


# copies


@SOME
def test_a_copy_has_weights_of_its_own(name: str) -> None:
    case = CASES[name]
    (edge_by_edge, batched), mixture, (images, _) = case.supernets(), case.mixture(), case.batch()
    with torch.no_grad():
        before = batched(images, mixture)
        twin = copy.deepcopy(batched)
        assert torch.equal(twin(images, mixture), before)
        for parameter in twin.parameters():
            parameter.mul_(1.5)
        edge_by_edge.load_state_dict(twin.state_dict())
        assert_close(twin(images, mixture), edge_by_edge(images, mixture), **EXACT)
        assert not torch.isclose(twin(images, mixture), before).all()
        assert torch.equal(batched(images, mixture), before)


def test_a_supernet_survives_a_file(tmp_path: object) -> None:
    case = CASES["one node"]
    supernet, path = case.supernets()[1], f"{tmp_path}/supernet.pt"
    torch.save(supernet, path)
    images, mixture = case.batch()[0], case.mixture()
    read = torch.load(path, weights_only=False)
    with torch.no_grad():
        assert torch.equal(read(images, mixture), supernet(images, mixture))


# the setting


def test_batched_is_the_default() -> None:
    assert darts().execution == pc_darts().execution == BATCHED


@pytest.mark.parametrize("execution", ["fast", "", "Batched", None])
def test_another_execution_is_refused(execution: object) -> None:
    with pytest.raises(ValueError, match=rf"^space\.execution is {execution!r}; give batched or edge_by_edge$"):
        darts(execution=execution)


def test_the_execution_is_no_part_of_a_genotype() -> None:
    one, other = (draws(darts(execution=execution), 3) for execution in (EDGE_BY_EDGE, BATCHED))
    assert one == other


# bf16


@pytest.mark.parametrize("name", ["weighed inputs", "pc_darts k=2"])
def test_bf16_is_near_float32(name: str) -> None:
    """bf16 keeps 8 bits; the errors of three cells add up to a few percent, edge by edge as well."""
    case = CASES[name]._replace(images=(8, 3, 8, 8))
    supernet, mixture, batch = case.supernets(torch.float32)[1], case.mixture(torch.float32), case.batch()
    images = batch[0].float()
    wanted = results(supernet, mixture, (images, batch[1]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = results(supernet, mixture, (images, batch[1]))
    assert found["logits"].dtype == torch.bfloat16
    assert (found["logits"] - wanted["logits"]).norm() < 0.05 * wanted["logits"].norm()
    for key in mixture.tables:
        assert (found[key] - wanted[key]).norm() < 0.5 * wanted[key].norm()
    for key, value in found.items():
        assert value.isfinite().all(), key
        assert value.dtype == torch.float32 or key == "logits"


class Own(DepthwiseSeparable):
    """A separable convolution that does something else."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def affine(channels: int, stride: int, norm: Normalization) -> nn.Module:
    module = DepthwiseSeparable(3, channels, stride, replace(norm, affine=True), repeats=2)
    nn.init.constant_(module[-1].weight, 3.0)
    return module


def appended(channels: int, stride: int, norm: Normalization) -> nn.Module:
    return cast(nn.Sequential, OPERATORS["sep_conv_3x3"](channels, stride, norm)).append(nn.Hardtanh(-0.5, 0.5))


def pooled(channels: int, stride: int, norm: Normalization) -> nn.Module:
    return cast(nn.Sequential, OPERATORS["max_pool_3x3"](channels, stride, norm)).append(
        nn.Conv2d(channels, channels, 1)
    )


def without_a_norm(channels: int, stride: int, norm: Normalization) -> nn.Module:
    module = cast(nn.Sequential, OPERATORS["sep_conv_3x3"](channels, stride, norm))
    module[7] = nn.Identity()
    return module


def other_eps(channels: int, stride: int, norm: Normalization) -> nn.Module:
    module = OPERATORS["sep_conv_3x3"](channels, stride, norm)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 0.1
    return module


@pytest.mark.parametrize(
    "own", [affine, appended, pooled, without_a_norm, other_eps, lambda c, s, n: Own(3, c, s, n, repeats=2)]
)
def test_what_a_user_builds_on_an_operator_of_ours_keeps_its_own_mathematics(own: Operator) -> None:
    changes: dict[str, Any] = {
        "operators": ["skip_connect", "sep_conv_5x5", "own"],
        "num_nodes": 2,
        "extra_operators": {"own": own},
    }
    losses = []
    for execution in ("batched", "edge_by_edge"):
        space = darts(execution=execution, **changes)
        torch.manual_seed(0)
        supernet = space.supernet(Skeleton(channels=4, num_cells=3)).double()
        mixture = (
            ArchParameters(space.choices, generator=torch.Generator().manual_seed(0)).double().mixture(Softmax().mean)
        )
        x = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        losses.append(supernet(x, mixture).square().sum())
    assert_close(*losses, rtol=1e-9, atol=0)
