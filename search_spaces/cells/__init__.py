from search_spaces.cells.space import CellSpace

__all__ = ["CellSpace"]
