"""Cost models against enumeration: every genotype counted alone and weighted by the product of its mixture weights."""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping

import pytest
import torch
from torch import Tensor

from nas.architecture import Candidate, Choice, ChoiceTables, selection
from nas.costs import (
    ChannelParameters,
    CostModel,
    CostTerm,
    LayerShape,
    Quantity,
    SearchedLayer,
    bops,
    bops_per_output,
    latency,
    macs,
    memory,
    params,
)

Decisions = dict[str, Candidate]
BITS = (1, 3, 8, 32)


class Space:
    """A random network of a few layers, whose costs `by_hand` counts for decisions without any cost model."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.choices: dict[str, Choice] = {}
        widths = {name: self.width(name, rng) for name in ("a", "b", "c")}
        bits = {name: self.bits(name, rng) for name in ("x", "y")}
        self.choices["op"] = Choice("op", ("conv", "none"))
        self.choices["free"] = Choice("free", ("no", "cost"))
        concatenation = widths["a"] + widths["b"] + Quantity(4)
        eight = {"weight_bits": bits["x"], "input_bits": bits["y"]}
        self.layers = [
            SearchedLayer("stem", 9, 16, Quantity(3), widths["a"], bias=True),
            SearchedLayer("same", 9, 16, widths["a"], widths["a"], weight_bits=bits["x"], input_bits=bits["x"]),
            SearchedLayer("depthwise", 25, 9, concatenation, concatenation, depthwise=True, **eight),
            SearchedLayer("reads_three", 1, 9, concatenation + widths["c"], widths["c"], **eight),
            SearchedLayer("writes_what_it_reads", 1, 9, concatenation, widths["b"], bias=True, present=("op", "conv")),
            SearchedLayer("grouped", 9, 4, Quantity(8), Quantity(12), groups=4, weight_bits=bits["y"]),
            SearchedLayer("features", 1, 1, widths["c"].times(4), Quantity(10), input_bits=bits["y"], bias=True),
        ]
        self.others = [ChannelParameters(widths["b"], 2, present=("op", "conv")), ChannelParameters(Quantity(1), 17)]

    def width(self, name: str, rng: random.Random) -> Quantity:
        candidates = tuple(sorted(rng.sample(range(1, 9), rng.choice((2, 3)))))
        self.choices[f"{name}/width"] = Choice(f"{name}/width", candidates)
        return Quantity(0, {f"{name}/width": candidates})

    def bits(self, name: str, rng: random.Random) -> Quantity:
        candidates = tuple(sorted(rng.sample(BITS, 2)))
        self.choices[f"{name}/bits"] = Choice(f"{name}/bits", candidates)
        return Quantity(0, {f"{name}/bits": candidates})

    def genotypes(self) -> Iterator[Decisions]:
        for candidates in itertools.product(*(choice.candidates for choice in self.choices.values())):
            yield dict(zip(self.choices, candidates, strict=True))

    def by_hand(self, kind: str, decisions: Decisions) -> float:
        a, b, c = (decisions[f"{name}/width"] for name in "abc")
        x, y = (decisions[f"{name}/bits"] for name in "xy")
        # kernel, positions, inputs of a filter, filters, weight bits, input bits, bias
        sizes = {
            "stem": (9, 16, 3, a, 32, 32, 1),
            "same": (9, 16, a, a, x, x, 0),
            "depthwise": (25, 9, 1, a + b + 4, x, y, 0),
            "reads_three": (1, 9, a + b + 4 + c, c, x, y, 0),
            "writes_what_it_reads": (1, 9, a + b + 4, b, 32, 32, 1),
            "grouped": (9, 4, 2, 12, y, 32, 0),
            "features": (1, 1, 4 * c, 10, 32, y, 1),
        }
        others = {"norm": 2 * b, "fixed": 17}
        if decisions["op"] == "none":
            del sizes["writes_what_it_reads"], others["norm"]
        rows = sizes.values()
        if kind == "params":
            return sum(k * i * w + w * bias for k, _, i, w, _, _, bias in rows) + sum(others.values())
        if kind == "memory":
            return sum(k * i * w * bw / 8 + 4 * w * bias for k, _, i, w, bw, _, bias in rows) + 4 * sum(others.values())
        if kind == "macs":
            return sum(k * p * i * w for k, p, i, w, *_ in rows)
        if kind == "bops":
            return sum(p * w * bops_per_output(k * i, bw, bi) for k, p, i, w, bw, bi, _ in rows)
        reads = {"depthwise": a + b + 4, "grouped": 8}
        return sum(seconds(LayerShape(reads.get(name, row[2]), row[3])) for name, row in sizes.items())

    def model(self, kind: str) -> CostModel:
        builders: Mapping[str, Callable[[], CostModel]] = {
            "params": lambda: params(self.choices, self.layers, self.others),
            "memory": lambda: memory(self.choices, self.layers, self.others),
            "macs": lambda: macs(self.choices, self.layers),
            "bops": lambda: bops(self.choices, self.layers),
            "latency": lambda: latency(self.choices, self.layers, seconds),
        }
        return builders[kind]()


def seconds(shape: LayerShape) -> float:
    """A made-up latency: not a product, and not growing with the channels."""
    return 1e-4 * (shape.in_channels * 7 % 11 + math.sqrt(shape.out_channels))


def product_of_channels(shape: LayerShape) -> float:
    return shape.in_channels * shape.out_channels


def mixture_of(space: Space, seed: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(len(choice.candidates), generator=generator, dtype=dtype).softmax(0).requires_grad_()
        for name, choice in space.choices.items()
    }


def enumerated(space: Space, kind: str, mixture: Mapping[str, Tensor]) -> Tensor:
    """sum over genotypes of cost * product of weights"""
    total = torch.zeros((), dtype=torch.float64)
    for decisions in space.genotypes():
        weights = [mixture[name][choice.index(decisions[name])] for name, choice in space.choices.items()]
        total = total + space.by_hand(kind, decisions) * torch.stack(weights).prod()
    return total


KINDS = ("params", "memory", "macs", "bops", "latency")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_expected_cost_and_its_gradient_are_those_of_enumeration(kind: str, seed: int) -> None:
    space = Space(seed)
    model, mixture = space.model(kind), mixture_of(space, seed)
    expected = model.expected(mixture)
    slow = enumerated(space, kind, mixture)
    assert expected.dtype == torch.float64
    torch.testing.assert_close(expected, slow, rtol=1e-12, atol=0)
    fast_gradients = torch.autograd.grad(expected, list(mixture.values()), materialize_grads=True, allow_unused=True)
    slow_gradients = torch.autograd.grad(slow, list(mixture.values()))
    for fast, right in zip(fast_gradients, slow_gradients, strict=True):
        # along directions that keep the sum of the weights: beside them the two are different polynomials
        torch.testing.assert_close(fast - fast.mean(), right - right.mean(), rtol=1e-9, atol=1e-12 * slow.item())


@pytest.mark.parametrize("kind", KINDS)
def test_exact_costs_are_those_by_hand_and_those_of_a_one_hot_mixture(kind: str) -> None:
    space = Space(2)
    model, tables = space.model(kind), ChoiceTables(space.choices.values())
    random_genotypes = random.Random(0).sample(list(space.genotypes()), 30)
    for decisions in random_genotypes:
        assert model.exact(decisions) == pytest.approx(space.by_hand(kind, decisions), rel=1e-14)
        one_hot = selection(tables, {name: (candidate,) for name, candidate in decisions.items()})
        assert model.expected(one_hot).item() == pytest.approx(model.exact(decisions), rel=1e-14)
        if kind in ("params", "macs", "bops"):
            assert model.expected(one_hot).item() == model.exact(decisions) == space.by_hand(kind, decisions)


def test_whole_numbers_that_float32_cannot_hold_are_exact() -> None:
    """float32 weights, as alphas give them, and costs that float32 cannot hold."""
    choices = {"k": Choice("k", (1, 2)), "l": Choice("l", (1, 2))}
    layer = SearchedLayer("wide", 9, 2**20 - 1, Quantity(0, {"k": (511, 513)}), Quantity(0, {"l": (1023, 1025)}))
    model = macs(choices, [layer])
    one_hot = {"k": torch.tensor([0.0, 1.0]), "l": torch.tensor([1.0, 0.0])}
    exact = 9 * (2**20 - 1) * 513 * 1023
    assert model.expected(one_hot).item() == exact == model.exact({"k": 2, "l": 1})
    with torch.autocast("cpu", torch.bfloat16):
        assert model.expected(one_hot).item() == exact


def test_a_cost_that_nothing_decides_is_a_constant() -> None:
    choices = {"bits": Choice("bits", (2, 4))}
    model = macs(choices, [SearchedLayer("conv", 9, 4, Quantity(3), Quantity(5))])
    assert model.expected({"bits": torch.tensor([0.5, 0.5])}).item() == model.exact({"bits": 2}) == 9 * 4 * 3 * 5
    assert model.smallest() == model.largest() == (540.0, {"bits": 2})


def test_twelve_concatenated_groups_are_counted_exactly_and_fast() -> None:
    """4^12 combinations of widths: the mean cost of the reader by the distribution of their sum, sampled here."""
    names = [f"{index}/width" for index in range(12)]
    choices = {name: Choice(name, (0.25, 0.5, 0.75, 1.0)) for name in names}
    reads = Quantity(3)
    for index, name in enumerate(names):
        reads = reads + Quantity(0, {name: tuple((index % 3 + 1) * 4.0 * k for k in range(1, 5))})
    model = bops(choices, [SearchedLayer("conv", 9, 64, reads, Quantity(16))])
    generator = torch.Generator().manual_seed(0)
    mixture = {name: torch.randn(4, generator=generator).double().softmax(0) for name in names}
    # the distribution of the sum again, by products of polynomials in x^width
    distribution = {3: 1.0}
    for index, name in enumerate(names):
        grown: dict[int, float] = {}
        for channels, weight in distribution.items():
            for k in range(4):
                key = channels + (index % 3 + 1) * 4 * (k + 1)
                grown[key] = grown.get(key, 0.0) + weight * mixture[name][k].item()
        distribution = grown
    slow = sum(weight * 16 * 64 * bops_per_output(9 * c, 32, 32) for c, weight in distribution.items())
    assert model.expected(mixture).item() == pytest.approx(slow, rel=1e-12)
    # a depthwise layer reads and writes that sum: both are the same
    both = latency(choices, [SearchedLayer("depthwise", 9, 64, reads, reads, depthwise=True)], product_of_channels)
    assert both.expected(mixture).item() == pytest.approx(sum(w * c * c for c, w in distribution.items()), rel=1e-12)
    full = dict.fromkeys(names, 1.0)
    assert model.exact(full) == 16 * 64 * bops_per_output(9 * (3 + 16 * 4 * 6), 32, 32) == model.largest()[0]
    assert model.smallest() == (16 * 64 * bops_per_output(9 * (3 + 4 * 4 * 6), 32, 32), dict.fromkeys(names, 0.25))


def test_too_many_combinations_are_refused_in_one_line() -> None:
    choices = {name: Choice(name, tuple(range(1, 60))) for name in "abc"}
    a, b, c = (Quantity(0, {name: tuple(range(1, 60))}) for name in "abc")
    layer = SearchedLayer("conv1", 9, 4, a, b, input_bits=c)
    with pytest.raises(ValueError, match=r"^the cost of layer 'conv1' depends on 205,379 combinations of candidates; "):
        bops(choices, [layer])


@pytest.mark.parametrize(
    ("quantity", "words"),
    [
        (Quantity(0, {"b": (1, 2)}), r"a cost depends on 'b', which is none of the choices \['a'\]"),
        (Quantity(0, {"a": (1, 2, 3)}), r"a cost has 3 values for the choice 'a', whose candidates are \(4, 8\)"),
        (Quantity(0, {"a": (1, 2), "b": (1, 2)}), r"a cost depends on 'b', which is none"),
    ],
)
def test_a_layer_that_does_not_fit_its_choices_is_refused(quantity: Quantity, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        bops({"a": Choice("a", (4, 8))}, [SearchedLayer("conv", 9, 4, Quantity(3), quantity)])


def test_decisions_that_do_not_fit_are_refused() -> None:
    model = CostModel("params", "parameters", {"a": Choice("a", (4, 8))}, [CostTerm(("a",), torch.ones(2).double())])
    with pytest.raises(ValueError, match="there is no decision for the choice 'a'"):
        model.exact({"b": 4})
    with pytest.raises(ValueError, match="choice 'a' has no candidate 5; it has"):
        model.exact({"a": 5})
