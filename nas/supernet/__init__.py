from nas.supernet.channels_last import batch_norm, image, rows
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
    weighted_sum,
)
from nas.supernet.mixed import MixedModule
from nas.supernet.mixed_op import MixedOp
from nas.supernet.partial_channels import PartialChannels
from nas.supernet.recompute import recomputed
from nas.supernet.synchronized import SynchronizedBatchNorm

__all__ = [
    "Batched",
    "Copies",
    "Fan",
    "MixedModule",
    "MixedOp",
    "Normalized",
    "Outputs",
    "PartialChannels",
    "Separate",
    "Shared",
    "SynchronizedBatchNorm",
    "batch_norm",
    "batched_form",
    "depthwise_conv2d",
    "edge_by_edge",
    "image",
    "recomputed",
    "rows",
    "weighted_sum",
]
