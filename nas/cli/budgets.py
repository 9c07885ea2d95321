"""The budget of a search, made from checked settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from hydra.utils import instantiate

from nas.architecture import Genotype
from nas.cli.latencies import measured
from nas.cli.settings import Budget as Settings
from nas.costs import CostModel
from nas.optimization import Budget, HomogeneousLine
from nas.parallel import Ranks
from nas.space import SearchSpace, Skeleton
from nas.tracking import COUNTED, read_candidates, read_summary

Line = str | Sequence[tuple[float, float]]


def budget_of(
    settings: Settings, space: SearchSpace, skeleton: Skeleton, device: torch.device, ranks: Ranks
) -> Budget | None:
    """The budget that a person asked for, or None; a ValueError if the space cannot meet it or knows no such cost.

    One of latency measures on `device` what its table lacks.
    """
    asked = settings.asked()
    if asked is None:
        return None
    kind, amount = asked
    seconds = measured(settings, space, skeleton, device, ranks) if kind == "latency" else None
    cost = space.cost(kind, skeleton, seconds)
    if not any(term.values.min() < term.values.max() for term in cost.terms):
        raise ValueError(
            f"budget.{kind}: every network of space {space.name!r} costs {cost.in_words(cost.smallest()[0])}; "
            "limit a cost that its choices change"
        )
    largest = cost.largest()[0] if amount.relative else 0.0
    return instantiate(settings.loss)(cost, amount.limit(largest), hard=settings.hard)


def homogeneous_line(cost: CostModel, limit: float | None = None, *, hard: bool = False, line: Line) -> HomogeneousLine:
    """The line through [cost, loss] pairs, or through the candidates of a run of method=homogeneous."""
    points = _points(Path(line), cost.name) if isinstance(line, str) else line
    return HomogeneousLine(cost, limit, hard=hard, points=[(float(x), float(y)) for x, y in points])


def require_counted(budget: Budget, space: SearchSpace, genotype: Genotype, counted: Mapping[str, float]) -> None:
    """Holds the cost model against what was counted on the derived network, where that counts the same.

    Bytes are counted whole: less than one apart is no disagreement.
    """
    found, spent = counted.get(COUNTED.get(budget.cost.name, budget.cost.name)), budget.spent(space, genotype)
    assert found is None or abs(found - spent) < 1, (
        f"the cost model says {spent} {budget.cost.name}, but the derived network has {found}"
    )


def beside_counts(standing: Mapping[str, float], counted: Mapping[str, float]) -> dict[str, float]:
    """How a budget stands, `Budget.standing`, without the costs that were counted on the derived network."""
    named = {COUNTED.get(name, name): value for name, value in standing.items()}
    return {name: value for name, value in named.items() if name not in counted}


def spent_in_words(budget: Budget, spent: float) -> str:
    """What a derived genotype costs, and how that stands to the limit."""
    if budget.limit is None:
        return f"it costs {budget.cost.in_words(spent)}"
    over = "" if spent <= budget.limit else ", which it exceeds: add budget.hard=true for one that does not"
    return f"it costs {budget.cost.in_words(spent)} of at most {budget.cost.in_words(budget.limit)}{over}"


def _points(run: Path, kind: str) -> list[tuple[float, float]]:
    """(cost, validation loss) of the candidates of a run of method=homogeneous."""
    if (method := read_summary(run).method) != "homogeneous":
        raise ValueError(f"budget.loss.line is the run {run} of method={method}; give a run of method=homogeneous")
    name = COUNTED.get(kind, kind)
    candidates = read_candidates(run)
    if any(name not in candidate.costs for candidate in candidates):
        raise ValueError(
            f"the candidates of {run} have no {name}; give pairs [cost, loss] as budget.loss.line=[[1e6,2],[4e6,1]]"
        )
    return [(candidate.costs[name], candidate.record.valid_loss) for candidate in candidates]
