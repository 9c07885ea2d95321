from nas.parallel.board import Board
from nas.parallel.group import Seat, joined, torchrun_seat
from nas.parallel.ranks import ALONE, DisagreementError, Ranks

__all__ = ["ALONE", "Board", "DisagreementError", "Ranks", "Seat", "joined", "torchrun_seat"]
