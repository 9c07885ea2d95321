from nas.relaxation.relaxation import Relaxation
from nas.relaxation.softmax import Softmax

__all__ = ["Relaxation", "Softmax"]
