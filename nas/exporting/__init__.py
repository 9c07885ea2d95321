from nas.exporting.comparison import Comparison, compare
from nas.exporting.export import Exported, export, random_batches
from nas.exporting.format import FileFormat
from nas.exporting.onnx import Onnx
from nas.exporting.pt2 import Pt2

__all__ = ["Comparison", "Exported", "FileFormat", "Onnx", "Pt2", "compare", "export", "random_batches"]
