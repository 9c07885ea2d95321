from nas.parallel.group import joined
from nas.parallel.ranks import ALONE, DisagreementError, Ranks

__all__ = ["ALONE", "DisagreementError", "Ranks", "joined"]
