from nas.space.derivation import best_candidate, largest
from nas.space.independent import IndependentChoices
from nas.space.module_space import ModuleSpace
from nas.space.network import DiscreteNetwork, DropPath, has_drop_path, set_drop_path
from nas.space.search_space import SearchSpace
from nas.space.skeleton import Skeleton

__all__ = [
    "DiscreteNetwork",
    "DropPath",
    "IndependentChoices",
    "ModuleSpace",
    "SearchSpace",
    "Skeleton",
    "best_candidate",
    "has_drop_path",
    "largest",
    "set_drop_path",
]
