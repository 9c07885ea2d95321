from nas.costs.count import Cost, count
from nas.costs.model import CostModel

__all__ = ["Cost", "CostModel", "count"]
