from nas.relaxation.multinomial import Drawn, Multinomial
from nas.relaxation.relaxation import Relaxation
from nas.relaxation.softmax import Softmax

__all__ = ["Drawn", "Multinomial", "Relaxation", "Softmax"]
