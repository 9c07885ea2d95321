from nas.costs.count import Cost, count

__all__ = ["Cost", "count"]
