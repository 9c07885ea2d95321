from nas.supernet.batch_statistics import BatchStatistics
from nas.supernet.calibrate import calibrate
from nas.supernet.channels_last import batch_norm, every_second, image, rows
from nas.supernet.depthwise import Copies, depthwise_conv2d
from nas.supernet.fan import (
    Batched,
    Fan,
    Normalized,
    Outputs,
    Separate,
    Shared,
    batched_form,
    edge_by_edge,
    kernels_apart,
    weighted_sum,
)
from nas.supernet.lent import LendingNetwork, Lent
from nas.supernet.lsq import LSQ
from nas.supernet.mixed import MixedModule
from nas.supernet.mixed_bits import MixedBits, bit_widths
from nas.supernet.mixed_op import MixedOp
from nas.supernet.mixed_width import FirstChannels, MixedWidth, width_of, widths_of
from nas.supernet.nice import NICE
from nas.supernet.partial_channels import PartialChannels
from nas.supernet.partitioned_bits import PartitionedBits
from nas.supernet.quantized_layers import QuantizedConv2d, QuantizedLayer, QuantizedLinear
from nas.supernet.quantizer import FLOAT_BITS, Operand, Quantizer, quantizers_in
from nas.supernet.recompute import recomputed
from nas.supernet.switchable_batch_norm import SwitchableBatchNorm
from nas.supernet.synchronized import SynchronizedBatchNorm
from nas.supernet.tally import Tally

__all__ = [
    "FLOAT_BITS",
    "LSQ",
    "NICE",
    "BatchStatistics",
    "Batched",
    "Copies",
    "Fan",
    "FirstChannels",
    "LendingNetwork",
    "Lent",
    "MixedBits",
    "MixedModule",
    "MixedOp",
    "MixedWidth",
    "Normalized",
    "Operand",
    "Outputs",
    "PartialChannels",
    "PartitionedBits",
    "QuantizedConv2d",
    "QuantizedLayer",
    "QuantizedLinear",
    "Quantizer",
    "Separate",
    "Shared",
    "SwitchableBatchNorm",
    "SynchronizedBatchNorm",
    "Tally",
    "batch_norm",
    "batched_form",
    "bit_widths",
    "calibrate",
    "depthwise_conv2d",
    "edge_by_edge",
    "every_second",
    "image",
    "kernels_apart",
    "quantizers_in",
    "recomputed",
    "rows",
    "weighted_sum",
    "width_of",
    "widths_of",
]
