"""Cost against error: which rows no other one beats, and which cost the same."""

from collections.abc import Sequence

SAME_MEMORY, SAME_ENERGY = 0.02, 0.1
"""Weight memories, and energies, which depend on a net's spikes, that differ by no more are equal."""


def pareto_front(points: Sequence[tuple[float, float] | None]) -> set[int]:
    """Places of the points (cost, error) than which no other is smaller in one and not larger in the other. None: no point."""
    known = sorted((point, place) for place, point in enumerate(points) if point is not None)
    front: set[int] = set()
    least: tuple[float, float] | None = None
    for point, place in known:
        if least is None or point[1] < least[1] or point == least:
            front.add(place)
            least = point
    return front


def groups_of_equal(costs: Sequence[float | None], within: float = SAME_MEMORY) -> list[list[int]]:
    """Places of costs that differ by at most the share ``within`` of the smallest of their group, from small to large; two or
    more in each."""
    ordered = sorted((cost, place) for place, cost in enumerate(costs) if cost is not None)
    groups: list[list[int]] = []
    first = None
    for cost, place in ordered:
        if first is not None and cost <= first * (1 + within):
            groups[-1].append(place)
        else:
            groups, first = [*groups, [place]], cost
    return [group for group in groups if len(group) > 1]
