"""The weighted sum of batch-normalized pointwise products, without writing any of them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.overrides import handle_torch_function, has_torch_function_unary

from nas.parallel import ALONE, Ranks
from nas.supernet.blocks import Blocks
from nas.supernet.channels_last import image, rows
from nas.supernet.precision import returned, without_autocast


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
        n = len(features_weights_mixtures) // 3
        features = features_weights_mixtures[:n]
        weights, mixtures = features_weights_mixtures[n : 2 * n], features_weights_mixtures[2 * n :]
        with without_autocast(base.device):
            return _forward(ctx, base, eps, features, weights, mixtures)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        with without_autocast(gradient.device):  # a compiled backward pass runs under the autocast of the forward pass
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
    weight = torch.stack([w.transpose(1, 2) for w in weights]).flatten(0, 1)  # W' of every block: features, T, B
    mixture = torch.stack(list(mixtures)).view(-1, 1)
    pixels = [rows(feature) for feature in features]
    blocks, numbers = Blocks(len(weights[0]), inputs), [x.to(weight.dtype) for x in pixels]
    mean = _joined([x.mean(0) for x in numbers]).view(-1, inputs)
    moment = _joined([blocks.moments(x) for x in numbers])
    mean, moment = ctx.ranks.mean([mean, moment])
    covariance = torch.baddbmm(moment, mean[:, :, None], mean[:, None], beta=1 / count, alpha=-1)
    spread = torch.bmm(covariance, weight)
    scale = (spread * weight).sum(1).clamp_(min=0).add_(eps).rsqrt_()  # r
    gain = scale * mixture
    product = weight * gain[:, None]
    down = product.reshape(len(features), targets, -1, channels)
    shift = torch.bmm(mean.view(-1, 1, down.shape[2]), down.flatten(0, 1)).view(-1, targets, 1, channels).sum(0)
    dtype = pixels[0].dtype
    total = (base - shift).to(dtype)
    for x, weighted in zip(pixels, down.to(dtype), strict=True):
        total.baddbmm_(x.view(count, targets, -1).transpose(0, 1), weighted)
    ctx.save_for_backward(*pixels, weight, mean, spread, scale, gain, product)
    ctx.images = (features[0].shape[0], *features[0].shape[2:])
    return returned(total, dtype)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """With g = dL/d(sum of t), z = W (x - mean) and sums over the R rows, batch norm's own backward gives

    h = r sum(g z),  dL/dm = sum of h over channels,  dL/d(W x) = m r (g - sum(g) / R - r h r z / R),
    dL/dx = W' dL/d(W x),  dL/dW = sum(dL/d(W x) x'), and all sums follow from sum(g x'), sum(g) and the covariance.

    Over several ranks the sums are means over them and R the rows of one, which is the same but for dL/dm and dL/dW:
    those are the mean over the ranks already, and their mean over the ranks once more.
    """
    *pixels, weight, mean, spread, scale, gain, product = ctx.saved_tensors
    n, (targets, count, channels), inputs = len(pixels), gradient.shape, weight.shape[1]
    outer = _joined([torch.bmm(x.view(count, targets, -1).permute(1, 2, 0), gradient) for x in pixels])
    outer = outer.view(-1, targets, outer.shape[1], channels).to(weight.dtype)  # sum(x g')
    total = gradient.sum(1, keepdim=True, dtype=weight.dtype)  # sum(g)
    outer, total = ctx.ranks.mean([outer, total])
    centered = torch.addcmul(outer, mean.view(*outer.shape[:3], 1), total, value=-1).view_as(weight)
    along = (weight * centered).sum(1).mul_(scale)  # h
    pull = scale * along
    dmixtures = along.sum(-1).view(n, targets, -1).unbind()
    dfeatures: Sequence[Tensor | None] = [None] * n
    dweights: Sequence[Tensor | None] = [None] * n
    if any(ctx.needs_input_grad[3 : 3 + n]):
        inward = torch.bmm(product * pull[:, None], weight.transpose(1, 2))
        ahead = torch.bmm(mean[:, None], weight).view(n, targets, -1, channels)
        push = torch.addcmul(total, pull.view_as(ahead), ahead, value=-1)  # sum(g) - r h W mean
        constant = torch.bmm(product, push.view(-1, channels, 1))
        dfeatures = _feature_gradients(ctx, pixels, gradient, product, inward, constant)
    if any(ctx.needs_input_grad[3 + n : 3 + 2 * n]):
        dweight = centered.addcmul_(pull[:, None], spread, value=-1).mul_(gain[:, None])
        dweights = dweight.transpose(1, 2).contiguous().view(n, -1, channels, inputs).unbind()
    return gradient, None, None, *dfeatures, *dweights, *dmixtures


def _feature_gradients(
    ctx: Any, pixels: Sequence[Tensor], gradient: Tensor, product: Tensor, inward: Tensor, constant: Tensor
) -> list[Tensor]:
    """product g - (constant + inward x) / R for each block, in the shape of the features."""
    n, (targets, count, channels), inputs = len(pixels), gradient.shape, product.shape[1]
    up = product.reshape(n, targets, -1, channels).transpose(2, 3).to(gradient.dtype)
    constants = constant.view(n, targets, 1, -1).to(gradient.dtype)
    blocks = Blocks(len(inward) // n, inputs)
    inwards = blocks.diagonal(inward).to(gradient.dtype).chunk(n)
    gradients = []
    for x, first, second, third in zip(pixels, constants, up, inwards, strict=True):
        if torch.compiler.is_compiling():  # it plans memory itself and cannot trace what is written into views
            linear = torch.baddbmm(first, gradient, second, beta=-1 / count).transpose(0, 1)
            linear = blocks.of(linear.reshape(x.shape))
            dx = torch.baddbmm(linear, blocks.of(x), third, alpha=-1 / count).transpose(0, 1).reshape(x.shape)
        else:
            dx = torch.empty_like(x)
            by_target = dx.view(count, targets, -1).transpose(0, 1)
            torch.baddbmm(first, gradient, second, beta=-1 / count, out=by_target)
            blocks.of(dx).baddbmm_(blocks.of(x), third, alpha=-1 / count)
        gradients.append(image(dx, *ctx.images))
    return gradients


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
