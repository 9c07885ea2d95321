from search_spaces.operators.catalogue import NONE, OPERATORS, Operator, is_parameter_free
from search_spaces.operators.convolutions import relu_conv_norm
from search_spaces.operators.normalization import BATCHED_SEARCH, EVALUATION, SEARCH, Normalization
from search_spaces.operators.skip import FactorizedReduce, Zero

__all__ = [
    "BATCHED_SEARCH",
    "EVALUATION",
    "NONE",
    "OPERATORS",
    "SEARCH",
    "FactorizedReduce",
    "Normalization",
    "Operator",
    "Zero",
    "is_parameter_free",
    "relu_conv_norm",
]
