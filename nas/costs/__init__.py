from nas.costs.bops import bops_of_filter, bops_of_layer, bops_per_output
from nas.costs.count import Cost, count
from nas.costs.kinds import bops, latency, macs, memory, params
from nas.costs.latencies import LatencyTable, latency_table
from nas.costs.layers import ChannelParameters, SearchedLayer
from nas.costs.model import CostModel
from nas.costs.quantity import Quantity
from nas.costs.shapes import LayerShape, Seconds, Window
from nas.costs.terms import CostTerm
from nas.costs.timing import Conditions, timed

__all__ = [
    "ChannelParameters",
    "Conditions",
    "Cost",
    "CostModel",
    "CostTerm",
    "LatencyTable",
    "LayerShape",
    "Quantity",
    "SearchedLayer",
    "Seconds",
    "Window",
    "bops",
    "bops_of_filter",
    "bops_of_layer",
    "bops_per_output",
    "count",
    "latency",
    "latency_table",
    "macs",
    "memory",
    "params",
    "timed",
]
