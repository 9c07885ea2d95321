from nas.channels.flow import Step
from nas.channels.layer import ChannelGroup, Channels, Layer
from nas.channels.narrow import narrow
from nas.channels.trace import ForwardError, trace

__all__ = ["ChannelGroup", "Channels", "ForwardError", "Layer", "Step", "narrow", "trace"]
