from nas.channels.flow import Step
from nas.channels.layer import ChannelGroup, Channels, Layer
from nas.channels.narrow import narrow
from nas.channels.trace import trace

__all__ = ["ChannelGroup", "Channels", "Layer", "Step", "narrow", "trace"]
