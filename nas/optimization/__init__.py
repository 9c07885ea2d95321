from nas.optimization.bilevel import BilevelOptimizer
from nas.optimization.budget import Budget
from nas.optimization.candidates import CandidateTraining
from nas.optimization.compilation import CompilationError, compile_parts, compile_search
from nas.optimization.feed import Feed
from nas.optimization.first_order import FirstOrder, SingleLevel
from nas.optimization.gradient_search import GradientSearch
from nas.optimization.homogeneous import Homogeneous
from nas.optimization.homogeneous_line import HomogeneousLine
from nas.optimization.measure import NonFiniteLossError, evaluate
from nas.optimization.memory import largest_batch, out_of_memory
from nas.optimization.method import SearchMethod, SearchProcess
from nas.optimization.objective import Objective
from nas.optimization.penalty import Penalty
from nas.optimization.random_search import RandomSearch
from nas.optimization.recipe import Recipe
from nas.optimization.recorded import Recorded, RecordingError
from nas.optimization.schedule import Cosine, Exponential, Linear, Schedule
from nas.optimization.score_function import ScoreFunction
from nas.optimization.search import search
from nas.optimization.second_order import SecondOrder
from nas.optimization.target import Target
from nas.optimization.through_mixture import ThroughMixture
from nas.optimization.training import DiscreteLoss, Training, TrainingRecord, train

__all__ = [
    "BilevelOptimizer",
    "Budget",
    "CandidateTraining",
    "CompilationError",
    "Cosine",
    "DiscreteLoss",
    "Exponential",
    "Feed",
    "FirstOrder",
    "GradientSearch",
    "Homogeneous",
    "HomogeneousLine",
    "Linear",
    "NonFiniteLossError",
    "Objective",
    "Penalty",
    "RandomSearch",
    "Recipe",
    "Recorded",
    "RecordingError",
    "Schedule",
    "ScoreFunction",
    "SearchMethod",
    "SearchProcess",
    "SecondOrder",
    "SingleLevel",
    "Target",
    "ThroughMixture",
    "Training",
    "TrainingRecord",
    "compile_parts",
    "compile_search",
    "evaluate",
    "largest_batch",
    "out_of_memory",
    "search",
    "train",
]
