"""Rules that turn mixture weights into decisions."""

from collections.abc import Collection

from torch import Tensor

from nas.architecture import Candidate, Choice


def best_candidate(choice: Choice, weights: Tensor, *, never: Collection[Candidate] = ()) -> tuple[Candidate, float]:
    """The candidate of the largest weight and that weight; the first one on ties, and none of `never`."""
    scored = zip(choice.candidates, weights.tolist(), strict=True)
    allowed = [(candidate, weight) for candidate, weight in scored if candidate not in never]
    return max(allowed, key=lambda pair: pair[1])


def largest(scores: list[float], count: int) -> list[int]:
    """The positions of the `count` largest scores, the largest first; the lower position first on ties."""
    return sorted(range(len(scores)), key=lambda position: -scores[position])[:count]
