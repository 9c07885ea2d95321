"""The kinds of cost: each a model of the choices of a network, made from its layers."""

from collections.abc import Callable, Iterable, Mapping

from nas.architecture import Candidate, Choice
from nas.costs.bops import bops_of_sums
from nas.costs.layers import ChannelParameters, SearchedLayer
from nas.costs.model import CostModel
from nas.costs.quantity import Quantity
from nas.costs.shapes import Seconds
from nas.costs.terms import CostTerm, product, tabulated

Choices = Mapping[str, Choice]


def params(choices: Choices, layers: Iterable[SearchedLayer], others: Iterable[ChannelParameters] = ()) -> CostModel:
    """The number of parameters: weights and biases of layers, and others."""
    return CostModel("params", "parameters", choices, _stored(choices, layers, others, lambda _: Quantity(1), 1))


def memory(choices: Choices, layers: Iterable[SearchedLayer], others: Iterable[ChannelParameters] = ()) -> CostModel:
    """Bytes of the parameters: weights of layers at their bits, packed, and all other parameters in 4 bytes."""
    return CostModel("memory", "bytes", choices, _stored(choices, layers, others, _bytes_of_weight, 4))


def macs(choices: Choices, layers: Iterable[SearchedLayer]) -> CostModel:
    """Multiply-accumulates of convolutions and linear layers at one image, without biases."""
    terms = [
        term
        for layer in layers
        for term in product(
            _presence(layer.present, choices), layer.inputs, layer.writes, scale=layer.kernel * layer.positions
        )
    ]
    return CostModel("macs", "MACs", choices, terms)


def bops(choices: Choices, layers: Iterable[SearchedLayer]) -> CostModel:
    """Bit operations of convolutions and linear layers at one image, by the formula of `bops_of_filter`.

    Raises:
        ValueError: a layer whose cost depends on too many combinations of candidates.
    """

    def term(layer: SearchedLayer) -> CostTerm:
        def cost(present: float, inputs: float, writes: float, weight_bits: float, input_bits: float) -> float:
            products = int(inputs * writes) * layer.kernel * layer.positions
            outputs = int(writes) * (layer.outputs or layer.positions)
            return present * bops_of_sums(products, outputs, int(weight_bits), int(input_bits))

        here = _presence(layer.present, choices)
        quantities = (here, layer.inputs, layer.writes, layer.weight_bits, layer.input_bits)
        return tabulated(cost, *quantities, what=f"layer {layer.name!r}")

    return CostModel("bops", "BOPs", choices, map(term, layers))


def latency(choices: Choices, layers: Iterable[SearchedLayer], seconds: Seconds) -> CostModel:
    """Seconds in convolutions and linear layers for one batch, by a table such as `LatencyTable.seconds_of`.

    The table is asked for every shape that a layer may have. Layers are timed alone and in float32: bits change
    nothing, and what other layers take is not in it.

    Raises:
        ValueError: a layer whose cost depends on too many combinations of candidates, or as the table raises.
    """
    terms = [_latency(layer, seconds, _presence(layer.present, choices)) for layer in layers]
    return CostModel("latency", "seconds", choices, terms)


def _latency(layer: SearchedLayer, seconds: Seconds, here: Quantity) -> CostTerm:
    def cost(present: float, reads: float, writes: float) -> float:
        return present * seconds(layer.shape(reads, writes))

    return tabulated(cost, here, layer.reads, layer.writes, what=f"layer {layer.name!r}")


def _stored(
    choices: Choices,
    layers: Iterable[SearchedLayer],
    others: Iterable[ChannelParameters],
    of_weight: Callable[[SearchedLayer], Quantity],
    of_other: float,
) -> list[CostTerm]:
    """The size of all parameters, where a weight of a layer has the size `of_weight` and any other `of_other`."""
    terms = []
    for layer in layers:
        here = _presence(layer.present, choices)
        terms += product(here, layer.inputs, layer.writes, of_weight(layer), scale=layer.kernel)
        if layer.bias:
            terms += product(here, layer.writes, scale=of_other)
    for other in others:
        terms += product(_presence(other.present, choices), other.channels, scale=other.each * of_other)
    return terms


def _bytes_of_weight(layer: SearchedLayer) -> Quantity:
    return layer.weight_bits.divided(8)


def _presence(present: tuple[str, Candidate] | None, choices: Choices) -> Quantity:
    """1 where a layer exists, else 0."""
    if present is None:
        return Quantity(1)
    name, candidate = present
    index = choices[name].index(candidate)
    return Quantity(0, {name: tuple(float(k == index) for k in range(len(choices[name].candidates)))})
