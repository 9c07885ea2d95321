"""What every search space, relaxation, operator and mixed module must hold: test classes to inherit.

Importable by anyone. Give the fixture that the class names, and every test of the contract runs on your part:

    from tests.contracts import SpaceContract

    class TestMySpace(SpaceContract):
        @pytest.fixture
        def space(self) -> SearchSpace:
            return MySpace()

A fixture with `params` runs the contract once for each of them. `SpaceContract` needs `space`, and may be given another
`skeleton`, other `images` or `shares`; `RelaxationContract` needs `relaxation`; `OperatorContract` needs `operator`;
`MixedModuleContract` needs `mixed`, in float64, and `x`, an input that it takes.
"""

import math
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.testing import assert_close

from nas.architecture import ArchParameters, Choice, Genotype
from nas.relaxation import Relaxation, Softmax
from nas.space import DiscreteNetwork, SearchSpace, Skeleton
from nas.supernet import Fan, MixedModule, batched_form, rows, weighted_sum
from search_spaces.operators import EVALUATION, SEARCH, Operator

EXACT = {"rtol": 1e-9, "atol": 1e-9}
"""Tolerances of float64 where equality is the claim."""


def draws(space: SearchSpace, count: int, seed: int = 0) -> list[Genotype]:
    """Genotypes sampled from a space."""
    generator = torch.Generator().manual_seed(seed)
    return [space.sample(generator) for _ in range(count)]


def random_images(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal images in float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class SpaceContract:
    """What `nas.space.SearchSpace` promises. Give `space`."""

    @pytest.fixture
    def skeleton(self) -> Skeleton:
        return Skeleton(channels=4, num_cells=3)

    @pytest.fixture
    def images(self) -> Tensor:
        return random_images(3, 3, 8, 8)

    def shares(self, space: SearchSpace, choice: Choice) -> Sequence[float]:
        """The share of uniform genotypes that keep each candidate: equal, unless a space says otherwise."""
        return [1 / len(choice.candidates)] * len(choice.candidates)

    @pytest.fixture
    def supernet(self, space: SearchSpace, skeleton: Skeleton) -> nn.Module:
        torch.manual_seed(0)
        return space.supernet(skeleton).double()

    def test_the_supernet_at_a_genotype_is_the_network_cut_out_of_it(
        self, space: SearchSpace, supernet: nn.Module, images: Tensor
    ) -> None:
        for genotype in draws(space, 3):
            network = space.inherited(supernet, genotype)
            assert isinstance(network, DiscreteNetwork)
            with torch.no_grad():
                assert_close(supernet(images, space.selection(genotype)), network(images), **EXACT)

    def test_different_genotypes_differ(self, space: SearchSpace, supernet: nn.Module, images: Tensor) -> None:
        first, second = draws(space, 2)
        assert first != second
        with torch.no_grad():
            difference = supernet(images, space.selection(first)) - supernet(images, space.selection(second))
        assert difference.abs().max() > 1e-6

    def test_what_is_cut_out_is_a_copy(self, space: SearchSpace, supernet: nn.Module) -> None:
        before = {name: value.clone() for name, value in supernet.state_dict().items()}
        network = space.inherited(supernet, draws(space, 1)[0])
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(1.0)
        assert_close(dict(supernet.state_dict()), before, rtol=0, atol=0)

    def test_derivation_returns_the_genotype_that_was_selected(self, space: SearchSpace) -> None:
        for genotype in draws(space, 20):
            assert space.derive(space.selection(genotype)) == genotype

    def test_a_genotype_survives_json(self, space: SearchSpace) -> None:
        for genotype in draws(space, 20):
            assert Genotype.from_json(genotype.to_json()) == genotype
            assert genotype.space == space.name

    def test_every_weight_and_every_alpha_gets_a_gradient(
        self, space: SearchSpace, supernet: nn.Module, skeleton: Skeleton, images: Tensor
    ) -> None:
        alphas = ArchParameters(space.choices, generator=torch.Generator().manual_seed(1)).double()
        labels = torch.arange(len(images)) % skeleton.num_classes
        F.cross_entropy(supernet(images, alphas.mixture(Softmax().sample)), labels).backward()
        for name, parameter in [*supernet.named_parameters(), *alphas.named_parameters()]:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name
        for name, alpha in alphas.tables.items():
            assert alpha.grad.ne(0).all(dim=1).all(), name

    def test_the_supernet_depends_on_its_arguments_alone(
        self, space: SearchSpace, supernet: nn.Module, images: Tensor
    ) -> None:
        mixture = ArchParameters(space.choices).mixture(Softmax().mean)
        given = images.clone()
        state = {name: value.clone() for name, value in supernet.state_dict().items()}
        random_state = torch.get_rng_state()
        with torch.no_grad():
            outputs = [supernet(images, mixture), supernet(images, mixture), supernet.eval()(images, mixture)]
        assert torch.equal(outputs[0], outputs[1])
        assert torch.equal(outputs[0], outputs[2])
        assert torch.equal(images, given)
        assert torch.equal(torch.get_rng_state(), random_state)
        assert_close(dict(supernet.state_dict()), state, rtol=0, atol=0)

    def test_the_supernet_runs_with_weights_that_are_lent_to_it(
        self, space: SearchSpace, supernet: nn.Module, images: Tensor
    ) -> None:
        """As an architecture step runs it, at constants instead of its parameters."""
        mixture = ArchParameters(space.choices).mixture(Softmax().mean)
        constants = {name: parameter.detach() for name, parameter in supernet.named_parameters()}
        doubled = {name: 2 * constant for name, constant in constants.items()}
        with torch.no_grad():
            assert torch.equal(functional_call(supernet, constants, (images, mixture)), supernet(images, mixture))
            assert not torch.equal(functional_call(supernet, doubled, (images, mixture)), supernet(images, mixture))

    def test_a_supernet_follows_from_the_seed(self, space: SearchSpace, skeleton: Skeleton) -> None:
        states = []
        for _ in range(2):
            torch.manual_seed(3)
            states.append(dict(space.supernet(skeleton).state_dict()))
        assert_close(states[0], states[1], rtol=0, atol=0)

    def test_the_compiled_parts_are_parts_of_the_supernet(self, space: SearchSpace, supernet: nn.Module) -> None:
        parts = space.compiled_parts(supernet)
        assert parts
        assert {id(part) for part in parts} <= {id(module) for module in supernet.modules()}

    def test_sampling_is_uniform_and_follows_from_the_generator(self, space: SearchSpace) -> None:
        genotypes = draws(space, 300)
        assert genotypes[:5] == draws(space, 5)
        selections = [space.selection(genotype) for genotype in genotypes]
        for choice in space.choices:
            found = torch.stack([mixture[choice.name] for mixture in selections]).mean(dim=0)
            for candidate, share, wanted in zip(choice.candidates, found, self.shares(space, choice), strict=True):
                deviation = math.sqrt(wanted * (1 - wanted) / len(genotypes))
                assert abs(float(share) - wanted) <= 5 * deviation + 1e-6, (choice.name, candidate, float(share))

    def test_the_network_returns_logits(self, space: SearchSpace, skeleton: Skeleton, images: Tensor) -> None:
        network = space.network(draws(space, 1)[0], skeleton).double()
        for logits in network.training_logits(images):
            assert logits.shape == (len(images), skeleton.num_classes)
        with torch.no_grad():
            assert torch.equal(network.eval()(images), network.training_logits(images)[0])

    def test_the_graphs_are_closed(self, space: SearchSpace) -> None:
        for graph in space.graphs(draws(space, 1)[0]):
            names = [*graph.inputs, *graph.nodes, graph.output]
            assert len(set(names)) == len(names)
            assert {edge.source for edge in graph.edges} <= {*graph.inputs, *graph.nodes}
            assert {edge.target for edge in graph.edges} == {*graph.nodes, graph.output}

    def test_the_statistics_are_numbers(self, space: SearchSpace) -> None:
        assert all(math.isfinite(value) for value in space.statistics(draws(space, 1)[0]).values())


class RelaxationContract:
    """What `nas.relaxation.Relaxation` promises. Give `relaxation`, and `sums_to_one = False` if its rows do not."""

    sums_to_one = True

    @pytest.fixture
    def alphas(self) -> Tensor:
        return torch.randn(5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def test_the_weights_are_shaped_like_alphas_and_not_negative(self, relaxation: Relaxation, alphas: Tensor) -> None:
        for given in (alphas, alphas.float()):
            for weights in (relaxation.sample(given), relaxation.mean(given)):
                assert weights.shape == given.shape
                assert weights.dtype == given.dtype
                assert (weights >= 0).all()

    def test_every_row_sums_to_one(self, relaxation: Relaxation, alphas: Tensor) -> None:
        if self.sums_to_one:
            for weights in (relaxation.sample(alphas), relaxation.mean(alphas)):
                assert_close(weights.sum(dim=-1), torch.ones(5, dtype=torch.float64), **EXACT)

    def test_the_largest_mean_is_at_the_largest_alpha(self, relaxation: Relaxation, alphas: Tensor) -> None:
        for scale in (1e-3, 1.0, 10.0):
            assert torch.equal(relaxation.mean(scale * alphas).argmax(dim=-1), alphas.argmax(dim=-1))

    @pytest.mark.parametrize("value", [0.0, 20.0, -20.0])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_gradients_are_finite(
        self, relaxation: Relaxation, alphas: Tensor, value: float, dtype: torch.dtype
    ) -> None:
        at = torch.full_like(alphas, value, dtype=dtype)
        at[0, 0] = -value
        at.requires_grad_()
        weights = relaxation.sample(at)
        (weights * alphas.to(dtype)).sum().backward()
        assert weights.isfinite().all()
        assert at.grad is not None
        assert at.grad.isfinite().all()
        assert at.grad.any()

    def test_the_mean_is_not_random_and_keeps_rows_apart(self, relaxation: Relaxation, alphas: Tensor) -> None:
        random_state = torch.get_rng_state()
        mean = relaxation.mean(alphas)
        assert torch.equal(relaxation.mean(alphas), mean)
        assert_close(relaxation.mean(alphas[2:3]), mean[2:3], **EXACT)
        assert torch.equal(torch.get_rng_state(), random_state)

    def test_annealing_keeps_the_largest_first(self, relaxation: Relaxation, alphas: Tensor) -> None:
        for progress in (0.0, 0.5, 1.0):
            relaxation.anneal(progress)
            assert torch.equal(relaxation.mean(alphas).argmax(dim=-1), alphas.argmax(dim=-1))


class OperatorContract:
    """What `search_spaces.operators.Operator` promises. Give `operator`."""

    @pytest.mark.parametrize("stride", [1, 2])
    @pytest.mark.parametrize("size", [(8, 8), (7, 7), (5, 8), (8, 3), (1, 2)])
    @pytest.mark.parametrize("norm", [SEARCH, EVALUATION], ids=["search", "evaluation"])
    def test_channels_stay_and_sizes_are_divided_upwards(
        self, operator: Operator, stride: int, size: tuple[int, int], norm: object
    ) -> None:
        y = operator(4, stride, norm).double()(random_images(3, 4, *size))
        assert y.shape == (3, 4, math.ceil(size[0] / stride), math.ceil(size[1] / stride))
        assert y.dtype == torch.float64

    @pytest.mark.parametrize("stride", [1, 2])
    def test_norms_are_plain_in_search_and_learned_in_evaluation(self, operator: Operator, stride: int) -> None:
        for norm in _norms(operator(4, stride, SEARCH)):
            assert not norm.affine
            assert not norm.track_running_stats
        for norm in _norms(operator(4, stride, EVALUATION)):
            assert norm.affine
            assert norm.track_running_stats

    @pytest.mark.parametrize("stride", [1, 2])
    def test_the_search_form_leaves_no_trace(self, operator: Operator, stride: int) -> None:
        module, x = operator(4, stride, SEARCH).double(), random_images(3, 4, 6, 6)
        given, before = x.clone(), {name: value.clone() for name, value in module.state_dict().items()}
        first = module(x)
        assert torch.equal(module(x), first)
        assert torch.equal(module.eval()(x), first)
        assert torch.equal(x, given)
        assert_close(dict(module.state_dict()), before, rtol=0, atol=0)

    @pytest.mark.parametrize("stride", [1, 2])
    def test_images_do_not_see_each_other_in_evaluation(self, operator: Operator, stride: int) -> None:
        module, x = operator(4, stride, EVALUATION).double().eval(), random_images(3, 4, 6, 6)
        with torch.no_grad():
            assert_close(module(x)[1:2], module(x[1:2]), **EXACT)

    @pytest.mark.parametrize("stride", [1, 2])
    def test_gradients_are_finite(self, operator: Operator, stride: int) -> None:
        module, x = operator(4, stride, SEARCH).double(), random_images(3, 4, 6, 6).requires_grad_()
        y = module(x)
        if y.requires_grad:
            (y * random_images(*y.shape, seed=1)).sum().backward()
            assert x.grad is not None
            for tensor in (x, *module.parameters()):
                assert tensor.grad is not None
                assert tensor.grad.isfinite().all()

    @pytest.mark.parametrize(("sources", "targets"), [(1, 3), (2, 2)])
    @pytest.mark.parametrize("size", [(6, 6), (5, 7)])
    @pytest.mark.parametrize("stride", [1, 2])
    def test_the_batched_form_is_the_operator_on_every_edge(
        self, operator: Operator, stride: int, size: tuple[int, int], sources: int, targets: int
    ) -> None:
        torch.manual_seed(0)
        edges = [operator(4, stride, SEARCH).double() for _ in range(targets * sources)]
        first = edges[0]
        form = batched_form(first)
        if form is None:
            pytest.skip("it has no batched form")
        x = random_images(3, sources * 4, *size).contiguous(memory_format=torch.channels_last).requires_grad_()
        weights = random_images(targets, sources, seed=1).requires_grad_()
        parts = x.split(4, dim=1)
        outputs = torch.stack([rows(edge(parts[number % sources])) for number, edge in enumerate(edges)])
        wanted = (weights[:, :, None, None] * outputs.unflatten(0, (targets, sources))).sum(1)
        stacked = zip(*(edge.parameters() for edge in edges), strict=True)
        names = [name for name, _ in first.named_parameters()]
        parameters = {name: torch.stack(every) for name, every in zip(names, stacked, strict=True)}
        fan = Fan(x, sources, targets)
        found = weighted_sum(fan, [(form.batched(fan, parameters), weights)], None)
        assert_close(found, wanted, **EXACT)
        leaves, upstream = [x, weights, *nn.ModuleList(edges).parameters()], random_images(*wanted.shape, seed=2)
        gradients = [torch.autograd.grad(y, leaves, upstream) for y in (found, wanted)]
        assert_close(gradients[0], gradients[1], **EXACT)


class MixedModuleContract:
    """What `nas.supernet.MixedModule` promises. Give `mixed`, in float64, and `x`."""

    def test_a_one_hot_mixture_is_the_selected_module(self, mixed: MixedModule, x: Tensor) -> None:
        rows = torch.eye(len(mixed.candidates), dtype=torch.float64)
        for candidate, weights in zip(mixed.candidates, rows, strict=True):
            assert_close(mixed(x, weights), mixed.select(candidate)(x), **EXACT)

    def test_selecting_shares_the_weights(self, mixed: MixedModule) -> None:
        own = {parameter.data_ptr() for parameter in mixed.parameters()}
        for candidate in mixed.candidates:
            assert {parameter.data_ptr() for parameter in mixed.select(candidate).parameters()} <= own

    def test_a_call_can_take_other_tensors_than_its_parameters(self, mixed: MixedModule, x: Tensor) -> None:
        """As in architecture steps, whose weights are constants."""
        weights = torch.linspace(1, 2, len(mixed.candidates), dtype=x.dtype).softmax(dim=0)
        constants = {name: parameter.detach() for name, parameter in mixed.named_parameters()}
        found = torch.func.functional_call(mixed, constants, (x, weights))
        assert_close(found, mixed(x, weights), rtol=0, atol=0)

    def test_every_weight_of_the_mixture_gets_a_gradient(self, mixed: MixedModule, x: Tensor) -> None:
        count = len(mixed.candidates)
        weights = torch.full((count,), 1 / count, dtype=torch.float64, requires_grad=True)
        y = mixed(x, weights)
        (y * random_images(*y.shape, seed=1)).sum().backward()
        assert weights.grad is not None
        assert weights.grad.ne(0).all()

    def test_the_gradient_of_the_mixture_is_that_of_finite_differences(self, mixed: MixedModule, x: Tensor) -> None:
        count = len(mixed.candidates)
        weights = torch.linspace(0.1, 0.9, count, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda w: mixed(x, w), (weights,))

    def test_the_candidates_are_distinct(self, mixed: MixedModule) -> None:
        assert len(set(mixed.candidates)) == len(mixed.candidates)
        assert mixed.kind


def _norms(module: nn.Module) -> list[_BatchNorm]:
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]
