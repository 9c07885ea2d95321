from nas.supernet.mixed import MixedModule
from nas.supernet.mixed_op import MixedOp
from nas.supernet.partial_channels import PartialChannels

__all__ = ["MixedModule", "MixedOp", "PartialChannels"]
