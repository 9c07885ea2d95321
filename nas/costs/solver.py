"""The cheapest, the dearest and the best genotype within a limit, by integer programming (HiGHS)."""

import math
from collections.abc import Callable, Mapping, Sequence

from nas.costs.program import Indices, Program


def extreme(program: Program, cost: Callable[[Indices], float], sign: float) -> Indices:
    """The candidates that minimise sign * cost: the first ones where that makes no difference."""
    found = program.minimised(sign * program.cost)
    return _first(found, program.choices, lambda indices: sign * cost(indices))


def best_within(
    program: Program, cost: Callable[[Indices], float], limit: float, scores: Mapping[str, Sequence[float]]
) -> Indices:
    """The candidates of the largest sum of scores that cost `limit` at most; there must be some.

    The solver meets a limit but for its tolerance. So the cost of what it finds is computed again; what exceeds the
    limit by less than that is excluded, and it looks on.
    """
    finite = _finite(scores)
    objective = -program.scores(finite)
    excluded: list[Indices] = []
    found = program.minimised(objective, limit)
    while cost(found) > limit:
        excluded.append(found)
        found = program.minimised(objective, limit, excluded)
    return _first(
        found,
        program.choices,
        lambda indices: math.inf if cost(indices) > limit else -math.fsum(finite[n][k] for n, k in indices.items()),
    )


def _first(found: Indices, sizes: Mapping[str, int], loss: Callable[[Indices], float]) -> Indices:
    """For each choice in turn, the first of its candidates that has the least loss, the others being as found."""
    for name, size in sizes.items():
        losses = [loss({**found, name: index}) for index in range(size)]
        found = {**found, name: losses.index(min(losses))}
    return found


def _finite(scores: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """The scores without -inf: in its place stands one that no sum of the others makes up for."""
    known = [score for values in scores.values() for score in values if score != -math.inf] or [0.0]
    lowest = min(known) - (len(scores) + 1) * (max(known) - min(known) + 1)
    return {name: [max(score, lowest) for score in values] for name, values in scores.items()}
