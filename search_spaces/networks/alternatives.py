"""Operators that may stand where a network has a convolution."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from torch import nn

from nas.supernet import Lent, MixedOp
from search_spaces.networks.places import choice_name
from search_spaces.networks.replace import replace

Alternative = Callable[[nn.Conv2d], nn.Module]
"""Makes a module of the channels and the stride of a convolution; its output has the size of the convolution's."""


def replaceable(conv: nn.Module) -> bool:
    """Whether it is a plain convolution, not grouped, of more than one pixel, that keeps the image size at stride 1."""
    if type(conv) is not nn.Conv2d or conv.groups > 1:
        return False
    sizes = zip(conv.kernel_size, conv.padding, conv.dilation, strict=False)
    keeps = all(size % 2 == 1 and padding == dilation * (size // 2) for size, padding, dilation in sizes)
    return keeps and max(conv.kernel_size) > 1 and not isinstance(conv.padding, str)


def convolution(kernel: int, conv: nn.Conv2d, *, dilation: int = 1) -> nn.Module:
    """A dense convolution."""
    padding, bias = dilation * (kernel // 2), conv.bias is not None
    return nn.Conv2d(conv.in_channels, conv.out_channels, kernel, _stride(conv), padding, dilation, bias=bias)


def separable(kernel: int, conv: nn.Conv2d) -> nn.Module:
    """A depthwise convolution, then a pointwise one (Howard et al., 2017), without a norm between them."""
    channels, padding = conv.in_channels, kernel // 2
    depthwise = nn.Conv2d(channels, channels, kernel, _stride(conv), padding, groups=channels, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(channels, conv.out_channels, 1, bias=conv.bias is not None))


def _stride(conv: nn.Conv2d) -> tuple[int, int]:
    first, second = conv.stride
    return first, second


ALTERNATIVES: Mapping[str, Alternative] = {
    "conv_1x1": partial(convolution, 1),
    "conv_3x3": partial(convolution, 3),
    "conv_5x5": partial(convolution, 5),
    "dil_conv_3x3": partial(convolution, 3, dilation=2),
    "sep_conv_3x3": partial(separable, 3),
    "sep_conv_5x5": partial(separable, 5),
}


def alternative(name: str) -> Alternative:
    """An operator by its name; a ValueError that lists the names for another one."""
    if name not in ALTERNATIVES:
        raise ValueError(f"space.operators holds {name!r}; a convolution may become one of {', '.join(ALTERNATIVES)}")
    return ALTERNATIVES[name]


def with_alternatives(network: nn.Module, names: Sequence[str]) -> nn.Module:
    """The network with a mixture of operators for each convolution that may be replaced, but not for its first one.

    Raises:
        ValueError: an unknown operator, or a network without such convolutions.
    """
    makers = {name: alternative(name) for name in names}
    convolutions = [(path, module) for path, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    places = [(path, module) for path, module in convolutions[1:] if replaceable(module)]
    if not places:
        raise ValueError(
            "space.operators needs a plain convolution of 3x3 or more behind the first; there is none: give []"
        )
    for path, conv in places:
        mixed = MixedOp({name: make(conv) for name, make in makers.items()})
        replace(network, path, Lent(mixed, choice_name(path, "op")))
    return network
