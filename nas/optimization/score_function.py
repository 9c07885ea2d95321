"""Bilevel optimizers that only see losses of drawn mixtures."""

from typing import Any

import torch

from nas.optimization.bilevel import BilevelOptimizer
from nas.optimization.objective import Batch
from nas.relaxation import Drawn

BASELINES = ("leave_one_out", "none")


class ScoreFunction(BilevelOptimizer):
    """dE[L]/dalpha by the score function (REINFORCE, Williams, 1992), as in Zur et al., 2019.

    g = 1/S sum_s (L_s - b_s) d log p(m_s) / dalpha, from `samples` S drawn mixtures m_s on one validation batch, where
    L_s is the loss, or with a budget what it makes of loss and cost. The `baseline` b_s is the mean of the other losses
    (leave_one_out), or zero (none), which is the paper's estimator and has the same mean and a larger variance. No
    gradient goes through the supernet: a step costs S forward passes.

    Raises:
        ValueError: a relaxation that is not drawn, samples below 1, or below 2 with a baseline, or an unknown baseline.
    """

    def __init__(self, *args: Any, samples: int = 3, baseline: str = "leave_one_out", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(self.relaxation, Drawn):
            raise ValueError(
                f"the score function needs mixtures that are drawn, such as those of Multinomial; "
                f"{type(self.relaxation).__name__} is computed from alphas"
            )
        if baseline not in BASELINES:
            raise ValueError(f"method.bilevel.baseline is {baseline!r}; give {' or '.join(BASELINES)}")
        if samples < (least := 2 if baseline == "leave_one_out" else 1):
            raise ValueError(f"method.bilevel.samples is {samples}; with baseline={baseline} give at least {least}")
        self.drawn = self.relaxation
        self.samples = samples
        self.baseline = baseline

    @torch.no_grad()
    def set_alpha_gradients(self, train_batch: Batch, valid_batch: Batch) -> None:
        mixtures = [self.arch.mixture(self.drawn.sample) for _ in range(self.samples)]
        constants = self.objective.constants()
        parts = [self.objective(valid_batch, mixture, constants)[0].double() for mixture in mixtures]
        losses = torch.stack(list(self.objective.ranks.mean(parts)))
        if self.budget is not None:
            costs = torch.stack([self.budget.cost.expected(mixture) for mixture in mixtures])
            costs = costs + self.budget.gap(self.mean_mixture())
            losses = torch.stack([self.budget.shaped(*pair) for pair in zip(losses, costs, strict=True)])
            self.budget.learn(costs.mean())
        others = (losses.sum() - losses) / max(self.samples - 1, 1)
        gains = (losses - others if self.baseline == "leave_one_out" else losses) / self.samples
        for name, alphas in self.arch.tables.items():
            scores = [self.drawn.score(alphas, mixture.tables[name]) for mixture in mixtures]
            weighted = [gain.to(alphas.dtype) * score for gain, score in zip(gains, scores, strict=True)]
            alphas.grad = torch.stack(weighted).sum(dim=0)
