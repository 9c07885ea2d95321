"""Cell spaces that tests share."""

from search_spaces.cells import CellSpace

DARTS_OPERATORS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The primitives of Liu et al., 2019, in their order."""


def darts(**changes: object) -> CellSpace:
    """The space of DARTS, with these settings changed."""
    return CellSpace(**{"name": "darts", "operators": DARTS_OPERATORS, **changes})


def pc_darts(k: int = 4, **changes: object) -> CellSpace:
    """The space of PC-DARTS."""
    return darts(name="pc_darts", partial_channels=k, edge_normalization=True, **changes)
