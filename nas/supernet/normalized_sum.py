"""The weighted sum of batch-normalized pointwise products, without writing any of them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.overrides import handle_torch_function, has_torch_function_unary

from nas.parallel import ALONE, Ranks
from nas.supernet.channels_last import image, rows
from nas.supernet.precision import without_autocast


def normalized_sum(
    base: Tensor,
    features: Sequence[Tensor],
    weights: Sequence[Tensor],
    mixtures: Sequence[Tensor],
    eps: float,
    *,
    ranks: Ranks = ALONE,
) -> Tensor:
    """base[t] + sum_b m_b * BN(W_b x_b) over the blocks b of each target t; statistics are those of the batch.

    The batch is what `ranks` hold together, equally many rows each; a `TorchFunctionMode` sees the call, as it sees
    those of PyTorch's own functions.

    `base` and the result have shape (T, R, C), R = N * H * W. Each of `features` is channels-last,
    (N, T * B * K, H, W): for each of T targets B blocks of K channels; its weight has shape (T * B, C, K) and its
    mixture (T, B). All features have one shape.

    Batch norm of a linear map follows from the mean and the covariance of its input, so W x is never stored: with
    cov the covariance of x and r = 1 / sqrt(diag(W cov W') + eps), BN(W x) = diag(r) W (x - mean(x)). The backward
    pass is in closed form too; a gradient of the gradient is refused. In float32 the covariance, a difference of
    squares, has a relative error of 1e-7 (mean / std)^2: below 1e-6 for what batch norm and ReLU feed a convolution
    with, and 1e-3 for a feature whose mean is 100 times its spread.
    """
    if has_torch_function_unary(base):
        return handle_torch_function(normalized_sum, (base,), base, features, weights, mixtures, eps)
    total: Tensor = _NormalizedSum.apply(base, eps, ranks, *features, *weights, *mixtures)
    return total


class _NormalizedSum(Function):
    @staticmethod
    def forward(ctx: Any, base: Tensor, eps: float, ranks: Ranks, *features_weights_mixtures: Tensor) -> Tensor:
        ctx.ranks = ranks
        n = ctx.features = len(features_weights_mixtures) // 3
        features = features_weights_mixtures[:n]
        weights, mixtures = features_weights_mixtures[n : 2 * n], features_weights_mixtures[2 * n :]
        with without_autocast(base.device):
            return _forward(ctx, base, eps, features, weights, mixtures)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return _backward(ctx, gradient.contiguous())


def _forward(
    ctx: Any,
    base: Tensor,
    eps: float,
    features: Sequence[Tensor],
    weights: Sequence[Tensor],
    mixtures: Sequence[Tensor],
) -> Tensor:
    targets, count, channels = base.shape
    inputs = weights[0].shape[-1]
    weight = torch.stack([w.view(targets, -1, channels, inputs) for w in weights], 1).view(-1, channels, inputs)
    mixture = torch.stack(list(mixtures), 1).view(-1, 1)
    x = torch.cat([rows(feature).view(count, targets, -1) for feature in features], 2)
    blocks = x.view(count, -1, inputs).transpose(0, 1).to(weight.dtype)  # (T * features * B, R, K)
    mean, moment = ctx.ranks.mean([blocks.mean(1), torch.bmm(blocks.transpose(1, 2), blocks)])
    covariance = torch.baddbmm(moment, mean[:, :, None], mean[:, None], beta=1 / count, alpha=-1)
    spread = torch.bmm(weight, covariance)
    scale = (spread * weight).sum(-1).clamp_(min=0).add_(eps).rsqrt_()  # r
    gain = scale * mixture
    product = weight * gain[:, :, None]
    down = product.view(targets, -1, channels, inputs).transpose(2, 3).reshape(targets, -1, channels)
    total = torch.baddbmm(base.to(x.dtype), x.transpose(0, 1), down.to(x.dtype))
    total -= torch.bmm(product, mean[:, :, None]).view(targets, -1, channels).sum(1, keepdim=True)
    ctx.save_for_backward(x, weight, mean, spread, scale, gain, product)
    ctx.images = (features[0].shape[0], *features[0].shape[2:])
    return total


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """With g = dL/d(sum of t), z = W (x - mean) and sums over the R rows, batch norm's own backward gives

    h = r sum(g z),  dL/dm = sum of h over channels,  dL/d(W x) = m r (g - sum(g) / R - r h r z / R),
    dL/dx = W' dL/d(W x),  dL/dW = sum(dL/d(W x) x'), and all sums follow from sum(g x'), sum(g) and the covariance.

    Over several ranks the sums are means over them and R the rows of one, which is the same but for dL/dm and dL/dW:
    those are the mean over the ranks already, and their mean over the ranks once more.
    """
    x, weight, mean, spread, scale, gain, product = ctx.saved_tensors
    n, targets, channels, inputs = ctx.features, len(gradient), gradient.shape[2], weight.shape[2]
    outer = torch.bmm(x.permute(1, 2, 0), gradient).to(weight.dtype)
    outer = outer.view(-1, inputs, channels).transpose(1, 2)  # sum(g x')
    total = gradient.sum(1, dtype=weight.dtype)[:, None].expand(targets, len(weight) // targets, channels)
    total = total.reshape(-1, channels)  # sum(g)
    outer, total = ctx.ranks.mean([outer, total])
    centered = torch.baddbmm(outer, total[:, :, None], mean[:, None], alpha=-1)
    along = (weight * centered).sum(-1).mul_(scale)  # h
    pull = scale * along
    dmixtures = _by_feature(along.sum(-1), n, targets)
    dfeatures: Sequence[Tensor | None] = [None] * n
    dweights: Sequence[Tensor | None] = [None] * n
    if any(ctx.needs_input_grad[3 : 3 + n]):
        inward = torch.bmm((product * pull[:, :, None]).transpose(1, 2), weight)
        constant = torch.bmm(inward, mean[:, :, None])[:, :, 0] - torch.bmm(total[:, None], product)[:, 0]
        dfeatures = _feature_gradients(ctx, x, gradient, product, inward, constant)
    if any(ctx.needs_input_grad[3 + n : 3 + 2 * n]):
        dweight = centered.addcmul_(pull[:, :, None], spread, value=-1).mul_(gain[:, :, None])
        dweights = [part.flatten(0, 1) for part in _by_feature(dweight, n, targets)]
    return gradient, None, None, *dfeatures, *dweights, *dmixtures


def _feature_gradients(
    ctx: Any, x: Tensor, gradient: Tensor, product: Tensor, inward: Tensor, constant: Tensor
) -> list[Tensor]:
    """product' g + (constant - inward x) / R for each block, in the shape of the features."""
    count, targets, _ = x.shape
    channels, inputs = product.shape[1:]
    up = product.view(targets, -1, channels, inputs).transpose(1, 2).reshape(targets, channels, -1).to(x.dtype)
    dx = torch.empty_like(x)
    constant = constant.view(targets, 1, -1).to(x.dtype)
    torch.baddbmm(constant, gradient, up, beta=1 / count, out=dx.transpose(0, 1))
    blocks = x.view(count, -1, inputs).transpose(0, 1)
    dx.view(count, -1, inputs).transpose(0, 1).baddbmm_(blocks, inward.to(x.dtype), alpha=-1 / count)
    return [image(part.flatten(1), *ctx.images) for part in dx.chunk(ctx.features, 2)]


def _by_feature(blocks: Tensor, features: int, targets: int) -> list[Tensor]:
    """(T * features * B, ...) as a contiguous tensor of shape (T, B, ...) for each feature."""
    split = blocks.view(targets, features, -1, *blocks.shape[1:])
    return list(split.transpose(0, 1).contiguous().unbind())
