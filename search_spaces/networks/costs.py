"""What the sizes of a network cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from nas.architecture import Choice
from nas.channels import Channels, Layer
from nas.costs import (
    ChannelParameters,
    CostModel,
    Quantity,
    SearchedLayer,
    Seconds,
    Window,
    bops,
    latency,
    macs,
    memory,
    params,
)
from nas.supernet import FLOAT_BITS, widths_of
from search_spaces.networks.places import Places, choice_name
from search_spaces.networks.quantization import Quantization

KINDS = ("params", "macs", "bops", "memory", "latency")


@dataclass(frozen=True)
class NetworkCosts:
    """Cost models of a network whose choices have these places.

    Raises:
        ValueError: a kind of cost that is not among KINDS.
    """

    network: nn.Module
    channels: Channels
    places: Places
    widths: Sequence[float]
    quantization: Quantization

    def model(self, kind: str, seconds: Seconds | None) -> CostModel:
        """The model of one kind of cost; latency needs `seconds`."""
        choices: dict[str, Choice] = {choice.name: choice for choice in self.places.choices}
        calls = [self._searched(layer) for layer in self.channels.layers]
        once = list({layer.name: layer for layer in calls}.values())

        def by_table() -> CostModel:
            if seconds is None:
                raise ValueError("the latency of a network needs the seconds of its layers, such as those of a table")
            return latency(choices, calls, seconds)

        models: dict[str, Callable[[], CostModel]] = {
            "params": lambda: params(choices, once, self._others()),
            "memory": lambda: memory(choices, once, self._others()),
            "macs": lambda: macs(choices, calls),
            "bops": lambda: bops(choices, calls),
            "latency": by_table,
        }
        if kind not in models:
            raise ValueError(f"there is no cost {kind!r}; the costs are {', '.join(KINDS)}")
        return models[kind]()

    def _searched(self, layer: Layer) -> SearchedLayer:
        placed = next((each for each in self.places.layers if each.layer.path == layer.path), None)
        bits = [(FLOAT_BITS,) if placed is None else getattr(placed, kind) for kind in ("weight_bits", "input_bits")]
        weight_bits, input_bits = (
            _chosen(choice_name(placed.place, kind) if placed else "", candidates)
            for kind, candidates in zip(("weight_bits", "input_bits"), bits, strict=True)
        )
        return SearchedLayer(
            layer.path,
            layer.kernel,
            layer.positions,
            self._size(layer.reads),
            self._size(layer.writes),
            layer.groups,
            layer.depthwise,
            layer.bias,
            weight_bits,
            input_bits,
            self.places.present(layer.path),
            _window(layer),
            layer.input_shape[1:],
            layer.outputs,
        )

    def _size(self, numbers: Tensor) -> Quantity:
        """How many of these channels there are."""
        groups, fixed, parts = self.channels.group_of[numbers], 0, dict[str, tuple[float, ...]]()
        for index in groups.unique().tolist():
            group, ranks = self.channels.groups[index], self.channels.rank[numbers[groups == index]]
            if group.name in self.places.widths:
                place = self.places.widths[group.name]
                kept = widths_of(self.widths, group.size, place).values()
                parts[choice_name(place, "width")] = tuple(float((ranks < width).sum()) for width in kept)
            else:
                fixed += len(ranks)
        return Quantity(fixed, parts)

    def _others(self) -> list[ChannelParameters]:
        """The parameters that are neither weights nor biases of layers."""
        layers = {f"{layer.path}.{name}" for layer in self.channels.layers for name in ("weight", "bias")}
        found = []
        for name, parameter in self.network.named_parameters():
            if name in layers:
                continue
            axes = [axis for axis in range(parameter.dim()) if (name, axis) in self.channels.dims]
            assert len(axes) <= 1, f"{name} has channels along several axes"
            numbers = [self.channels.dims[name, axis] for axis in axes]
            channels = self._size(numbers[0]) if numbers else Quantity(1)
            each = parameter.numel() / (len(numbers[0]) if numbers else 1)
            found.append(ChannelParameters(channels, each, self.places.present(name)))
        return [*found, *self._steps()]

    def _steps(self) -> list[ChannelParameters]:
        """What quantizers learn: their own parameters, as many as the chosen bits make."""
        found = []
        for layer in self.places.layers:
            for kind, candidates, make in (
                ("weight_bits", layer.weight_bits, self.quantization.weight),
                ("input_bits", layer.input_bits, self.quantization.input),
            ):
                learned = [0 if bits == FLOAT_BITS else _size(make(bits)) for bits in candidates]
                number = _chosen(choice_name(layer.place, kind), learned)
                found.append(ChannelParameters(number, 1, self.places.present(layer.layer.path)))
        return found


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _chosen(choice: str, candidates: Sequence[int]) -> Quantity:
    return Quantity(0, {choice: tuple(map(float, candidates))}) if len(candidates) > 1 else Quantity(candidates[0])


def _window(layer: Layer) -> Window | None:
    if layer.kind == "linear":
        return None
    keys = ("stride", "padding", "dilation", "output_padding")
    sides = {key: layer.signature[key] for key in keys}
    return Window(layer.signature["kernel_size"], **sides, transposed=layer.signature["transposed"] == (1,))
