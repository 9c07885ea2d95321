"""The space of the sizes of a network: channel widths, bit widths and operators."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import nn

from nas.architecture import Bar, BarChart, Genotype, Graph
from nas.channels import Channels, ForwardError, trace
from nas.costs import CostModel, Seconds
from nas.space import DiscreteNetwork, IndependentChoices, Skeleton
from search_spaces.networks.alternatives import with_alternatives
from search_spaces.networks.backbones import Backbone, backbone_of
from search_spaces.networks.costs import NetworkCosts
from search_spaces.networks.discrete import decide
from search_spaces.networks.ends import require_logits, why_refused
from search_spaces.networks.homogeneous import homogeneous
from search_spaces.networks.places import Places, Sizes, find_places
from search_spaces.networks.pretrained import load_pretrained
from search_spaces.networks.quantization import MakeQuantizer, quantization
from search_spaces.networks.supernet import SizedSupernet
from search_spaces.networks.topology import topology

NORMALIZATIONS = ("shared", "switchable")
TITLES = {"width": "share of the channels", "weight_bits": "bits of the weight", "input_bits": "bits of the input"}
"""What the bars of each kind of choice show."""


class NetworkSpace(IndependentChoices):
    """Widths of channel groups, bits of layers, and operators, chosen in any network.

    The network is a `backbone` of this package, by name and with `backbone_arguments`, or what `network` makes, a class
    or function of the user; both are given `num_classes` and `in_channels` where they have arguments of these names. It
    runs once on an image to find which channels belong together (`nas.channels`).

    `widths`, `weight_bits`, `input_bits` and `operators` are the candidates; `first_bits` and `last_bits` are what the
    first and the last layer have instead of a choice (`Sizes`). With `quantizer` lsq step sizes are learned, nice is
    uniform with noise, and a subclass of `nas.supernet.Quantizer` is the user's own; `partition_filters` shares a
    layer's filters out among the bits instead of mixing them, which only a score function can search. With
    `normalization` switchable every width of a group has a scale and a shift of its own, with shared one for all; both
    take batch statistics in the supernet. `init_from` is a checkpoint whose weights the supernet starts from.
    `input_shape` is the image on which the choices are listed; a search takes that of its data.

    Raises:
        ValueError: candidates out of their bounds, nothing to choose, or a part of the network that cannot be searched.
    """

    unused: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("channels", "num_cells", "stem"),
            "give what its network has, such as space.backbone_arguments={channels:32}",
        ),
        "auxiliary": "its networks have no auxiliary head: leave it out",
    }

    def __init__(
        self,
        *,
        name: str,
        backbone: str | None = None,
        network: Backbone | None = None,
        backbone_arguments: Mapping[str, Any] | None = None,
        widths: Sequence[float] = (1.0,),
        weight_bits: Sequence[int] = (32,),
        input_bits: Sequence[int] = (32,),
        first_bits: int | None = None,
        last_bits: int | None = None,
        operators: Sequence[str] = (),
        quantizer: str | MakeQuantizer = "lsq",
        partition_filters: bool = False,
        normalization: str = "shared",
        keep_unsearchable: bool = False,
        init_from: str | None = None,
        input_shape: Sequence[int] = (3, 32, 32),
    ) -> None:
        self.sizes = Sizes(
            widths=tuple(widths),
            weight_bits=tuple(weight_bits),
            input_bits=tuple(input_bits),
            operators=tuple(operators),
            first_bits=first_bits,
            last_bits=last_bits,
            keep_unsearchable=keep_unsearchable,
        )
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"space.normalization is {normalization!r}; give {' or '.join(NORMALIZATIONS)}")
        self.switchable = normalization == "switchable"
        self.quantization = quantization(quantizer, partitioned=partition_filters)
        self.init_from = init_from
        self._make = backbone_of(backbone, network, backbone_arguments or {})
        settings = {
            "backbone": backbone,
            "backbone_arguments": dict(backbone_arguments or {}),
            "widths": list(widths),
            "weight_bits": list(weight_bits),
            "input_bits": list(input_bits),
            "first_bits": first_bits,
            "last_bits": last_bits,
            "operators": list(operators),
            **({"quantizer": quantizer} if isinstance(quantizer, str) else {}),
            "normalization": normalization,
            "keep_unsearchable": keep_unsearchable,
            "input_shape": list(input_shape),
        }
        self._traced: dict[Skeleton, tuple[Channels, Places]] = {}
        if len(input_shape) != 3:
            raise ValueError(f"space.input_shape is {list(input_shape)}; give [channels, height, width]")
        channels, height, width = input_shape
        try:
            self._listed = Skeleton(in_channels=channels, image_size=(height, width))
        except ValueError as error:
            raise ValueError(f"space.input_shape is {list(input_shape)}, [channels, height, width]: {error}") from None
        super().__init__(name, self._places(self._listed)[1].choices, settings)

    def supernet(self, skeleton: Skeleton) -> nn.Module:
        network = self._network(skeleton)
        if self.init_from is not None:
            load_pretrained(network, self.init_from)
        channels, places = self._places(skeleton)
        require_logits(channels, skeleton.num_classes)
        return SizedSupernet(
            network, channels, places, self.sizes.widths, self.quantization, switchable=self.switchable
        )

    def compiled_parts(self, supernet: nn.Module) -> Sequence[nn.Module]:
        return (supernet,)

    def homogeneous(self) -> Mapping[str, Genotype]:
        return {name: self.genotype(decisions) for name, decisions in homogeneous(self.choices).items()}

    def network(self, genotype: Genotype, skeleton: Skeleton) -> DiscreteNetwork:
        decisions = self.decisions(genotype)
        channels, places = self._places(skeleton)
        quantizers = {layer.layer.path: self.quantization.fresh(layer, decisions) for layer in places.layers}
        return decide(self._network(skeleton), channels, places, decisions, quantizers)

    def inherited(self, supernet: nn.Module, genotype: Genotype) -> DiscreteNetwork:
        decisions = self.decisions(genotype)
        cut = cast(SizedSupernet, copy.deepcopy(supernet))
        quantizers = cut.make_plain(decisions)
        return decide(cut.network, cut.channels, cut.places, decisions, quantizers)

    def cost(self, kind: str, skeleton: Skeleton, seconds: Seconds | None = None) -> CostModel:
        with torch.device("meta"):
            network = self._network(skeleton)
        return NetworkCosts(network, *self._places(skeleton), self.sizes.widths, self.quantization).model(kind, seconds)

    def graphs(self, genotype: Genotype) -> tuple[Graph, ...]:
        channels, places = self._places(self._listed)
        return (topology(self.name, channels, places, self.decisions(genotype)),)

    def charts(self, genotype: Genotype) -> tuple[BarChart, ...]:
        decisions = self.decisions(genotype)
        charts = []
        for kind, title in TITLES.items():
            choices = [choice for choice in self.choices if choice.kind == kind]
            bars = [
                Bar(c.name.rpartition("/")[0], float(decisions[c.name]), max(float(x) for x in c.candidates))
                for c in choices
            ]
            charts += [BarChart(title, tuple(bars))] if bars else []
        return tuple(charts)

    def statistics(self, genotype: Genotype) -> Mapping[str, float]:
        decisions = self.decisions(genotype)
        means: dict[str, list[float]] = {}
        for name, chosen in decisions.items():
            if not isinstance(chosen, str):
                means.setdefault(f"mean/{name.rpartition('/')[2]}", []).append(float(chosen))
        return {name: sum(values) / len(values) for name, values in means.items()}

    def _network(self, skeleton: Skeleton) -> nn.Module:
        """The network that is searched, with its weights drawn, and mixed operators where they are to be chosen.

        It is made where numbers can be read, as some constructors do, also where it is to have none; then nothing was
        drawn.
        """
        device = torch.get_default_device()
        with torch.device("cpu"), torch.random.fork_rng(devices=[], enabled=device.type == "meta"):
            network = self._make(num_classes=skeleton.num_classes, in_channels=skeleton.in_channels)
            if self.sizes.operators:
                network = with_alternatives(network, self.sizes.operators)
        return network.to(device)

    def _places(self, skeleton: Skeleton) -> tuple[Channels, Places]:
        """What is known of the network of a skeleton, whose choices are those of any other."""
        if skeleton not in self._traced:
            with torch.device("cpu"), torch.random.fork_rng(devices=[]):
                network = self._network(skeleton)
                try:
                    channels = trace(network, skeleton.image_shape)
                except ForwardError as error:
                    raise ValueError(why_refused(error, skeleton, self._listed, self._trace)) from error
                require_logits(channels)
                self._traced[skeleton] = channels, find_places(network, channels, self.sizes)
        return self._traced[skeleton]

    def _trace(self, skeleton: Skeleton) -> Channels:
        return trace(self._network(skeleton), skeleton.image_shape)
