"""The derivation rules of Liu et al., 2019 and Xu et al., 2020, written once more in plain Python."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

OPERATORS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


def softmax(alphas: Sequence[float]) -> list[float]:
    """exp(a_i) / sum_j exp(a_j)."""
    exponentials = [math.exp(alpha) for alpha in alphas]
    return [exponential / sum(exponentials) for exponential in exponentials]


def decisions(alphas: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """The decisions of a cell of four nodes: two inputs a node, each with its best operator other than `none`."""
    found: dict[str, Any] = {}
    for kind in ("normal", "reduce"):
        for node in range(2, 6):
            inputs = softmax(alphas.get(f"{kind}/{node}/input", [0.0] * node))
            genes = []
            for source in range(node):
                weights = dict(zip(OPERATORS, softmax(alphas[f"{kind}/{source}-{node}/op"]), strict=True))
                del weights["none"]
                operator = max(weights, key=lambda name: weights[name])
                genes.append((weights[operator] * inputs[source], operator, source))
            genes.sort(key=lambda gene: gene[0], reverse=True)
            found[f"{kind}/{node}"] = [[operator, source] for _, operator, source in genes[:2]]
        found[f"{kind}/concat"] = [2, 3, 4, 5]
    return found
