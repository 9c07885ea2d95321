"""The unrolled gradient of DARTS."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nas.architecture import Mixture
from nas.optimization.bilevel import BilevelOptimizer
from nas.optimization.objective import Batch


class SecondOrder(BilevelOptimizer):
    """dL_valid(w', m)/dm through one step of the weights, by finite differences (Liu et al., 2019, equations 7 and 8).

    w' = w - xi * step(w), the step of SGD with the live momentum and weight decay on the training batch, unclipped;
    dL/dm = dL_valid(w')/dm - xi * (dL_train(w+)/dm - dL_train(w-)/dm) / (2 eps),
    w+- = w +- eps * v,  v = dL_valid(w')/dw',  eps = epsilon / |v|_2 with one norm over all weights.

    `xi` is the present learning rate. Every evaluation runs on copies of the weights, so nothing needs to be restored.
    Deviation from the authors' code: batch-norm statistics of the live network do not move either.

    Raises:
        ValueError: a weight optimizer other than SGD with one parameter group and no dampening.
    """

    def __init__(self, *args: Any, epsilon: float = 0.01, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epsilon = epsilon
        groups = self.weight_optimizer.param_groups
        if not isinstance(self.weight_optimizer, torch.optim.SGD) or len(groups) != 1 or groups[0]["dampening"]:
            raise ValueError(
                f"second order unrolls torch.optim.SGD with one parameter group and no dampening; the weight optimizer "
                f"is {type(self.weight_optimizer).__name__} with {len(groups)} groups; use SGD or the first order"
            )

    def mixture_gradient(self, mixture: Mixture, train_batch: Batch, valid_batch: Batch) -> Sequence[Tensor]:
        parameters, buffers = self.objective.weights()
        names, weights = list(parameters), list(parameters.values())

        def gradients(batch: Batch, at: Sequence[Tensor], wanted: Sequence[Tensor]) -> tuple[Tensor, ...]:
            copies = {name: buffer.clone() for name, buffer in buffers.items()}
            loss, _ = self.objective(batch, mixture, {**dict(zip(names, at, strict=True)), **copies})
            return torch.autograd.grad(loss, list(wanted), materialize_grads=True)

        tables = list(mixture.tables.values())
        leaves = [weight.clone().requires_grad_() for weight in weights]
        unrolled = [w.requires_grad_() for w in self._unroll(weights, gradients(train_batch, leaves, leaves))]
        valid = gradients(valid_batch, unrolled, [*tables, *unrolled])
        direct, v = valid[: len(tables)], list(valid[len(tables) :])
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(v)))
        epsilon = self.epsilon / norm.clamp_min(torch.finfo(norm.dtype).tiny)
        shift = torch._foreach_mul(v, epsilon)
        plus = gradients(train_batch, torch._foreach_add(weights, shift), tables)
        minus = gradients(train_batch, torch._foreach_sub(weights, shift), tables)
        rate = self.weight_optimizer.param_groups[0]["lr"]
        return [d - rate * (p - n) / (2 * epsilon) for d, p, n in zip(direct, plus, minus, strict=True)]

    def _unroll(self, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        """The weights after one step of SGD, computed on copies."""
        group = self.weight_optimizer.param_groups[0]
        step: Sequence[Tensor] = torch._foreach_add(list(gradients), list(weights), alpha=group["weight_decay"])
        if group["momentum"]:
            live = self.objective.supernet.parameters()
            buffers = [self.weight_optimizer.state[p].get("momentum_buffer") for p in live]
            moved = [s if b is None else s + group["momentum"] * b for s, b in zip(step, buffers, strict=True)]
            step = torch._foreach_add(list(step), moved, alpha=group["momentum"]) if group["nesterov"] else moved
        return list(torch._foreach_sub(list(weights), torch._foreach_mul(list(step), group["lr"])))
