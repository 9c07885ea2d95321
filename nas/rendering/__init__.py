from nas.rendering.bar_charts import bar_charts
from nas.rendering.dot_source import dot
from nas.rendering.drawing import draw
from nas.rendering.gif import animation
from nas.rendering.heat_maps import heat_map
from nas.rendering.pictures import Picture, picture
from nas.rendering.scatter_plots import Point, scatter

__all__ = ["Picture", "Point", "animation", "bar_charts", "dot", "draw", "heat_map", "picture", "scatter"]
