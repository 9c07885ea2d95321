"""From a network to a file that is known to compute the same."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.exporting.comparison import Comparison, compare
from nas.exporting.format import FileFormat
from nas.exporting.quantized import portable, quantized_layers
from nas.exporting.tracing import traced


@dataclass(frozen=True)
class Exported:
    """The bytes of a file, and how far it is from the network."""

    data: bytes
    comparison: Comparison


def export(
    network: nn.Module,
    batches: Sequence[Tensor],
    *,
    file_format: FileFormat,
    tolerance: float,
    metadata: Mapping[str, str],
) -> Exported:
    """The file of a network in evaluation mode, compared with it on batches of images (N, C, H, W) of one shape.

    The network is left as it is. To the metadata comes `bits`: JSON of the bits of weight and input of every quantized
    layer, by module path.

    Raises:
        ValueError: a network that cannot be traced or written, or a file that differs by more than the tolerance
            allows, as `compare` says.
    """
    network = copy.deepcopy(network).cpu().eval()
    channels, height, width = batches[0].shape[1:]
    program = traced(portable(network), (channels, height, width))
    data = file_format.write(program, {**metadata, "bits": json.dumps(_bits(network))})
    files = [file_format.load(data, inputs=inputs) for inputs in (False, True)]
    return Exported(data, compare(network, files, batches, tolerance))


def random_batches(image_shape: tuple[int, int, int], sizes: Sequence[int] = (1, 3)) -> list[Tensor]:
    """Images of mean 0 and variance 1, as normalized images have, always the same ones; a batch for each size."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, *image_shape, generator=generator) for size in sizes]


def _bits(network: nn.Module) -> dict[str, dict[str, int]]:
    return {
        path: {"weight_bits": layer.weight_bits, "input_bits": layer.input_bits}
        for path, layer in quantized_layers(network)
    }
