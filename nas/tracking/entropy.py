"""How undecided a mixture is."""

import torch
from torch import Tensor


def entropy(weights: Tensor) -> Tensor:
    """H_i = -sum_j p_ij ln p_ij in nats, with p = weights / (their row's sum) and 0 ln 0 = 0.

    weights: (rows, candidates), not negative -> (rows,). It falls from ln(candidates), all candidates equal, to 0, one
    candidate alone. The division changes nothing for a softmax; sigmoid weights, which sum to anything, need it. A row
    without any weight has entropy 0.
    """
    total = weights.sum(dim=-1, keepdim=True)
    return torch.special.entr(weights / torch.where(total > 0, total, 1)).sum(dim=-1)
