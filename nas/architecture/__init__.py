from nas.architecture.choice import Candidate, Choice, ChoiceTables
from nas.architecture.genotype import Genotype
from nas.architecture.graph import Bar, BarChart, Edge, Graph
from nas.architecture.mixture import Mixture, likeliest, selection
from nas.architecture.parameters import ArchParameters
from nas.architecture.record import CandidateRecord, EpochRecord

__all__ = [
    "ArchParameters",
    "Bar",
    "BarChart",
    "Candidate",
    "CandidateRecord",
    "Choice",
    "ChoiceTables",
    "Edge",
    "EpochRecord",
    "Genotype",
    "Graph",
    "Mixture",
    "likeliest",
    "selection",
]
