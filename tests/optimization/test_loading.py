"""States of optimizers that somebody made to mislead: refused before a step, with the place in the state."""

import copy
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import nn

from nas.optimization.loading import load_module, load_optimizer
from tests.optimization.contracts import assert_same_bits

State = dict[str, Any]
KINDS: dict[str, Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer]] = {
    "SGD": lambda weights: torch.optim.SGD(weights, lr=0.1),
    "SGD, momentum": lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda weights: torch.optim.Adam(weights, lr=0.1, betas=(0.5, 0.999)),
    "AdamW, amsgrad": lambda weights: torch.optim.AdamW(weights, lr=0.1, amsgrad=True),
    "NAdam": lambda weights: torch.optim.NAdam(weights, lr=0.1),
    "RAdam": lambda weights: torch.optim.RAdam(weights, lr=0.1),
    "RMSprop, centered": lambda weights: torch.optim.RMSprop(weights, lr=0.1, momentum=0.5, centered=True),
    "Adagrad": lambda weights: torch.optim.Adagrad(weights, lr=0.1),
    "Rprop": lambda weights: torch.optim.Rprop(weights, lr=0.1),
    "ASGD": lambda weights: torch.optim.ASGD(weights, lr=0.1),
    "Adafactor": lambda weights: torch.optim.Adafactor(weights, lr=0.1),
    "groups": lambda weights: torch.optim.SGD(
        [{"params": weights[:1], "momentum": 0.9}, {"params": weights[1:]}], lr=0.1, momentum=0.8
    ),
}


def weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(*shape, generator=generator)) for shape in ((3, 2), (4,), (2, 2))]


def step(optimizer: torch.optim.Optimizer, count: int = 1) -> None:
    """Steps in which the last parameter has no gradient."""
    for _ in range(count):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None if parameter.shape == (2, 2) else parameter.detach() ** 2
        optimizer.step()


def stepped(name: str) -> torch.optim.Optimizer:
    optimizer = KINDS[name](weights())
    step(optimizer, 3)
    return optimizer


def steps_from_no_state(optimizer: torch.optim.Optimizer) -> bool:
    """Not so for Adagrad on PyTorch 2.11, which needs what its constructor has put there."""
    optimizer.state.clear()
    try:
        step(optimizer)
    except KeyError:
        return False
    return True


@pytest.mark.parametrize("name", KINDS)
def test_what_an_optimizer_left_is_taken_and_its_steps_go_on(name: str, caplog: pytest.LogCaptureFixture) -> None:
    whole = stepped(name)
    again = KINDS[name](weights())
    for parameter, value in zip(params(again), params(whole), strict=True):
        parameter.data.copy_(value)
    load_optimizer(again, copy.deepcopy(whole.state_dict()), "o")
    step(whole, 2)
    step(again, 2)
    assert_same_bits(params(again), params(whole))
    assert bool(caplog.records) == (not steps_from_no_state(KINDS[name](weights())))


@pytest.mark.parametrize("name", KINDS)
def test_a_new_optimizer_has_no_state_and_may_have_one_rate_for_each_epoch(name: str) -> None:
    state = KINDS[name](weights()).state_dict()
    state["param_groups"][0] |= {"initial_lr": 0.1, "lr": torch.tensor(0.02)}
    load_optimizer(KINDS[name](weights()), state, "o")


def params(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def moments(value: Any) -> Callable[[State], None]:
    """Another first moment of the first parameter."""
    return lambda state: state["state"][0].update(exp_avg=value)


def setting(**changes: Any) -> Callable[[State], None]:
    return lambda state: state["param_groups"][0].update(changes)


def count(value: Any) -> Callable[[State], None]:
    return lambda state: state["state"][0].update(step=value)


def without(*path: Any) -> Callable[[State], None]:
    """A state in which something is missing."""

    def damage(state: Any) -> None:
        for key in path[:-1]:
            state = state[key]
        del state[path[-1]]

    return damage


DAMAGES: dict[str, tuple[str, Callable[[State], Any], str]] = {
    "shape": ("Adam", moments(torch.zeros(2, 3)), r"^o\['state'\]\[0\]\['exp_avg'\] is a tensor of shape \[2, 3\]"),
    "dtype": ("Adam", moments(torch.zeros(3, 2, dtype=torch.int64)), r"of int64, and here a tensor of shape \[3, 2\]"),
    "no tensor": ("Adam", moments("zero"), r"\['exp_avg'\] is 'zero', and here a tensor"),
    "a count in words": ("Adam", count("three"), r"\['step'\] is 'three'"),
    "a count below 0": ("Adam", count(torch.tensor(-1.0)), r"\['step'\] is -1.0, which no steps lead to"),
    "an endless count": ("Adam", count(torch.tensor(torch.inf)), r"\['step'\] is inf"),
    "several counts": ("Adam", count(torch.ones(2)), r"\['step'\] is a tensor of shape \[2\]"),
    "no second moment": ("Adam", without("state", 0, "exp_avg_sq"), r"o\['state'\]\[0\] lacks 'exp_avg_sq'"),
    "a moment more": ("Adam", lambda state: state["state"][0].update(more=1), "has 'more', which is not there here"),
    "another's momentum": (
        "SGD, momentum",
        lambda state: state["state"].update({0: state["state"][1], 1: state["state"][0]}),
        r"\[0\]\['momentum_buffer'\] is a tensor of shape \[4\]",
    ),
    "momentum of none": ("SGD", lambda state: state["state"].update({0: {"momentum_buffer": torch.zeros(3, 2)}}), "0"),
    "a fourth parameter": (
        "SGD, momentum",
        lambda state: state["state"].update({3: state["state"][0]}),
        "has 3, which",
    ),
    "a named parameter": ("SGD, momentum", lambda state: state["state"].update(a=state["state"][0]), "has 'a', which"),
    "state is a list": ("SGD, momentum", lambda state: state.update(state=[1]), r"\['state'\] is \[1\]"),
    "parameters swapped": ("SGD, momentum", setting(params=[1, 0, 2]), r"\['params'\]\[0\] is 1, and in the settings"),
    "parameters twice": ("SGD, momentum", setting(params=[0, 0, 1]), r"\['params'\]\[1\] is 0"),
    "other betas": (
        "Adam",
        setting(betas=(0.9, 0.999)),
        r"\['betas'\]\[0\] is 0.9, and in the settings of this run 0.5",
    ),
    "three betas": ("Adam", setting(betas=(0.5, 0.9, 1)), r"\['betas'\] is a tuple of 3"),
    "a rate in words": ("Adam", setting(lr="fast"), r"\['lr'\] is 'fast', not a learning rate"),
    "no rate": ("Adam", setting(initial_lr=float("nan")), r"\['initial_lr'\] is nan"),
    "several rates": ("Adam", setting(lr=torch.zeros(3)), r"\['lr'\] is .*not a learning rate"),
    "kernels in words": ("Adam", setting(fused="yes"), r"\['fused'\] is 'yes'"),
    "decay in words": ("SGD", setting(weight_decay="1"), r"\['weight_decay'\] is '1'"),
    "another momentum": ("SGD, momentum", setting(momentum=0.5), r"\['momentum'\] is 0.5, .* 0.9"),
    "no momentum": ("SGD, momentum", without("param_groups", 0, "momentum"), "lacks 'momentum'"),
    "a setting more": ("SGD", setting(more=1), "has 'more'"),
    "no groups": ("SGD", lambda state: state.update(param_groups=[]), "not 1 groups"),
    "groups in words": ("SGD", lambda state: state.update(param_groups=["a"]), "not named values"),
    "nothing": ("SGD", lambda state: state.clear(), "o lacks 'state'"),
    "what a step divides by": (
        "NAdam",
        lambda state: [kept.update(mu_product=torch.tensor(torch.nan)) for kept in state["state"].values()],
        "mu_product",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_does_not_fit_is_told_with_its_place(name: str) -> None:
    kind, damage, said = DAMAGES[name]
    state = copy.deepcopy(stepped(kind).state_dict())
    damage(state)
    optimizer = KINDS[kind](weights())
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=said) as error:
        load_optimizer(optimizer, state, "o")
    assert "\n" not in str(error.value)
    assert_same_bits(optimizer.state_dict(), before)


class Dividing(torch.optim.SGD):
    """An optimizer that divides by a number that it keeps, 1 after a step."""

    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                kept = self.state[parameter].setdefault("by", 1.0)
                parameter.data -= parameter.grad * (group["lr"] / kept)


def test_numbers_from_which_no_step_can_be_made_are_told() -> None:
    optimizer = Dividing(weights()[:2], lr=0.1)
    step(optimizer)
    state = copy.deepcopy(optimizer.state_dict())
    load_optimizer(optimizer, state, "o")
    state["state"][1]["by"] = 0.0
    with pytest.raises(ValueError, match="o allows no step: ZeroDivisionError"):
        load_optimizer(optimizer, state, "o")


class Busy(torch.optim.SGD):
    """An optimizer that no copy can stand for."""

    def __deepcopy__(self, known: Any) -> "Busy":
        raise RuntimeError("there is only one")


def test_an_optimizer_that_makes_no_step_of_its_own_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    optimizer = Busy(weights(), lr=0.1)
    with caplog.at_level(logging.WARNING):
        load_optimizer(optimizer, optimizer.state_dict(), "weight_optimizer")
    assert caplog.messages == [
        "weight_optimizer is not compared with what Busy keeps, because a copy of that makes no step"
    ]


def test_a_state_is_taken_without_a_step_of_the_optimizer_itself() -> None:
    optimizer = stepped("Adam")
    parameters, kept = copy.deepcopy(params(optimizer)), copy.deepcopy(optimizer.state_dict())
    load_optimizer(optimizer, copy.deepcopy(kept), "o")
    assert_same_bits(params(optimizer), parameters)
    assert_same_bits(optimizer.state_dict(), kept)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weight": torch.zeros(3, 2, dtype=torch.float64)}, "of float64, and here"),
        ({"weight": torch.zeros(2, 3)}, r"w\['weight'\] is a tensor of shape \[2, 3\]"),
        ({"weight": [1]}, "is a list of 1"),
        ({"more": torch.zeros(1)}, "has 'more'"),
        ({3: torch.zeros(1)}, "has 3"),
    ],
)
def test_weights_that_do_not_fit(changes: dict[Any, Any], said: str) -> None:
    module = nn.Linear(2, 3)
    with pytest.raises(ValueError, match=said):
        load_module(module, {**module.state_dict(), **changes}, "w")
