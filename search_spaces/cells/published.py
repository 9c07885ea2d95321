"""Cells that papers have published, in their authors' form."""

from nas.architecture import Genotype
from search_spaces.cells.authors_form import parse

_TEXTS = {
    # DARTS, first order (Liu et al., 2019)
    "DARTS_V1": """Genotype(
        normal=[
            ('sep_conv_3x3', 1), ('sep_conv_3x3', 0),
            ('skip_connect', 0), ('sep_conv_3x3', 1),
            ('skip_connect', 0), ('sep_conv_3x3', 1),
            ('sep_conv_3x3', 0), ('skip_connect', 2),
        ], normal_concat=range(2, 6),
        reduce=[
            ('max_pool_3x3', 0), ('max_pool_3x3', 1),
            ('skip_connect', 2), ('max_pool_3x3', 0),
            ('max_pool_3x3', 0), ('skip_connect', 2),
            ('skip_connect', 2), ('avg_pool_3x3', 0),
        ], reduce_concat=range(2, 6),
    )""",
    # DARTS, second order (Liu et al., 2019)
    "DARTS_V2": """Genotype(
        normal=[
            ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
            ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
            ('sep_conv_3x3', 1), ('skip_connect', 0),
            ('skip_connect', 0), ('dil_conv_3x3', 2),
        ], normal_concat=range(2, 6),
        reduce=[
            ('max_pool_3x3', 0), ('max_pool_3x3', 1),
            ('skip_connect', 2), ('max_pool_3x3', 1),
            ('max_pool_3x3', 0), ('skip_connect', 2),
            ('skip_connect', 2), ('max_pool_3x3', 1),
        ], reduce_concat=range(2, 6),
    )""",
    # PC-DARTS, searched on CIFAR-10 (Xu et al., 2020)
    "PC_DARTS_cifar": """Genotype(
        normal=[
            ('sep_conv_3x3', 1), ('skip_connect', 0),
            ('sep_conv_3x3', 0), ('dil_conv_3x3', 1),
            ('sep_conv_5x5', 0), ('sep_conv_3x3', 1),
            ('avg_pool_3x3', 0), ('dil_conv_3x3', 1),
        ], normal_concat=range(2, 6),
        reduce=[
            ('sep_conv_5x5', 1), ('max_pool_3x3', 0),
            ('sep_conv_5x5', 1), ('sep_conv_5x5', 2),
            ('sep_conv_3x3', 0), ('sep_conv_3x3', 3),
            ('sep_conv_3x3', 1), ('sep_conv_3x3', 2),
        ], reduce_concat=range(2, 6),
    )""",
    # PC-DARTS, searched on ImageNet (Xu et al., 2020)
    "PC_DARTS_image": """Genotype(
        normal=[
            ('skip_connect', 1), ('sep_conv_3x3', 0),
            ('sep_conv_3x3', 0), ('skip_connect', 1),
            ('sep_conv_3x3', 1), ('sep_conv_3x3', 3),
            ('sep_conv_3x3', 1), ('dil_conv_5x5', 4),
        ], normal_concat=range(2, 6),
        reduce=[
            ('sep_conv_3x3', 0), ('skip_connect', 1),
            ('dil_conv_5x5', 2), ('max_pool_3x3', 1),
            ('sep_conv_3x3', 2), ('sep_conv_3x3', 1),
            ('sep_conv_5x5', 0), ('sep_conv_3x3', 3),
        ], reduce_concat=range(2, 6),
    )""",
    # P-DARTS (Chen et al., 2019)
    "PDARTS": """Genotype(
        normal=[
            ('skip_connect', 0), ('dil_conv_3x3', 1),
            ('skip_connect', 0), ('sep_conv_3x3', 1),
            ('sep_conv_3x3', 1), ('sep_conv_3x3', 3),
            ('sep_conv_3x3', 0), ('dil_conv_5x5', 4),
        ], normal_concat=range(2, 6),
        reduce=[
            ('avg_pool_3x3', 0), ('sep_conv_5x5', 1),
            ('sep_conv_3x3', 0), ('dil_conv_5x5', 2),
            ('max_pool_3x3', 0), ('dil_conv_3x3', 1),
            ('dil_conv_3x3', 1), ('dil_conv_5x5', 3),
        ], reduce_concat=range(2, 6),
    )""",
    # DrNAS, searched on CIFAR-10 (Chen et al., 2021)
    "DrNAS_cifar10": """Genotype(
        normal=[
            ('sep_conv_3x3', 0), ('sep_conv_5x5', 1),
            ('sep_conv_3x3', 1), ('sep_conv_3x3', 2),
            ('skip_connect', 0), ('sep_conv_3x3', 1),
            ('sep_conv_3x3', 2), ('dil_conv_5x5', 3),
        ], normal_concat=range(2, 6),
        reduce=[
            ('max_pool_3x3', 0), ('sep_conv_5x5', 1),
            ('dil_conv_5x5', 2), ('sep_conv_5x5', 1),
            ('sep_conv_5x5', 1), ('dil_conv_5x5', 3),
            ('skip_connect', 4), ('sep_conv_5x5', 1),
        ], reduce_concat=range(2, 6),
    )""",
    # DrNAS, searched on ImageNet (Chen et al., 2021)
    "DrNAS_imagenet": """Genotype(
        normal=[
            ('sep_conv_3x3', 1), ('sep_conv_3x3', 0),
            ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
            ('sep_conv_3x3', 0), ('dil_conv_3x3', 3),
            ('skip_connect', 0), ('sep_conv_3x3', 1),
        ], normal_concat=range(2, 6),
        reduce=[
            ('max_pool_3x3', 0), ('sep_conv_3x3', 1),
            ('sep_conv_3x3', 0), ('skip_connect', 2),
            ('sep_conv_3x3', 0), ('sep_conv_3x3', 2),
            ('sep_conv_3x3', 3), ('sep_conv_3x3', 1),
        ], reduce_concat=range(2, 6),
    )""",
    # SDARTS with random smoothing, c10_s5_random (Chen and Hsieh, 2020)
    "SDARTS_RS": """Genotype(
        normal=[
            ('sep_conv_3x3', 1), ('sep_conv_3x3', 0),
            ('sep_conv_5x5', 1), ('skip_connect', 0),
            ('sep_conv_3x3', 3), ('skip_connect', 1),
            ('sep_conv_3x3', 1), ('dil_conv_3x3', 2),
        ], normal_concat=range(2, 6),
        reduce=[
            ('max_pool_3x3', 0), ('sep_conv_3x3', 1),
            ('skip_connect', 2), ('max_pool_3x3', 0),
            ('dil_conv_5x5', 3), ('max_pool_3x3', 0),
            ('sep_conv_3x3', 2), ('sep_conv_5x5', 3),
        ], reduce_concat=range(2, 6),
    )""",
    # SDARTS with adversarial perturbation, c10_s5_pgd (Chen and Hsieh, 2020)
    "SDARTS_ADV": """Genotype(
        normal=[
            ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
            ('sep_conv_3x3', 1), ('skip_connect', 0),
            ('sep_conv_5x5', 0), ('dil_conv_3x3', 3),
            ('dil_conv_3x3', 4), ('skip_connect', 0),
        ], normal_concat=range(2, 6),
        reduce=[
            ('max_pool_3x3', 0), ('sep_conv_5x5', 1),
            ('skip_connect', 2), ('max_pool_3x3', 0),
            ('skip_connect', 3), ('skip_connect', 2),
            ('skip_connect', 2), ('sep_conv_5x5', 4),
        ], reduce_concat=range(2, 6),
    )""",
    # DARTS-PT, darts_pt_s5_0 (Wang et al., 2021)
    "DARTS_PT_0": """Genotype(
        normal=[
            ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
            ('sep_conv_5x5', 0), ('dil_conv_3x3', 1),
            ('skip_connect', 0), ('skip_connect', 2),
            ('skip_connect', 0), ('max_pool_3x3', 4),
        ], normal_concat=range(2, 6),
        reduce=[
            ('sep_conv_3x3', 0), ('avg_pool_3x3', 1),
            ('dil_conv_5x5', 1), ('dil_conv_3x3', 2),
            ('avg_pool_3x3', 0), ('max_pool_3x3', 2),
            ('sep_conv_3x3', 2), ('skip_connect', 4),
        ], reduce_concat=range(2, 6),
    )""",
    # DARTS-PT, darts_pt_s5_1 (Wang et al., 2021)
    "DARTS_PT_1": """Genotype(
        normal=[
            ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
            ('sep_conv_3x3', 0), ('dil_conv_3x3', 1),
            ('max_pool_3x3', 0), ('skip_connect', 2),
            ('skip_connect', 0), ('dil_conv_3x3', 4),
        ], normal_concat=range(2, 6),
        reduce=[
            ('dil_conv_5x5', 0), ('avg_pool_3x3', 1),
            ('max_pool_3x3', 0), ('sep_conv_5x5', 2),
            ('max_pool_3x3', 1), ('dil_conv_3x3', 3),
            ('sep_conv_5x5', 0), ('sep_conv_3x3', 4),
        ], reduce_concat=range(2, 6),
    )""",
    # DARTS-, cifar10_s0_0 (Chu et al., 2021)
    "DARTS_minus": """Genotype(
        normal=[
            ('sep_conv_3x3', 0), ('sep_conv_5x5', 1),
            ('sep_conv_3x3', 1), ('dil_conv_3x3', 2),
            ('skip_connect', 1), ('sep_conv_3x3', 0),
            ('skip_connect', 1), ('sep_conv_3x3', 0),
        ], normal_concat=range(2, 6),
        reduce=[
            ('sep_conv_3x3', 0), ('max_pool_3x3', 1),
            ('skip_connect', 2), ('max_pool_3x3', 0),
            ('skip_connect', 2), ('skip_connect', 3),
            ('skip_connect', 2), ('skip_connect', 3),
        ], reduce_concat=range(2, 6),
    )""",
    # DARTS+ (Liang et al., 2019)
    "DARTS_plus": """Genotype(
        normal=[
            ('skip_connect', 0), ('sep_conv_3x3', 1),
            ('skip_connect', 0), ('sep_conv_5x5', 2),
            ('sep_conv_3x3', 1), ('sep_conv_3x3', 3),
            ('sep_conv_3x3', 2), ('sep_conv_3x3', 4),
        ], normal_concat=range(2, 6),
        reduce=[
            ('max_pool_3x3', 0), ('skip_connect', 1),
            ('max_pool_3x3', 0), ('dil_conv_5x5', 2),
            ('max_pool_3x3', 0), ('dil_conv_5x5', 3),
            ('max_pool_3x3', 0), ('skip_connect', 2),
        ], reduce_concat=range(2, 6),
    )""",
    # NASNet-A, as listed with DARTS (Zoph et al., 2018)
    "NASNet": """Genotype(
        normal=[
            ('sep_conv_5x5', 1), ('sep_conv_3x3', 0),
            ('sep_conv_5x5', 0), ('sep_conv_3x3', 0),
            ('avg_pool_3x3', 1), ('skip_connect', 0),
            ('avg_pool_3x3', 0), ('avg_pool_3x3', 0),
            ('sep_conv_3x3', 1), ('skip_connect', 1),
        ], normal_concat=[2, 3, 4, 5, 6],
        reduce=[
            ('sep_conv_5x5', 1), ('sep_conv_7x7', 0),
            ('max_pool_3x3', 1), ('sep_conv_7x7', 0),
            ('avg_pool_3x3', 1), ('sep_conv_5x5', 0),
            ('skip_connect', 3), ('avg_pool_3x3', 2),
            ('sep_conv_3x3', 2), ('max_pool_3x3', 1),
        ], reduce_concat=[4, 5, 6],
    )""",
    # AmoebaNet-A, as listed with DARTS (Real et al., 2019)
    "AmoebaNet": """Genotype(
        normal=[
            ('avg_pool_3x3', 0), ('max_pool_3x3', 1),
            ('sep_conv_3x3', 0), ('sep_conv_5x5', 2),
            ('sep_conv_3x3', 0), ('avg_pool_3x3', 3),
            ('sep_conv_3x3', 1), ('skip_connect', 1),
            ('skip_connect', 0), ('avg_pool_3x3', 1),
        ], normal_concat=[4, 5, 6],
        reduce=[
            ('avg_pool_3x3', 0), ('sep_conv_3x3', 1),
            ('max_pool_3x3', 0), ('sep_conv_7x7', 2),
            ('sep_conv_7x7', 0), ('avg_pool_3x3', 1),
            ('max_pool_3x3', 0), ('max_pool_3x3', 1),
            ('conv_7x1_1x7', 0), ('sep_conv_3x3', 5),
        ], reduce_concat=[3, 4, 6],
    )""",
}

PUBLISHED: dict[str, Genotype] = {name: parse(text) for name, text in _TEXTS.items()}
PUBLISHED["DARTS"] = PUBLISHED["DARTS_V2"]
"""Genotypes by their usual names."""
