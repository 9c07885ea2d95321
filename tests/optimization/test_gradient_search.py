"""Search by gradients, put together from its parts."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from nas.optimization import FirstOrder, GradientSearch, Recipe, SecondOrder
from nas.optimization.gradient_search import GradientSearchProcess
from nas.relaxation import Softmax
from nas.space import SearchSpace
from tests.optimization.contracts import assert_same_bits
from tests.optimization.toys import CPU, TINY, Gumbel, adam, feed, recipe, small_space, tiny_cells


def method(**settings: Any) -> GradientSearch:
    defaults = {"name": "first_order", "relaxation": Softmax(), "bilevel": FirstOrder, "arch_optimizer": adam}
    return GradientSearch(**{**defaults, **settings})


def started(
    settings: Recipe, *, space: SearchSpace | None = None, seed: int = 0, **parts: Any
) -> GradientSearchProcess:
    torch.manual_seed(seed)
    process = method(**parts).start(space or small_space(), TINY, feed(1), feed(2), settings, CPU)
    assert isinstance(process, GradientSearchProcess)
    return process


def ignore() -> None:
    pass


@pytest.mark.parametrize(
    ("share", "epochs", "warmup"),
    [(0.3, 50, 15), (0.7, 50, 35), (0.2, 15, 3), (0.29, 100, 29), (0.0, 50, 0), (0.99, 3, 2), (0.5, 1, 0)],
)
def test_warmup_is_a_share_of_the_epochs_rounded_down(share: float, epochs: int, warmup: int) -> None:
    """PC-DARTS: 15 of 50 epochs on CIFAR-10, 35 of 50 on ImageNet."""
    assert started(recipe(epochs), arch_warmup=share).warmup_epochs == warmup


@pytest.mark.parametrize("share", [-0.1, 1.0, 15, math.nan])
def test_refuses_a_warmup_that_is_no_share(share: float) -> None:
    with pytest.raises(ValueError, match=rf"trainer\.arch_warmup is {share}; give a share of the epochs in \[0, 1\)"):
        method(arch_warmup=share)


def test_alphas_stand_still_in_warmup() -> None:
    process = started(recipe(4), space=tiny_cells(), arch_warmup=0.5)
    start = {name: alphas.tolist() for name, alphas in process.bilevel.arch.named()}
    assert [record.alphas == start for record in process.epochs(ignore)] == [True, True, False, False]


@pytest.mark.parametrize("scale", [1e-3, 0.5])
def test_alphas_start_as_scaled_normal_draws(scale: float) -> None:
    process = started(recipe(1), space=tiny_cells(num_nodes=2), alpha_scale=scale)
    alphas = torch.cat([alphas for _, alphas in process.bilevel.arch.named()])
    assert len(alphas) == 30
    assert 0.5 * scale < alphas.std() < 1.6 * scale
    assert alphas.abs().mean() > 0.4 * scale


def test_parts_are_wired() -> None:
    settings = recipe(2, clip_norm=0.7, autocast=torch.bfloat16)
    bilevel = started(settings, bilevel=SecondOrder).bilevel
    assert isinstance(bilevel, SecondOrder)
    assert bilevel.clip_norm == 0.7
    assert bilevel.objective.autocast is torch.bfloat16
    weights = {id(weight) for weight in bilevel.objective.supernet.parameters()}
    alphas = {id(alpha) for alpha in bilevel.arch.parameters()}
    for optimizer, owned in ((bilevel.weight_optimizer, weights), (bilevel.arch_optimizer, alphas)):
        assert {id(parameter) for group in optimizer.param_groups for parameter in group["params"]} == owned
    assert not weights & alphas


def test_on_step_is_called_after_every_step() -> None:
    calls = []
    records = list(started(recipe(2)).epochs(lambda: calls.append(1)))
    assert (len(records), len(calls)) == (2, 2 * 3)


@pytest.mark.parametrize("bilevel", [FirstOrder, SecondOrder])
@pytest.mark.parametrize("make", [tiny_cells, lambda: small_space(running=True)])
def test_same_seed_same_search_and_another_seed_another(make: Callable[[], SearchSpace], bilevel: Any) -> None:
    runs = []
    for seed in (0, 0, 1):
        process = started(recipe(2), space=make(), seed=seed, bilevel=bilevel, relaxation=Gumbel())
        records = [{**record.to_dict(), "seconds": 0.0} for record in process.epochs(ignore)]
        runs.append((records, process.state_dict()))
    assert runs[0][0] == runs[1][0]
    assert_same_bits(runs[0][1], runs[1][1])
    assert runs[0][0] != runs[2][0]


def test_mixture_is_the_mean_one() -> None:
    process = started(recipe(1), relaxation=Gumbel())
    mixture = process.mixture()
    assert mixture is not None
    for name, alphas in process.bilevel.arch.named():
        torch.testing.assert_close(mixture[name], alphas.softmax(dim=-1))
