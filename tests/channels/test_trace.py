"""What is found out about networks: layers, groups and why some are fixed."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.channels import Channels, trace
from tests.channels.networks import BETWEEN, NETWORKS, Functional, Head, Middle, Shuffle, conv, conv_norm, vision

IMAGE = (3, 16, 16)


def free(channels: Channels) -> dict[str, int]:
    """The sizes of the groups whose channels can be removed."""
    return {group.name: group.size for group in channels.groups if not group.fixed}


def macs(channels: Channels) -> int:
    """Multiply-accumulates of all layers."""
    return sum(
        layer.positions * layer.kernel * layer.in_channels // layer.groups * layer.out_channels
        for layer in channels.layers
    )


def counted(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates as torch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, *shape, device=next(network.parameters()).device))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_have_the_sizes_that_torch_counts(name: str) -> None:
    network = NETWORKS[name]()
    channels = trace(network, IMAGE)
    assert macs(channels) == counted(network, IMAGE) > 0
    for layer in channels.layers:
        assert len(layer.reads) == layer.in_channels
        assert len(layer.writes) == layer.out_channels
    for (tensor, axis), line in channels.dims.items():
        assert len(line) == network.state_dict()[tensor].shape[axis]


def test_resnet18_by_hand() -> None:
    """A stream of each stage, written by the stem or the shortcut too, and the inside of each of its two blocks."""
    with torch.device("meta"):
        network = vision("resnet18")
    channels = trace(network, (3, 224, 224))
    assert macs(channels) == counted(network, (3, 224, 224)) == 1_814_073_344
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_689_512
    expected = {}
    for stage, width in enumerate((64, 128, 256, 512), 1):
        stream = "conv1" if stage == 1 else f"layer{stage}/0/conv2"
        expected |= {f"layer{stage}/{block}/conv1": width for block in (0, 1)} | {stream: width}
    assert free(channels) == expected
    assert channels.group("conv1").writers == ("conv1", "layer1.0.conv2", "layer1.1.conv2")
    assert channels.group("layer2/0/conv2").writers == ("layer2.0.conv2", "layer2.0.downsample.0", "layer2.1.conv2")
    assert channels.group("fc").fixed == "the network returns it"
    assert channels.group("input").fixed == "it is the image"
    first, last = channels.layers[0], channels.layers[-1]
    assert (first.kernel, first.positions, first.bias, first.input_shape) == (49, 112 * 112, False, (3, 224, 224))
    assert first.signature["stride"] == (2, 2)
    assert first.signature["padding"] == (3, 3)
    assert (last.kind, last.positions, last.bias, last.input_shape) == ("linear", 1, True, (512,))


@pytest.mark.slow
def test_mobilenet_v2_by_hand() -> None:
    """The stem, with the depthwise convolution of the first block; the inside of 16 blocks; a stream of each of seven
    settings; the last convolution."""
    with torch.device("meta"):
        network = vision("mobilenet_v2")
    channels = trace(network, (3, 224, 224))
    assert macs(channels) == counted(network, (3, 224, 224)) == 300_774_272
    inputs = [16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160]
    streams = [16, 24, 32, 64, 96, 160, 320]
    assert sorted(free(channels).values()) == sorted([32, *(6 * width for width in inputs), *streams, 1280])
    depthwise = [layer for layer in channels.layers if layer.depthwise]
    assert len(depthwise) == 17
    assert all(torch.equal(layer.reads, layer.writes) for layer in depthwise)


def test_depthwise_convolutions_are_no_writers() -> None:
    channels = trace(NETWORKS["mobilenet"](), IMAGE)
    assert [group.writers for group in channels.groups if group.size == 12] == [
        ("0.1.layers.0.0",),
        ("0.2.layers.0.0",),
    ]


def test_a_concatenation_keeps_its_parts_and_what_is_added_to_it_falls_into_them() -> None:
    channels = trace(NETWORKS["densenet"](), IMAGE)
    assert free(channels) == {"0/a": 6, "0/b/0": 4, "0/c": 5}
    assert channels.group("0/a").writers == ("0.a", "0.d")
    assert channels.group("0/b/0").writers == ("0.b.0", "0.d")


def test_features_after_a_flatten_are_channels_at_several_pixels() -> None:
    network = NETWORKS["vgg"]()
    channels = trace(network, IMAGE)
    reader = next(layer for layer in channels.layers if layer.path == "6")
    written = next(layer for layer in channels.layers if layer.path == "2").writes
    assert torch.equal(reader.reads, written.repeat_interleave(4))
    assert torch.equal(channels.dims["6.weight", 1], reader.reads)


def test_halves_that_are_added_up_are_removed_in_pairs() -> None:
    channels = trace(NETWORKS["folded"](), IMAGE)
    line = channels.dims["0.stem.weight", 0]
    assert free(channels) == {"0/stem": 6}
    assert torch.equal(line[:6], line[6:])


def test_a_layer_that_runs_twice_reads_what_it_writes() -> None:
    channels = trace(NETWORKS["shared"](), IMAGE)
    assert [layer.path for layer in channels.layers] == ["0.stem", "0.twice", "0.twice", "3"]
    assert free(channels) == {"0/stem": 7}


def test_padding_with_zeros_adds_channels_that_stay() -> None:
    channels = trace(NETWORKS["shapes"](), IMAGE)
    assert free(channels) == {"0/stem": 6}
    assert (channels.group("0/wide/0").size, channels.group("0/wide/0").fixed) == (
        4,
        "operation aten.constant_pad_nd adds it",
    )


def test_a_weight_that_is_standardized_is_still_its_parameter() -> None:
    channels = trace(Head(Functional(standardized=True), 6), IMAGE)
    assert free(channels) == {"0": 8, "0/2": 6}
    assert {key for key in channels.dims if key[0].startswith("0.")} == {
        *{("0.weight", 0), ("0.weight", 1), ("0.more", 0), ("0.more", 1), ("0.mask", 0), ("0.mask", 1)},
        *{("0.step", 0), ("0.scale", 0)},
    }


class Grouped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.grouped, self.last = conv(3, 8), conv(8, 12, groups=4), conv(12, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.grouped(self.first(x)))


class Attention(nn.Module):
    """Patches, a class token, a layer of a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.token = nn.Conv2d(3, 8, 8, 8), nn.Parameter(torch.zeros(1, 1, 8))
        self.layer = nn.TransformerEncoderLayer(8, 2, 20, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return self.layer(torch.cat([self.token.expand(len(x), -1, -1), tokens], 1))[:, 0, :, None, None]


class Hypernetwork(nn.Module):
    """A convolution whose weight is computed from the image."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.maker = conv(3, 4), nn.Linear(4, 24)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return F.conv2d(x, self.maker(x.mean((0, 2, 3))[None]).view(6, 4, 1, 1))


class SoftmaxOfChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = conv(3, 7), conv(7, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).softmax(1))


class Mixer(nn.Module):
    """A linear layer over the pixels of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.mix = conv(3, 6), nn.Linear(256, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.first(x).flatten(2))[..., None]


class Constant(nn.Module):
    """Something with as many channels as the code says is added."""

    def __init__(self) -> None:
        super().__init__()
        self.first = conv(3, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x) + torch.arange(6.0)[:, None, None]


@pytest.mark.parametrize(
    ("body", "fixed"),
    [
        (
            Grouped,
            {
                "0/first": "grouped convolution '0.grouped' reads it",
                "0/grouped": "grouped convolution '0.grouped' writes it",
            },
        ),
        (SoftmaxOfChannels, {"0/first": "operation aten._softmax reads it"}),
        (lambda: Middle(lambda x: x[:, ::2].repeat(1, 2, 1, 1)), {"0/a": "operation aten.slice takes a part of it"}),
        (Mixer, {"0/first": "linear layer '0.mix' runs once for each of its channels"}),
        (Constant, {"0/first": "operation aten.add reads it"}),
        (lambda: nn.Sequential(conv(3, 6), nn.GroupNorm(2, 6)), {"0/0": "operation aten.native_group_norm reads it"}),
        (lambda: nn.Sequential(conv(3, 6), nn.LocalResponseNorm(3)), {"0/0": "operation aten.avg_pool3d reads it"}),
        (lambda: nn.Sequential(conv(3, 24), nn.PixelShuffle(2)), {"0/0": "operation aten.pixel_shuffle reads it"}),
    ],
)
def test_what_cannot_be_removed_says_why(body: type[nn.Module], fixed: dict[str, str]) -> None:
    channels = trace(Head(body(), 6), IMAGE)
    assert {group.name: group.fixed for group in channels.groups if group.name in fixed} == fixed


class Asking(Attention):
    """A transformer that cannot run on the meta device, and so would run fused."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.sum().item() == 0
        return super().forward(x)


@pytest.mark.parametrize("body", [Attention, Asking])
def test_attention_is_fixed_and_the_inside_of_its_layers_is_free(body: type[nn.Module]) -> None:
    channels = trace(Head(body(), 8), IMAGE)
    assert free(channels) == {"0/layer/linear1": 20}
    assert [layer.positions for layer in channels.layers if layer.path == "0.layer.linear1"] == [5]


def test_a_weight_that_is_no_parameter_has_no_path_and_fixes_what_it_touches() -> None:
    channels = trace(Head(Hypernetwork(), 6), IMAGE)
    assert free(channels) == {}
    assert [layer.path for layer in channels.layers] == ["0.first", "0.maker", "", "3"]
    assert "whose weight is no parameter" in channels.group("0/first").fixed


class Part(nn.Module):
    """A layer that uses six of its filters."""

    def __init__(self, filters: int, used: slice) -> None:
        super().__init__()
        self.weight, self.second, self.used = nn.Parameter(torch.randn(filters, 3, 1, 1)), conv(6, 6), used

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.conv2d(x, self.weight[self.used]))


class WrittenDown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv(3, 8), conv(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).view(-1, 8, 256).view(-1, 8, 16, 16)
        return self.second(x)


@pytest.mark.parametrize(
    ("body", "channels", "groups"),
    [
        (lambda: nn.Sequential(conv(3, 8), Shuffle(8), conv(8, 6)), 6, {"0/0": 4, "0/1/branch/0/0": 4, "0/2": 6}),
        (lambda: nn.Sequential(conv(3, 8), Shuffle(8, size=4), conv(8, 6)), 6, {"0/1/branch/0/0": 4, "0/2": 6}),
        (WrittenDown, 6, {"0/second": 6}),
        (lambda: Part(9, slice(6)), 6, {"0/second": 6}),
        (lambda: Part(12, slice(0, 12, 2)), 6, {"0/second": 6}),
    ],
)
def test_sizes_that_are_written_down_in_the_code_stay(
    body: type[nn.Module], channels: int, groups: dict[str, int]
) -> None:
    found = trace(Head(body(), channels), IMAGE)
    assert free(found) == groups
    for group in found.groups:
        if group.name in ("0/0", "0/first") and group.fixed:
            assert group.fixed.startswith("the network does not run with fewer: ")


class Exclusive(nn.Module):
    """Of its last two layers one must be as wide as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = conv(3, 6), conv(6, 6), conv(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x))
        y = self.third(x)
        assert max(x.shape[1], y.shape[1]) == 6, "both are narrow"
        return y


def test_groups_that_cannot_be_narrowed_together_are_not_all_free() -> None:
    channels = trace(Head(Exclusive(), 6), IMAGE)
    assert free(channels) == {"0/first": 6, "0/second": 6}
    assert channels.group("0/third").fixed == "the network does not run with fewer: both are narrow"


def test_layers_that_only_training_uses_are_none() -> None:
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.auxiliary = conv(3, 6), conv(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            x = self.body(x)
            return x + self.auxiliary(x) if self.training else x

    assert [layer.path for layer in trace(Head(Auxiliary(), 6).train(), IMAGE).layers] == ["0.body", "3"]


class Reading(nn.Module):
    """Python that looks at numbers, random ones, buffers and counters that change."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.calls = conv_norm(3, 6), 0
        self.register_buffer("seen", torch.zeros(()))
        self.loose = torch.ones(1)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen += 1
        y = self.conv(x + torch.rand(1) * self.loose)
        return y.relu() if x.mean().item() < 1e9 else y


@pytest.mark.parametrize("make", [Reading, lambda: nn.Sequential(nn.Dropout(), conv_norm(3, 6))])
def test_the_network_and_the_random_state_stay_as_they_were(make: type[nn.Module]) -> None:
    network = Head(make(), 6).train()
    network[3].eval()
    before, modes = copy.deepcopy(network.state_dict()), [module.training for module in network.modules()]
    pointers = [tensor.data_ptr() for tensor in network.state_dict().values()]
    random_state = torch.get_rng_state()
    assert len(free(trace(network, IMAGE))) == 1
    assert torch.equal(torch.get_rng_state(), random_state)
    assert [module.training for module in network.modules()] == modes
    assert [tensor.data_ptr() for tensor in network.state_dict().values()] == pointers
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert getattr(network[0], "calls", 0) == 0
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_a_depthwise_convolution_of_two_channels_can_be_narrowed_to_one() -> None:
    channels = trace(Head(nn.Sequential(conv(3, 2), conv(2, 2, groups=2), conv(2, 6)), 6), IMAGE)
    assert free(channels) == {"0/0": 2, "0/2": 6}


def test_a_network_without_numbers_may_make_tensors() -> None:
    with torch.device("meta"):
        network = Head(Middle(lambda x: x * torch.ones(1) + torch.zeros(x.shape[-1])), 6)
    assert free(trace(network, IMAGE)) == {"0/a": 8, "0/b": 6}


def test_tied_parameters_are_one() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.a, self.b, self.dead = conv(3, 5), conv(5, 5), conv(5, 5), conv(4, 4)
            self.b.weight = self.a.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(self.stem(x)).relu())

    channels = trace(Head(Tied(), 5), IMAGE)
    assert free(channels) == {"0/stem": 5}
    assert torch.equal(channels.dims["0.a.weight", 0], channels.dims["0.b.weight", 0])
    assert not any(name.startswith("0.dead") for name, _ in channels.dims)


class Refusing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise KeyError("takes no image")


def test_an_image_that_does_not_fit_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"^the network cannot take an image of shape \[4, 16, 16\]: .*3 channels"):
        trace(NETWORKS["plain"](), (4, 16, 16))
    with pytest.raises(ValueError, match=r"^[^\n]*: 'takes no image.*$"):
        trace(Refusing(), IMAGE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential(nn.LazyConv2d(4, 3)), r"^'0.weight' has no shape yet: run the network once on an image"),
        (lambda: torch.jit.script(conv_norm(3, 4)), r"^a scripted network cannot be narrowed: give the module that"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning", "ignore:.*torch.jit.script:FutureWarning")
@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
def test_networks_that_cannot_be_traced_are_refused(make: type[nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trace(make(), IMAGE)


def test_the_mode_of_the_caller_does_not_matter() -> None:
    expected = trace(NETWORKS["resnet"](), IMAGE).groups
    with torch.inference_mode():
        assert trace(NETWORKS["resnet"](), IMAGE).groups == expected
    with torch.device("meta"):
        assert trace(NETWORKS["resnet"](), IMAGE).groups == expected


@pytest.mark.parametrize(("between", "size"), BETWEEN)
def test_what_is_between_two_layers(between: Callable[[Tensor], Tensor], size: int) -> None:
    """Size 0 says that the channels are fixed."""
    channels = trace(Head(Middle(between), 6), IMAGE)
    assert free(channels) == ({"0/a": size} if size else {}) | {"0/b": 6}


def test_a_weight_in_parts_belongs_to_the_layer_and_a_single_channel_goes_with_all() -> None:
    channels = trace(NETWORKS["upsampled"](), IMAGE)
    assert [layer.path for layer in channels.layers] == ["0.stem", "0.up", "0.look", "3"]
    assert {key for key in channels.dims if key[0].startswith("0.stem")} == {
        ("0.stem.parametrizations.weight.original0", 0),
        ("0.stem.parametrizations.weight.original1", 0),
        ("0.stem.parametrizations.weight.original1", 1),
    }
    assert channels.group("0/look").fixed == "operation aten.mul repeats it"


def test_one_of_two_axes_of_channels_that_become_one_stays() -> None:
    channels = trace(NETWORKS["outer"](), IMAGE)
    assert free(channels) == {"0/a": 4, "0/c": 6}
    assert channels.group("0/b").fixed in ("operation aten.view reads it", "operation aten._unsafe_view reads it")


def test_a_learned_embedding_has_the_channels_of_the_tokens() -> None:
    channels = trace(NETWORKS["tokens"](), IMAGE)
    assert free(channels) == {"patches": 6}
    assert ("embedding", 2) in channels.dims
    assert ("embedding", 1) not in channels.dims


def test_of_several_reasons_the_first_one_is_given() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = conv(3, 6), conv(3, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x).softmax(1) + self.b(x).cumsum(1)

    assert trace(Head(Both(), 6), IMAGE).group("0/a").fixed == "operation aten._softmax reads it"


def test_no_two_groups_have_one_name() -> None:
    class Named(Functional):
        def __init__(self) -> None:
            super().__init__()
            self.add_module("2", conv(6, 4))

        def forward(self, x: Tensor) -> Tensor:
            return self.get_submodule("2")(super().forward(x))

    channels = trace(Head(Named(), 4), IMAGE)
    assert free(channels) == {"0": 8, "0/2": 6, "0/2/2": 4}
    assert [group.writers for group in channels.groups] == [(), ("0",), ("0",), ("0.2",), ("3",)]


def test_an_unknown_group_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no channel group 'conv7'; the groups are input, 0, 2, 6, 9$"):
        trace(NETWORKS["vgg"](), IMAGE).group("conv7")
