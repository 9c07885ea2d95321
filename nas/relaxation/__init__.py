from nas.relaxation.annealed_softmax import AnnealedSoftmax
from nas.relaxation.multinomial import Drawn, Multinomial
from nas.relaxation.relaxation import Relaxation
from nas.relaxation.softmax import Softmax

__all__ = ["AnnealedSoftmax", "Drawn", "Multinomial", "Relaxation", "Softmax"]
