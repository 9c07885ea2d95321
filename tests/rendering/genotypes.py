"""Published genotypes as graphs: drawing fixtures."""

import itertools
import re

from nas.architecture import Edge, Graph

# `op input` pairs, two a node; `concat` lists the nodes (counted with the two inputs) that make the output.
PUBLISHED = {
    "DARTS_V1": {
        "normal": "sep_conv_3x3:1 sep_conv_3x3:0 skip_connect:0 sep_conv_3x3:1 "
        "skip_connect:0 sep_conv_3x3:1 sep_conv_3x3:0 skip_connect:2",
        "reduce": "max_pool_3x3:0 max_pool_3x3:1 skip_connect:2 max_pool_3x3:0 "
        "max_pool_3x3:0 skip_connect:2 skip_connect:2 avg_pool_3x3:0",
    },
    "DARTS_V2": {
        "normal": "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:0 sep_conv_3x3:1 "
        "sep_conv_3x3:1 skip_connect:0 skip_connect:0 dil_conv_3x3:2",
        "reduce": "max_pool_3x3:0 max_pool_3x3:1 skip_connect:2 max_pool_3x3:1 "
        "max_pool_3x3:0 skip_connect:2 skip_connect:2 max_pool_3x3:1",
    },
    "PC_DARTS_cifar": {
        "normal": "sep_conv_3x3:1 skip_connect:0 sep_conv_3x3:0 dil_conv_3x3:1 "
        "sep_conv_5x5:0 sep_conv_3x3:1 avg_pool_3x3:0 dil_conv_3x3:1",
        "reduce": "sep_conv_5x5:1 max_pool_3x3:0 sep_conv_5x5:1 sep_conv_5x5:2 "
        "sep_conv_3x3:0 sep_conv_3x3:3 sep_conv_3x3:1 sep_conv_3x3:2",
    },
    "PC_DARTS_image": {
        "normal": "skip_connect:1 sep_conv_3x3:0 sep_conv_3x3:0 skip_connect:1 "
        "sep_conv_3x3:1 sep_conv_3x3:3 sep_conv_3x3:1 dil_conv_5x5:4",
        "reduce": "sep_conv_3x3:0 skip_connect:1 dil_conv_5x5:2 max_pool_3x3:1 "
        "sep_conv_3x3:2 sep_conv_3x3:1 sep_conv_5x5:0 sep_conv_3x3:3",
    },
    "PDARTS": {
        "normal": "skip_connect:0 dil_conv_3x3:1 skip_connect:0 sep_conv_3x3:1 "
        "sep_conv_3x3:1 sep_conv_3x3:3 sep_conv_3x3:0 dil_conv_5x5:4",
        "reduce": "avg_pool_3x3:0 sep_conv_5x5:1 sep_conv_3x3:0 dil_conv_5x5:2 "
        "max_pool_3x3:0 dil_conv_3x3:1 dil_conv_3x3:1 dil_conv_5x5:3",
    },
    "DrNAS_cifar10": {
        "normal": "sep_conv_3x3:0 sep_conv_5x5:1 sep_conv_3x3:1 sep_conv_3x3:2 "
        "skip_connect:0 sep_conv_3x3:1 sep_conv_3x3:2 dil_conv_5x5:3",
        "reduce": "max_pool_3x3:0 sep_conv_5x5:1 dil_conv_5x5:2 sep_conv_5x5:1 "
        "sep_conv_5x5:1 dil_conv_5x5:3 skip_connect:4 sep_conv_5x5:1",
    },
    "DrNAS_imagenet": {
        "normal": "sep_conv_3x3:1 sep_conv_3x3:0 sep_conv_3x3:0 sep_conv_3x3:1 "
        "sep_conv_3x3:0 dil_conv_3x3:3 skip_connect:0 sep_conv_3x3:1",
        "reduce": "max_pool_3x3:0 sep_conv_3x3:1 sep_conv_3x3:0 skip_connect:2 "
        "sep_conv_3x3:0 sep_conv_3x3:2 sep_conv_3x3:3 sep_conv_3x3:1",
    },
    "SDARTS_RS": {
        "normal": "sep_conv_3x3:1 sep_conv_3x3:0 sep_conv_5x5:1 skip_connect:0 "
        "sep_conv_3x3:3 skip_connect:1 sep_conv_3x3:1 dil_conv_3x3:2",
        "reduce": "max_pool_3x3:0 sep_conv_3x3:1 skip_connect:2 max_pool_3x3:0 "
        "dil_conv_5x5:3 max_pool_3x3:0 sep_conv_3x3:2 sep_conv_5x5:3",
    },
    "SDARTS_ADV": {
        "normal": "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:1 skip_connect:0 "
        "sep_conv_5x5:0 dil_conv_3x3:3 dil_conv_3x3:4 skip_connect:0",
        "reduce": "max_pool_3x3:0 sep_conv_5x5:1 skip_connect:2 max_pool_3x3:0 "
        "skip_connect:3 skip_connect:2 skip_connect:2 sep_conv_5x5:4",
    },
    "DARTS_PT_0": {
        "normal": "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_5x5:0 dil_conv_3x3:1 "
        "skip_connect:0 skip_connect:2 skip_connect:0 max_pool_3x3:4",
        "reduce": "sep_conv_3x3:0 avg_pool_3x3:1 dil_conv_5x5:1 dil_conv_3x3:2 "
        "avg_pool_3x3:0 max_pool_3x3:2 sep_conv_3x3:2 skip_connect:4",
    },
    "DARTS_PT_1": {
        "normal": "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:0 dil_conv_3x3:1 "
        "max_pool_3x3:0 skip_connect:2 skip_connect:0 dil_conv_3x3:4",
        "reduce": "dil_conv_5x5:0 avg_pool_3x3:1 max_pool_3x3:0 sep_conv_5x5:2 "
        "max_pool_3x3:1 dil_conv_3x3:3 sep_conv_5x5:0 sep_conv_3x3:4",
    },
    "DARTS_minus": {
        "normal": "sep_conv_3x3:0 sep_conv_5x5:1 sep_conv_3x3:1 dil_conv_3x3:2 "
        "skip_connect:1 sep_conv_3x3:0 skip_connect:1 sep_conv_3x3:0",
        "reduce": "sep_conv_3x3:0 max_pool_3x3:1 skip_connect:2 max_pool_3x3:0 "
        "skip_connect:2 skip_connect:3 skip_connect:2 skip_connect:3",
    },
    "NASNet": {
        "normal": "sep_conv_5x5:1 sep_conv_3x3:0 sep_conv_5x5:0 sep_conv_3x3:0 "
        "avg_pool_3x3:1 skip_connect:0 avg_pool_3x3:0 avg_pool_3x3:0 sep_conv_3x3:1 skip_connect:1 -> 2 3 4 5 6",
        "reduce": "sep_conv_5x5:1 sep_conv_7x7:0 max_pool_3x3:1 sep_conv_7x7:0 "
        "avg_pool_3x3:1 sep_conv_5x5:0 skip_connect:3 avg_pool_3x3:2 sep_conv_3x3:2 max_pool_3x3:1 -> 4 5 6",
    },
    "AmoebaNet": {
        "normal": "avg_pool_3x3:0 max_pool_3x3:1 sep_conv_3x3:0 sep_conv_5x5:2 "
        "sep_conv_3x3:0 avg_pool_3x3:3 sep_conv_3x3:1 skip_connect:1 skip_connect:0 avg_pool_3x3:1 -> 4 5 6",
        "reduce": "avg_pool_3x3:0 sep_conv_3x3:1 max_pool_3x3:0 sep_conv_7x7:2 "
        "sep_conv_7x7:0 avg_pool_3x3:1 max_pool_3x3:0 max_pool_3x3:1 conv_7x1_1x7:0 sep_conv_3x3:5 -> 3 4 6",
    },
}


def cell(title: str, text: str) -> Graph:
    """The graph of one cell from `op:input` pairs, two a node, and perhaps `-> 2 3 4`, the concatenated nodes."""
    pairs, _, concat = text.partition("->")
    edges = re.findall(r"(\w+):(\d)", pairs)
    names = ["c_{k-2}", "c_{k-1}", *(str(number) for number in range(len(edges) // 2))]
    arrows = [Edge(names[int(source)], names[2 + i // 2], operation) for i, (operation, source) in enumerate(edges)]
    wires = [Edge(names[int(node)], "c_{k}") for node in (concat.split() or range(2, len(names)))]
    return Graph(title, tuple(names[:2]), tuple(names[2:]), "c_{k}", (*arrows, *wires))


def published(name: str) -> tuple[Graph, Graph]:
    """The normal and the reduction cell of a published genotype."""
    return cell("normal", PUBLISHED[name]["normal"]), cell("reduction", PUBLISHED[name]["reduce"])


def chain(length: int) -> Graph:
    """A chain of choices, as the graph of a user's own search space."""
    operations = ("3x3", "relu", "5x5", "gelu", "depthwise_7x7", "identity")
    names = ["x", *(f"block{i // 2}/{'act' if i % 2 else 'conv'}" for i in range(length)), "y"]
    labels = [operations[i % len(operations)] for i in range(length)]
    edges = [Edge(*pair, label) for pair, label in zip(itertools.pairwise(names), [*labels, ""], strict=True)]
    return Graph("network", ("x",), tuple(names[1:-1]), "y", tuple(edges))
