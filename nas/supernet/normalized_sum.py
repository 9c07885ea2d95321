"""The weighted sum of batch-normalized pointwise products, without writing any of them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from nas.supernet.channels_last import image, rows


def normalized_sum(
    base: Tensor, features: Sequence[Tensor], weight: Tensor, mixture: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Adds m_b * BN(W_b x_b), summed over the blocks b of each target, to `base`; leaves out a constant.

    Returns (sums, shift): `sums[t] + shift[t]` is base[t] + sum_b m_b (W_b x_b - mean) / sqrt(var + eps), the
    statistics taken over the batch. The shift is a number for each channel, to be added where a target is complete.

    `base` has shape (T, R, C), R = N * H * W. Each of `features` is channels-last, (N, T * S * K, H, W): for each of
    T targets S blocks of K channels. With O features, `weight` has shape (T, O * S, C, K) and `mixture` (T, O * S).

    Batch norm of a linear map follows from the mean and the covariance of its input, so W x is never stored: with
    cov the covariance of x and r = 1 / sqrt(diag(W cov W') + eps), BN(W x) = diag(r) W (x - mean(x)). The backward
    pass is in closed form too; a gradient of the gradient is refused.
    """
    sums, shift = _NormalizedSum.apply(base, weight, mixture, eps, *features)
    return sums, shift


class _NormalizedSum(Function):
    @staticmethod
    def forward(
        ctx: Any, base: Tensor, weight: Tensor, mixture: Tensor, eps: float, *features: Tensor
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(base.device.type, enabled=False):
            return _forward(ctx, base, weight, mixture, eps, features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, shift_gradient: Tensor) -> tuple[Tensor | None, ...]:
        return _backward(ctx, gradient, shift_gradient)


def _forward(
    ctx: Any, base: Tensor, weight: Tensor, mixture: Tensor, eps: float, features: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    targets, count, channels = base.shape
    inputs = weight.shape[-1]
    x = torch.cat([rows(f).view(count, targets, -1) for f in features], 2)
    blocks = x.view(count, -1, inputs).transpose(0, 1)  # (T * O * S, R, K)
    weight = weight.reshape(-1, channels, inputs)
    exact = blocks.to(weight.dtype)
    mean = exact.mean(1)
    covariance = torch.baddbmm(
        torch.bmm(exact.transpose(1, 2), exact), mean[:, :, None], mean[:, None], beta=1 / count, alpha=-1
    )
    spread = torch.bmm(weight, covariance)
    scale = (spread * weight).sum(-1).add_(eps).rsqrt_()
    offset = torch.bmm(weight, mean[:, :, None])[:, :, 0]
    gain = scale * mixture.reshape(-1, 1)
    product = weight * gain[:, :, None]
    down = product.view(targets, -1, channels, inputs).transpose(2, 3).reshape(targets, -1, channels).to(x.dtype)
    sums = torch.baddbmm(base.to(x.dtype), x.transpose(0, 1), down)
    ctx.save_for_backward(x, weight, mixture, mean, spread, scale, offset, gain, product)
    ctx.images = (features[0].shape[0], *features[0].shape[2:])
    ctx.features = len(features)
    return sums, -(offset * gain).view(targets, -1, channels).sum(1)


def _backward(ctx: Any, gradient: Tensor, shift_gradient: Tensor) -> tuple[Tensor | None, ...]:
    """With g = dL/dBN = m dL/dsums, h = sum_r g BN(W x) / m, and P = sum_r x dL/dsums' for each block:

    dL/dm = sum h, dL/dx = diag(m r) W' (dL/dsums - mean - BN h / R), dL/dW = m r (P' - ... ), as of batch norm.
    """
    x, weight, mixture, mean, spread, scale, offset, gain, product = ctx.saved_tensors
    targets, count, channels = gradient.shape
    inputs = weight.shape[-1]
    gradient = gradient.contiguous()
    by_target = x.transpose(0, 1)
    outer = torch.bmm(by_target.transpose(1, 2), gradient).to(weight.dtype)
    outer = outer.view(-1, inputs, channels).transpose(1, 2)  # sum_r dL/dsums x', (T * O * S, C, K)
    total = shift_gradient[:, None].expand(targets, len(weight) // targets, channels).reshape(-1, channels)
    along = (weight * outer).sum(-1).addcmul_(offset, total, value=-1).mul_(scale)  # h
    dmixture = along.sum(-1).view(mixture.shape)
    pull = scale * along
    dfeatures: list[Tensor | None] = [None] * ctx.features
    if any(ctx.needs_input_grad[4:]):
        curve = gain * pull / count
        inward = torch.bmm((weight * -curve[:, :, None]).transpose(1, 2), weight).to(x.dtype)
        constant = torch.bmm(torch.addcmul(offset * curve, gain, total, value=-1 / count)[:, None], weight)
        constant = constant.view(targets, 1, -1).to(x.dtype)
        up = product.view(targets, -1, channels, inputs).transpose(1, 2).reshape(targets, channels, -1).to(x.dtype)
        inward = inward.view(targets, ctx.features, -1, inputs, inputs)
        for number, (c, u, part) in enumerate(
            zip(constant.chunk(ctx.features, 2), up.chunk(ctx.features, 2), x.chunk(ctx.features, 2), strict=True)
        ):
            dx = x.new_empty(part.shape)
            torch.baddbmm(c, gradient, u, out=dx.transpose(0, 1))
            blocks = part.reshape(count, -1, inputs) if targets == 1 else part.unflatten(2, (-1, inputs)).flatten(1, 2)
            dx.view(count, -1, inputs).transpose(0, 1).baddbmm_(blocks.transpose(0, 1), inward[:, number].flatten(0, 1))
            dfeatures[number] = image(dx.view(count, -1), *ctx.images)
    dweight = None
    if ctx.needs_input_grad[1]:
        dweight = torch.baddbmm(outer, total[:, :, None], mean[:, None], alpha=-1)
        dweight = dweight.addcmul_(pull[:, :, None], spread, value=-1).mul_(gain[:, :, None])
        dweight = dweight.view(targets, -1, channels, inputs)
    return gradient, dweight, dmixture, None, *dfeatures
