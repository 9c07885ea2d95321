"""A function that a config must not be able to call, and the trace that it leaves if one does."""

left: list[object] = []


def leave(*arguments: object, **more: object) -> None:
    """Leaves a trace."""
    left.append((arguments, more))
