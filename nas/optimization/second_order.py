"""The unrolled gradient of DARTS."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nas.architecture import Mixture
from nas.optimization.objective import Batch
from nas.optimization.through_mixture import ThroughMixture


class SecondOrder(ThroughMixture):
    """dL_valid(w', m)/dm through one step of the weights, by finite differences (Liu et al., 2019, equations 7 and 8).

    w' = w - xi * step(w), the step of SGD with the live momentum and weight decay on the training batch, unclipped;
    dL/dm = dL_valid(w')/dm - xi' * (dL_train(w+)/dm - dL_train(w-)/dm) / (2 eps),
    w+- = w +- eps * v,  v = dL_valid(w')/dw',  eps = epsilon / |v|_2 with one norm over all weights.

    `xi` is the present learning rate, and xi' too, but for Nesterov momentum mu, where xi' = (1 + mu) xi. Weights that
    ask for no gradient are constants. Every evaluation runs on copies of weights and buffers, so nothing needs to be
    restored, and without autocast: the shift of w lies below the rounding of bf16. Over several ranks dL_train/dw and v
    are means, an all-reduce each. Deviation from the authors' code: batch-norm statistics of the live network do not
    move.

    Raises:
        ValueError: a weight optimizer other than SGD with one parameter group, without dampening and maximize.
    """

    def __init__(self, *args: Any, epsilon: float = 0.01, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epsilon = epsilon
        optimizer = self.weight_optimizer
        group = optimizer.param_groups[0]
        unlike = [f"{key}={group[key]}" for key in ("dampening", "maximize") if group.get(key)]
        if not isinstance(optimizer, torch.optim.SGD) or len(optimizer.param_groups) != 1 or unlike:
            found = ", ".join([f"{len(optimizer.param_groups)} parameter groups", *unlike])
            raise ValueError(
                "second order unrolls torch.optim.SGD with one parameter group and neither dampening nor maximize; "
                f"the weight optimizer is {type(optimizer).__name__} with {found}; use SGD so, or the first order"
            )

    def mixture_gradient(
        self, mixture: Mixture, train_batch: Batch, valid_batch: Batch
    ) -> tuple[Tensor, Sequence[Tensor]]:
        exact = self.objective.exact()
        live = {name: p for name, p in exact.supernet.named_parameters() if p.requires_grad}
        names, weights = list(live), [parameter.detach() for parameter in live.values()]

        def loss_of(batch: Batch, at: Sequence[Tensor]) -> Tensor:
            return exact(batch, mixture, {**exact.constants(), **dict(zip(names, at, strict=True))})[0]

        def gradients(batch: Batch, at: Sequence[Tensor], wanted: Sequence[Tensor]) -> tuple[Tensor, ...]:
            return torch.autograd.grad(loss_of(batch, at), list(wanted), materialize_grads=True)

        tables = list(mixture.tables.values())
        mean = exact.ranks.mean
        leaves = [weight.detach().requires_grad_() for weight in weights]
        step = self._step(list(live.values()), mean(gradients(train_batch, leaves, leaves)))
        rate = self.weight_optimizer.param_groups[0]["lr"]
        unrolled = [w.requires_grad_() for w in torch._foreach_sub(weights, torch._foreach_mul(step, rate))]
        loss = loss_of(valid_batch, unrolled)
        valid = torch.autograd.grad(loss, [*tables, *unrolled], materialize_grads=True)
        direct, v = valid[: len(tables)], mean(valid[len(tables) :])
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(v)))
        epsilon = self.epsilon / norm.clamp_min(torch.finfo(norm.dtype).tiny)
        shift = torch._foreach_mul(v, epsilon)
        plus = gradients(train_batch, torch._foreach_add(weights, shift), tables)
        minus = gradients(train_batch, torch._foreach_sub(weights, shift), tables)
        rate = rate * self._gain()  # not in place: a rate may be a tensor
        gradient = [d - rate * (p - n) / (2 * epsilon) for d, p, n in zip(direct, plus, minus, strict=True)]
        return loss.detach(), gradient

    def _step(self, live: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        """What SGD would subtract from the weights, in units of the learning rate."""
        group = self.weight_optimizer.param_groups[0]
        step = list(torch._foreach_add(list(gradients), [p.detach() for p in live], alpha=group["weight_decay"]))
        if not group["momentum"]:
            return step
        buffers = [self.weight_optimizer.state.get(p, {}).get("momentum_buffer") for p in live]
        moved = [s if b is None else s + group["momentum"] * b for s, b in zip(step, buffers, strict=True)]
        return list(torch._foreach_add(step, moved, alpha=group["momentum"])) if group["nesterov"] else moved

    def _gain(self) -> float:
        """How much a step grows with the gradient that it is made of."""
        group = self.weight_optimizer.param_groups[0]
        return 1 + group["momentum"] if group["nesterov"] else 1
