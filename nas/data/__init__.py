from nas.data.custom import CustomDataset
from nas.data.digits import Digits
from nas.data.files import FileSamples
from nas.data.image_folder import ImageFolder
from nas.data.in_memory import InMemory, Labelled
from nas.data.npz import Npz
from nas.data.pixels import PixelSamples
from nas.data.samples import Samples
from nas.data.source import DataSource
from nas.data.split import OrderedSplit, Split, StratifiedSplit
from nas.data.statistics import Statistics
from nas.data.stream import Batch, Stream
from nas.data.torchvision_sets import Torchvision

__all__ = [
    "Batch",
    "CustomDataset",
    "DataSource",
    "Digits",
    "FileSamples",
    "ImageFolder",
    "InMemory",
    "Labelled",
    "Npz",
    "OrderedSplit",
    "PixelSamples",
    "Samples",
    "Split",
    "Statistics",
    "StratifiedSplit",
    "Stream",
    "Torchvision",
]
