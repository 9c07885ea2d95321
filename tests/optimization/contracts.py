"""What every bilevel optimizer must hold: inherit the class in a test module and give `make`.

class TestMyOptimizer(BilevelOptimizerContract):
    def make(self, *parts, **settings):
        return MyOptimizer(*parts, **settings)
"""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.optimization import BilevelOptimizer, Objective
from nas.relaxation import Softmax
from tests.optimization.toys import Gumbel, SmallNet, adam, batch, small_arch

TRAIN, VALID = batch(10), batch(11)


def assert_same_bits(got: Any, wanted: Any) -> None:
    """Two nested pieces of tensors, numbers, texts and None are equal to the last bit."""
    if isinstance(wanted, Mapping):
        assert list(got) == list(wanted)
        for key, value in wanted.items():
            assert_same_bits(got[key], value)
    elif isinstance(wanted, list | tuple):
        assert len(got) == len(wanted)
        for one, other in zip(got, wanted, strict=True):
            assert_same_bits(one, other)
    elif isinstance(wanted, str):
        assert got == wanted
    else:
        torch.testing.assert_close(got, wanted, rtol=0, atol=0, equal_nan=True, check_stride=True)


def snapshot(bilevel: BilevelOptimizer) -> dict[str, Any]:
    """Copies of all that an architecture step must leave alone."""
    supernet, optimizer = bilevel.objective.supernet, bilevel.weight_optimizer
    return {
        "weights and buffers": {name: value.clone() for name, value in supernet.state_dict().items()},
        "same tensors": [id(value) for value in supernet.state_dict(keep_vars=True).values()],
        "gradients": {name: copy.deepcopy(weight.grad) for name, weight in supernet.named_parameters()},
        "asks for gradients": [weight.requires_grad for weight in supernet.parameters()],
        "training mode": [module.training for module in supernet.modules()],
        "weight optimizer": copy.deepcopy(optimizer.state_dict()),
    }


class BilevelOptimizerContract:
    """Tests in float64 on `SmallNet` with SGD (momentum, weight decay) for its weights."""

    def make(self, *parts: Any, **settings: Any) -> BilevelOptimizer:
        """The optimizer of (objective, arch, relaxation, weight_optimizer, arch_optimizer), clip_norm=..."""
        raise NotImplementedError

    def bilevel(
        self, *, running: bool = True, relaxation: Any = None, arch_optimizer: Any = adam, **settings: Any
    ) -> BilevelOptimizer:
        """The optimizer around a fresh `SmallNet`, always the same one."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            supernet, arch = SmallNet(running=running).double(), small_arch()
        weight_optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, weight_decay=3e-2)
        return self.make(
            Objective(supernet),
            arch,
            relaxation or Softmax(),
            weight_optimizer,
            arch_optimizer(arch.parameters()),
            **settings,
        )

    # the architecture step

    @pytest.mark.parametrize("gradients", ["none", "some"])
    @pytest.mark.parametrize("weight_steps", [0, 2])
    @pytest.mark.parametrize("running", [False, True])
    def test_architecture_step_leaves_the_network_as_it_was(
        self, running: bool, weight_steps: int, gradients: str
    ) -> None:
        bilevel = self.bilevel(running=running)
        for _ in range(weight_steps):
            bilevel.weight_step(TRAIN)
        bilevel.weight_optimizer.zero_grad()
        if gradients == "some":
            for weight in list(bilevel.objective.supernet.parameters())[::2]:
                weight.grad = torch.randn_like(weight)
        before = snapshot(bilevel)
        bilevel.arch_step(TRAIN, VALID)
        assert_same_bits(snapshot(bilevel), before)

    def test_architecture_step_in_evaluation_mode_leaves_the_network_as_it_was(self) -> None:
        bilevel = self.bilevel()
        bilevel.weight_step(TRAIN)
        bilevel.objective.supernet.eval()
        before = snapshot(bilevel)
        bilevel.arch_step(TRAIN, VALID)
        assert_same_bits(snapshot(bilevel), before)

    def test_architecture_step_moves_every_alpha(self) -> None:
        bilevel = self.bilevel()
        before = copy.deepcopy(bilevel.arch)
        bilevel.arch_step(TRAIN, VALID)
        for (name, alphas), (_, old) in zip(bilevel.arch.named(), before.named(), strict=True):
            assert torch.isfinite(alphas).all(), name
            assert (alphas != old).all(), name

    def test_architecture_steps_do_not_add_up_their_gradients(self) -> None:
        bilevel = self.bilevel(arch_optimizer=lambda alphas: torch.optim.SGD(alphas, lr=0.0))
        gradients = []
        for _ in range(2):
            bilevel.arch_step(TRAIN, VALID)
            gradients.append([alphas.grad.clone() for alphas in bilevel.arch.parameters()])
        assert_same_bits(gradients[1], gradients[0])

    def test_architecture_step_draws_once(self) -> None:
        relaxation = Gumbel()
        bilevel = self.bilevel(relaxation=relaxation)
        bilevel.arch_step(TRAIN, VALID)
        assert sorted(tuple(draw.shape) for draw in relaxation.draws) == [(1, 2), (2, 3)]  # once a table

    def test_every_evaluation_of_the_loss_sees_the_one_draw(self) -> None:
        relaxation, seen = Gumbel(), []
        bilevel = self.bilevel(relaxation=relaxation)
        call = bilevel.objective.supernet.forward

        def forward(x: Tensor, mixture: Any) -> Tensor:
            seen.append([table.detach().clone() for table in mixture.tables.values()])
            return call(x, mixture)

        bilevel.objective.supernet.forward = forward  # type: ignore[method-assign]
        bilevel.arch_step(TRAIN, VALID)
        assert seen
        for tables in seen:
            assert_same_bits(tables, relaxation.draws)

    def test_random_relaxation_passes_its_gradient_on(self) -> None:
        bilevel = self.bilevel(relaxation=Gumbel())
        bilevel.arch_step(TRAIN, VALID)
        assert all((alphas.grad != 0).all() for alphas in bilevel.arch.parameters())

    def test_architecture_step_does_not_clip(self) -> None:
        clipped, free = self.bilevel(clip_norm=1e-6), self.bilevel()
        for bilevel in (clipped, free):
            bilevel.arch_step(TRAIN, VALID)
        gradients = [[alphas.grad for alphas in bilevel.arch.parameters()] for bilevel in (clipped, free)]
        assert nn.utils.get_total_norm(gradients[1]) > 1e-3
        assert_same_bits(gradients[0], gradients[1])

    # the weight step

    @pytest.mark.parametrize("clip_norm", [None, 0.05])
    def test_weight_steps_are_those_of_torch(self, clip_norm: float | None) -> None:
        bilevel = self.bilevel(clip_norm=clip_norm)
        supernet = copy.deepcopy(bilevel.objective.supernet)
        optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, weight_decay=3e-2)
        for images, labels in (TRAIN, VALID):
            loss, logits = bilevel.weight_step((images, labels))
            optimizer.zero_grad()
            wanted = supernet(images, bilevel.mean_mixture())
            wanted_loss = nn.functional.cross_entropy(wanted, labels)
            wanted_loss.backward()
            if clip_norm is not None:
                assert nn.utils.clip_grad_norm_(supernet.parameters(), clip_norm) > clip_norm
            optimizer.step()
            assert_same_bits([loss, logits], [wanted_loss.detach(), wanted.detach()])
        assert_same_bits(bilevel.objective.supernet.state_dict(), supernet.state_dict())

    def test_weight_step_leaves_the_alphas_alone(self) -> None:
        bilevel = self.bilevel()
        before = copy.deepcopy(bilevel.arch.state_dict())
        weights = [weight.clone() for weight in bilevel.objective.supernet.parameters()]
        bilevel.weight_step(TRAIN)
        assert_same_bits(bilevel.arch.state_dict(), before)
        assert all(alphas.grad is None for alphas in bilevel.arch.parameters())
        assert not bilevel.arch_optimizer.state
        assert not any(torch.equal(a, b) for a, b in zip(bilevel.objective.supernet.parameters(), weights, strict=True))

    def test_weight_step_draws_once(self) -> None:
        relaxation = Gumbel()
        self.bilevel(relaxation=relaxation).weight_step(TRAIN)
        assert len(relaxation.draws) == 2  # one for each table

    # both

    def test_weights_and_alphas_are_disjoint(self) -> None:
        bilevel = self.bilevel()
        weights = {id(weight) for weight in bilevel.objective.supernet.parameters()}
        alphas = {id(alpha) for alpha in bilevel.arch.parameters()}
        assert not weights & alphas
        for optimizer, owned in ((bilevel.weight_optimizer, weights), (bilevel.arch_optimizer, alphas)):
            assert {id(parameter) for group in optimizer.param_groups for parameter in group["params"]} == owned

    def test_same_steps_lead_to_the_same_bits(self) -> None:
        states = []
        for _ in range(2):
            bilevel = self.bilevel(clip_norm=0.5)
            for _ in range(3):
                bilevel.arch_step(TRAIN, VALID)
                bilevel.weight_step(TRAIN)
            states.append([bilevel.arch.state_dict(), bilevel.objective.supernet.state_dict()])
        assert_same_bits(states[0], states[1])

    def test_mean_mixture_is_the_relaxations_mean_without_a_graph(self) -> None:
        relaxation = Gumbel()
        bilevel = self.bilevel(relaxation=relaxation)
        mixture = bilevel.mean_mixture()
        assert not relaxation.draws
        for name, table in mixture.tables.items():
            assert not table.requires_grad
            assert_same_bits(table, bilevel.arch.tables[name].detach().softmax(dim=-1))
